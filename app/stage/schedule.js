// Stratified components, the same as lab/mixtures.py's `schedule`: of any first n of them, component k has w_k n to within one and a half.

// Components for `count` places: Int32Array(count). weights (K) non-negative, not all zero. Groups of equal weight take turns; groups are halved along Huffman's tree.
function schedule(weights, count) {
  const present = [];
  for (let k = 0; k < weights.length; k++) if (weights[k] > 0) present.push(k);
  if (present.length === 0) throw new Error("weights must not all be zero");
  const most = present.reduce((found, k) => Math.max(found, weights[k]), 0);
  const relative = present.map((k) => Math.fround(weights[k] / most)); // thirds are thirds, however they were computed
  const levels = [...new Set(relative)].sort((a, b) => a - b);
  const waiting = levels.map((level, number) => {
    const members = present.filter((_, i) => relative[i] === level);
    return { total: level * members.length, number, members };
  });
  const lightest = () => {
    let best = 0;
    for (let i = 1; i < waiting.length; i++) {
      const a = waiting[i], b = waiting[best];
      if (a.total < b.total || (a.total === b.total && a.number < b.number)) best = i;
    }
    return waiting.splice(best, 1)[0];
  };
  while (waiting.length > 1) {
    const left = lightest(), right = lightest();
    waiting.push({ total: left.total + right.total, number: present.length + waiting.length, left, right });
  }
  const component = new Int32Array(count);
  const places = Int32Array.from({ length: count }, (_, i) => i);
  const open = [[waiting[0], places]];
  while (open.length) {
    const [node, own] = open.pop();
    if (node.members) {
      for (let i = 0; i < own.length; i++) component[own[i]] = node.members[i % node.members.length];
      continue;
    }
    const share = node.left.total / (node.left.total + node.right.total);
    const first = [], second = [];
    for (let i = 0, before = 0; i < own.length; i++) {
      const filled = Math.floor((i + 1) * share + 0.5);
      (filled > before ? first : second).push(own[i]);
      before = filled;
    }
    open.push([node.left, first], [node.right, second]);
  }
  return component;
}
