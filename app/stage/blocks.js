// Block couplings: which source component goes with which target component, and how x_0 and x_1 are correlated within each pair (toy/blocks.py).
// pairs = { count: P, source: Int32Array(P), target: Int32Array(P), weight: Float64Array(P), cross: Float64Array(4P) or null, classes: Int32Array(P), starts: Int32Array(C + 1) },
// sorted by the class of the target component; those of class c are starts[c] to starts[c + 1] - 1. cross holds Cov(x_0, x_1) row by row.

// The pairs of positive weight of a plan (J K) with cross-covariances crossOf(j, k) -> 4 numbers, or null.
function pairsOfPlan(plan, source, target, crossOf) {
  const K = target.weights.length, rows = [];
  for (let at = 0; at < plan.length; at++) if (plan[at] > 0) rows.push(at);
  rows.sort((a, b) => target.classes[a % K] - target.classes[b % K] || a - b);
  const starts = new Int32Array(target.classCount + 1);
  rows.forEach((at) => { starts[target.classes[at % K] + 1] += 1; });
  for (let c = 0; c < target.classCount; c++) starts[c + 1] += starts[c];
  return {
    count: rows.length, starts,
    source: Int32Array.from(rows, (at) => Math.floor(at / K)), target: Int32Array.from(rows, (at) => at % K),
    weight: Float64Array.from(rows, (at) => plan[at]), classes: Int32Array.from(rows, (at) => target.classes[at % K]),
    cross: crossOf ? Float64Array.from(rows.flatMap((at) => crossOf(Math.floor(at / K), at % K))) : null,
  };
}

// x_0 independent of x_1.
function independentPlan(source, target) {
  const K = target.weights.length;
  return Float64Array.from({ length: source.weights.length * K }, (_, at) => source.weights[Math.floor(at / K)] * target.weights[at % K]);
}

// x_0 and x_1 of the same class, independent given it.
function classPlan(source, target) {
  const K = target.weights.length, share = classWeights(target);
  return independentPlan(source, target).map((w, at) => {
    const c = target.classes[at % K];
    return source.classes[Math.floor(at / K)] === c ? w / share[c] : 0;
  });
}

// Component OT: the optimal plan between components under the Bures-Wasserstein cost, each pair moved by its Gaussian OT map (C = S A); per class where asked.
function componentOtPairs(source, target, perClass) {
  const J = source.weights.length, K = target.weights.length, words = new Int32Array(4);
  const mean = (mixture, k) => mixture.means.subarray(2 * k, 2 * k + 2), covariance = (mixture, k) => mixture.covariances.subarray(3 * k, 3 * k + 3);
  const cost = Float64Array.from({ length: J * K }, (_, at) => {
    const j = Math.floor(at / K), k = at % K;
    return buresWasserstein2(mean(source, j), covariance(source, j), mean(target, k), covariance(target, k));
  });
  const most = cost.reduce((a, b) => Math.max(a, b), 0);
  for (let at = 0; at < cost.length; at++) {
    philox(at, 0, 0, TIE_STREAM, 0, 0, words);
    cost[at] += TIE * most * uniformOfWords(words[0], words[1]);
  }
  let plan = new Float64Array(J * K);
  if (perClass) {
    for (let c = 0; c < target.classCount; c++) {
      const j = [...source.classes.keys()].filter((i) => source.classes[i] === c), k = [...target.classes.keys()].filter((i) => target.classes[i] === c);
      const block = optimalPlan(j.map((i) => source.weights[i]), k.map((i) => target.weights[i]), j.flatMap((a) => k.map((b) => cost[a * K + b])));
      block.forEach((w, at) => { plan[j[Math.floor(at / k.length)] * K + k[at % k.length]] = w; });
    }
  } else {
    plan = optimalPlan(source.weights, target.weights, cost);
  }
  return pairsOfPlan(plan, source, target, (j, k) => {
    const [a, b, d] = covariance(source, j), [p, q, r] = gaussianTransportMap([a, b, d], covariance(target, k));
    return [a * p + b * q, a * q + b * r, b * p + d * q, b * q + d * r];
  });
}

// E|x_1 - x_0|^2 of a block coupling: sum P_jk (|m - mu|^2 + tr S + tr Sigma - 2 tr C).
function blockTransportCost(pairs, source, target) {
  let total = 0;
  for (let p = 0; p < pairs.count; p++) {
    const j = pairs.source[p], k = pairs.target[p];
    const away = (source.means[2 * j] - target.means[2 * k]) ** 2 + (source.means[2 * j + 1] - target.means[2 * k + 1]) ** 2;
    const within = source.covariances[3 * j] + source.covariances[3 * j + 2] + target.covariances[3 * k] + target.covariances[3 * k + 2];
    total += pairs.weight[p] * (away + within - (pairs.cross ? 2 * (pairs.cross[4 * p] + pairs.cross[4 * p + 3]) : 0));
  }
  return total;
}
