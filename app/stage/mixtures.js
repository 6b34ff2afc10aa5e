// Gaussian mixtures in the plane, as toy/mixtures.py has them.
// mixture = { weights: Float64Array(K), means: Float64Array(2K), covariances: Float64Array(3K) as xx, xy, yy, classes: Int32Array(K), classCount }

// A mixture from plain arrays of these shapes (as JSON carries them).
function makeMixture({ weights, means, covariances, classes }) {
  const own = classes ? Int32Array.from(classes) : new Int32Array(weights.length);
  return {
    weights: Float64Array.from(weights), means: Float64Array.from(means), covariances: Float64Array.from(covariances),
    classes: own, classCount: own.reduce((most, c) => Math.max(most, c), 0) + 1,
  };
}

// Total weight of each class: Float64Array(C).
function classWeights(mixture) {
  const out = new Float64Array(mixture.classCount);
  mixture.weights.forEach((w, k) => { out[mixture.classes[k]] += w; });
  return out;
}

// Mean [x, y] of the whole mixture.
function mixtureMean({ weights, means }) {
  let x = 0, y = 0;
  for (let k = 0; k < weights.length; k++) { x += weights[k] * means[2 * k]; y += weights[k] * means[2 * k + 1]; }
  return [x, y];
}

// Covariance [xx, xy, yy] of the whole mixture: within components plus between their means.
function mixtureCovariance(mixture) {
  const { weights, means, covariances } = mixture, [mx, my] = mixtureMean(mixture);
  let xx = 0, xy = 0, yy = 0;
  for (let k = 0; k < weights.length; k++) {
    const dx = means[2 * k] - mx, dy = means[2 * k + 1] - my;
    xx += weights[k] * (covariances[3 * k] + dx * dx);
    xy += weights[k] * (covariances[3 * k + 1] + dx * dy);
    yy += weights[k] * (covariances[3 * k + 2] + dy * dy);
  }
  return [xx, xy, yy];
}

// The target's spread: root of the trace of its covariance.
function mixtureSpread(mixture) {
  const [xx, , yy] = mixtureCovariance(mixture);
  return Math.sqrt(xx + yy);
}

// The law of class c alone, its weights summing to 1, of one class.
function ofClass(mixture, c) {
  const rows = [...mixture.classes.keys()].filter((k) => mixture.classes[k] === c);
  const total = rows.reduce((sum, k) => sum + mixture.weights[k], 0);
  return pickComponents(mixture, rows, rows.map((k) => mixture.weights[k] / total), rows.map(() => 0));
}

// The components `rows` of a mixture with other weights and classes.
function pickComponents(mixture, rows, weights, classes) {
  return makeMixture({
    weights, classes,
    means: rows.flatMap((k) => [mixture.means[2 * k], mixture.means[2 * k + 1]]),
    covariances: rows.flatMap((k) => [mixture.covariances[3 * k], mixture.covariances[3 * k + 1], mixture.covariances[3 * k + 2]]),
  });
}

// Component means moved `factor` times as far from the mixture's mean; covariances stay.
function separated(mixture, factor) {
  if (factor === 1) return mixture;
  const [x, y] = mixtureMean(mixture);
  return { ...mixture, means: mixture.means.map((m, i) => (i % 2 ? y + factor * (m - y) : x + factor * (m - x))) };
}

// Lower Cholesky factors [l11, l21, l22] of the covariances: Float64Array(3K).
function choleskyFactors({ covariances }) {
  const out = new Float64Array(covariances.length);
  for (let i = 0; i < out.length; i += 3) {
    out[i] = Math.sqrt(covariances[i]);
    out[i + 1] = covariances[i + 1] / out[i];
    out[i + 2] = Math.sqrt(covariances[i + 2] - out[i + 1] * out[i + 1]);
  }
  return out;
}

// mean_k + chol(covariance_k) z for normal numbers z (2n, interleaved) and components (n): Float64Array(2n).
function fromNormals(mixture, normals, component) {
  const factors = choleskyFactors(mixture), out = new Float64Array(normals.length);
  for (let i = 0; i < component.length; i++) {
    const k = component[i], z1 = normals[2 * i], z2 = normals[2 * i + 1];
    out[2 * i] = mixture.means[2 * k] + factors[3 * k] * z1;
    out[2 * i + 1] = mixture.means[2 * k + 1] + (factors[3 * k + 1] * z1 + factors[3 * k + 2] * z2);
  }
  return out;
}

const PARTS_COLOURED = 8; // components of a one-class target that can still be told apart

// What gives particles their colour: the target, or one whose classes are its components where it has one class of a few, so that it shows which part a particle goes to.
function colouredBy(target) {
  const K = target.weights.length;
  if (target.classCount > 1 || K === 1 || K > PARTS_COLOURED) return target;
  return { ...target, classes: Int32Array.from({ length: K }, (_, k) => k), classCount: K };
}

// The class that each of n points (2n, interleaved) most likely belongs to, argmax_c log p(x, class = c): Int32Array(n).
function likeliestClass(mixture, points) {
  const { weights, means, covariances, classes, classCount } = mixture, n = points.length / 2, K = weights.length;
  const constant = new Float64Array(K), precision = new Float64Array(3 * K);
  for (let k = 0; k < K; k++) {
    const a = covariances[3 * k], b = covariances[3 * k + 1], d = covariances[3 * k + 2], det = a * d - b * b;
    precision[3 * k] = d / det; precision[3 * k + 1] = -b / det; precision[3 * k + 2] = a / det;
    constant[k] = Math.log(weights[k]) - 0.5 * Math.log(det);
  }
  const out = new Int32Array(n), logs = new Float64Array(K), most = new Float64Array(classCount), sums = new Float64Array(classCount);
  for (let i = 0; i < n; i++) {
    most.fill(-Infinity); sums.fill(0);
    for (let k = 0; k < K; k++) {
      const x = points[2 * i] - means[2 * k], y = points[2 * i + 1] - means[2 * k + 1];
      logs[k] = constant[k] - 0.5 * (precision[3 * k] * x * x + 2 * precision[3 * k + 1] * x * y + precision[3 * k + 2] * y * y);
      if (logs[k] > most[classes[k]]) most[classes[k]] = logs[k];
    }
    for (let k = 0; k < K; k++) if (most[classes[k]] > -Infinity) sums[classes[k]] += Math.exp(logs[k] - most[classes[k]]);
    let best = 0;
    for (let c = 1; c < classCount; c++) if (most[c] + Math.log(sums[c]) > most[best] + Math.log(sums[best])) best = c;
    out[i] = best;
  }
  return out;
}
