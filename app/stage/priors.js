// The law of x_0 for a scene and its target, as toy/priors.py has it.

const RING_COMPONENTS = 32;
const MERGE_TIE = 1e-9; // costs of merging (nats) closer than this are equal
const FIT_STREAM = 7; // the samples that moments are fitted to are never those that are shown

// Whether x_0 depends on the class.
function isConditional(scene) {
  return scene.prior === "conditional" || scene.prior === "conditional-mixture";
}

// The prior's mixture. Conditional priors carry the target's classes; the others are of one class.
function priorMixture(scene, target) {
  const square = scene.scale ** 2;
  if (scene.prior === "gaussian") return makeMixture({ weights: [1], means: [0, 0], covariances: [square, 0, square] });
  if (scene.prior === "ring") return ringPrior(scene.scale);
  if (scene.prior === "mirrored") {
    return makeMixture({
      weights: target.weights,
      means: target.means.map((m, i) => (i % 2 ? m : -m)),
      covariances: target.covariances.map((c, i) => square * (i % 3 === 1 ? -c : c)),
    });
  }
  if (scene.fit_count) {
    const label = scene.prior === "conditional" ? target.classes : Int32Array.from(target.weights.keys());
    target = refitted(target, label, scene.fit_count, scene.seed);
  }
  const most = scene.prior === "conditional" ? 1 : scene.prior_components, shares = classWeights(target);
  const grouped = Array.from(shares, (share, c) => ({ share, part: reduced(ofClass(target, c), most) }));
  const weights = grouped.flatMap(({ share, part }) => Array.from(part.weights, (w) => share * w));
  const covariances = grouped.flatMap(({ part }) => Array.from(part.covariances));
  return makeMixture({
    weights,
    means: grouped.flatMap(({ part }) => Array.from(part.means, (m) => scene.prior_mean * m)),
    covariances: shapedCovariances(covariances, weights, scene.prior_covariance).map((c) => square * c),
    classes: grouped.flatMap(({ part }, c) => Array.from(part.weights, () => c)),
  });
}

// What a conditional prior keeps of its covariances (3K numbers).
function shapedCovariances(covariances, weights, shape) {
  const of = (k) => [covariances[3 * k], covariances[3 * k + 1], covariances[3 * k + 2]];
  const pooled = [0, 0, 0];
  weights.forEach((w, k) => of(k).forEach((c, i) => { pooled[i] += w * c; }));
  const shaped = {
    none: () => [1, 0, 1],
    isotropic: ([xx, , yy]) => [0.5 * (xx + yy), 0, 0.5 * (xx + yy)],
    diagonal: ([xx, , yy]) => [xx, 0, yy],
    pooled: () => pooled,
    full: (own) => own,
  }[shape];
  return weights.flatMap((_, k) => shaped(of(k)));
}

// A ring with the second moments of N(0, scale^2 I): radius^2 + 2 width^2 = 2 scale^2, with a width of an eighth of the radius.
function ringPrior(scale) {
  const radius = scale * Math.sqrt(2 / (1 + 2 / 64)), variance = (radius / 8) ** 2;
  const every = Array.from({ length: RING_COMPONENTS }, (_, k) => (2 * Math.PI * k) / RING_COMPONENTS);
  return makeMixture({
    weights: every.map(() => 1 / RING_COMPONENTS),
    means: every.flatMap((angle) => [radius * Math.cos(angle), radius * Math.sin(angle)]),
    covariances: every.flatMap(() => [variance, 0, variance]),
  });
}

// The mixture with at most that many components, its mean and covariance kept: the pair whose merging costs least is merged (Runnalls 2007, eq. 21).
function reduced(mixture, most) {
  let parts = Array.from(mixture.weights, (w, k) => ({
    w, m: [mixture.means[2 * k], mixture.means[2 * k + 1]], s: Array.from(mixture.covariances.subarray(3 * k, 3 * k + 3)),
  }));
  const logDet = ([a, b, d]) => Math.log(a * d - b * b);
  while (parts.length > most) {
    const costs = [];
    for (let i = 0; i < parts.length; i++) {
      for (let j = i + 1; j < parts.length; j++) {
        const merged = mergedComponent(parts[i], parts[j]);
        costs.push({ i, j, merged, cost: 0.5 * (merged.w * logDet(merged.s) - parts[i].w * logDet(parts[i].s) - parts[j].w * logDet(parts[j].s)) });
      }
    }
    // Of pairs that are alike by symmetry the first is merged, whatever their last bits say.
    const least = costs.reduce((most, { cost }) => Math.min(most, cost), Infinity), best = costs.find(({ cost }) => cost <= least + MERGE_TIE);
    parts = [...parts.filter((_, k) => k !== best.i && k !== best.j), best.merged];
  }
  return makeMixture({ weights: parts.map((p) => p.w), means: parts.flatMap((p) => p.m), covariances: parts.flatMap((p) => p.s) });
}

// One Gaussian with the moments of two.
function mergedComponent(a, b) {
  const w = a.w + b.w, share = a.w / w, gap = [a.m[0] - b.m[0], a.m[1] - b.m[1]], between = share * (1 - share);
  const outer = [gap[0] * gap[0], gap[0] * gap[1], gap[1] * gap[1]];
  return {
    w, m: a.m.map((x, i) => share * x + (1 - share) * b.m[i]),
    s: a.s.map((x, i) => share * x + (1 - share) * b.s[i] + between * outer[i]),
  };
}

// One Gaussian for each group of components with the same label, its moments those of the group's share of `count` fresh samples (divided by n - 1).
function refitted(target, label, count, seed) {
  const component = schedule(target.weights, count), points = fromNormals(target, normalPairs(seed, count, FIT_STREAM), component);
  const groups = label.reduce((most, g) => Math.max(most, g), 0) + 1;
  const members = new Float64Array(groups), means = new Float64Array(2 * groups), scatter = new Float64Array(3 * groups);
  for (let i = 0; i < count; i++) {
    const g = label[component[i]];
    members[g] += 1; means[2 * g] += points[2 * i]; means[2 * g + 1] += points[2 * i + 1];
  }
  for (let g = 0; g < groups; g++) { means[2 * g] /= members[g]; means[2 * g + 1] /= members[g]; }
  for (let i = 0; i < count; i++) {
    const g = label[component[i]], x = points[2 * i] - means[2 * g], y = points[2 * i + 1] - means[2 * g + 1];
    scatter[3 * g] += x * x; scatter[3 * g + 1] += x * y; scatter[3 * g + 2] += y * y;
  }
  const weights = new Float64Array(groups), classes = new Int32Array(groups);
  target.weights.forEach((w, k) => { weights[label[k]] += w; classes[label[k]] = target.classes[k]; });
  return makeMixture({ weights, means, classes, covariances: scatter.map((s, i) => s / (members[Math.floor(i / 3)] - 1)) });
}
