// The exact marginal velocity between two Gaussian mixtures under any block coupling and any path: the twin of toy/field.py, whose text has the formulas.
// Each pair of components is folded, once per time, to twelve numbers: log weight + log density as a quadratic in (x, y), and an affine map to be averaged.

const FOLD = 12; // constant, x, y, xx, xy, yy of the logit; then offset x, y and gain xx, xy, yx, yy
const FOLD_CACHE = 4_000_000; // numbers kept for times that come again: solver, reference and measures ask for the same (32 MB)
const NEGLIGIBLE_LOGIT = -40; // weights below e^-40 of the largest change nothing in the last bit

// A field over `pairs` (app/stage/blocks.js) of source and target components.
function makeField(source, target, pairs, path) {
  const P = pairs.count, m = new Float64Array(2 * P), mu = new Float64Array(2 * P), S = new Float64Array(3 * P), Sigma = new Float64Array(3 * P);
  const mMean = [0, 0], muMean = [0, 0];
  for (let p = 0; p < P; p++) {
    const j = pairs.source[p], k = pairs.target[p];
    for (let i = 0; i < 2; i++) {
      mMean[i] += pairs.weight[p] * source.means[2 * j + i];
      muMean[i] += pairs.weight[p] * target.means[2 * k + i];
    }
  }
  for (let p = 0; p < P; p++) {
    const j = pairs.source[p], k = pairs.target[p];
    for (let i = 0; i < 2; i++) { m[2 * p + i] = source.means[2 * j + i]; mu[2 * p + i] = target.means[2 * k + i]; }
    for (let i = 0; i < 3; i++) { S[3 * p + i] = source.covariances[3 * j + i]; Sigma[3 * p + i] = target.covariances[3 * k + i]; }
  }
  const classShare = new Float64Array(pairs.starts.length - 1);
  for (let p = 0; p < P; p++) classShare[pairs.classes[p]] += pairs.weight[p];
  return {
    pairs, path, P, m, mu, mMean, muMean, S, Sigma, C: pairs.cross, classShare,
    logWeight: pairs.weight.map(Math.log), folds: new Map(), logits: new Float64Array(P),
  };
}

// Coefficients at time t of p E[x_1 | x] + q E[x_0 | x]; `qSigma` stands for q sigma, which stays finite where q = dSigma does not.
// Float64Array(12 P + 2): the last two are the centre that points are taken from.
function foldField(field, t, p, q, qSigma) {
  const { P, m, mu, mMean, muMean, S, Sigma, C, path } = field, out = new Float64Array(FOLD * P + 2);
  const alpha = path.alpha(t), sigma = path.sigma(t);
  for (let i = 0; i < P; i++) {
    const sxx = S[3 * i], sxy = S[3 * i + 1], syy = S[3 * i + 2], dxx = Sigma[3 * i], dxy = Sigma[3 * i + 1], dyy = Sigma[3 * i + 2];
    let vxx = alpha * alpha * dxx + sigma * sigma * sxx, vxy = alpha * alpha * dxy + sigma * sigma * sxy, vyy = alpha * alpha * dyy + sigma * sigma * syy;
    // Gains of the pair's p E[x_1|x] + q E[x_0|x]: p (alpha Sigma + sigma C^T) + q (sigma S + alpha C), row by row.
    let gxx = p * alpha * dxx + qSigma * sxx, gxy = p * alpha * dxy + qSigma * sxy, gyx = gxy, gyy = p * alpha * dyy + qSigma * syy;
    if (C) {
      const cxx = C[4 * i], cxy = C[4 * i + 1], cyx = C[4 * i + 2], cyy = C[4 * i + 3], both = alpha * sigma, forward = p * sigma, back = q * alpha;
      vxx += 2 * both * cxx; vxy += both * (cxy + cyx); vyy += 2 * both * cyy;
      gxx += (forward + back) * cxx; gxy += forward * cyx + back * cxy; gyx += forward * cxy + back * cyx; gyy += (forward + back) * cyy;
    }
    const det = vxx * vyy - vxy * vxy, ixx = vyy / det, ixy = -vxy / det, iyy = vxx / det;
    const Mx = alpha * (mu[2 * i] - muMean[0]) + sigma * (m[2 * i] - mMean[0]), My = alpha * (mu[2 * i + 1] - muMean[1]) + sigma * (m[2 * i + 1] - mMean[1]);
    const pullX = ixx * Mx + ixy * My, pullY = ixy * Mx + iyy * My, at = FOLD * i;
    out[at] = field.logWeight[i] - Math.log(2 * Math.PI) - 0.5 * (Math.log(det) + Mx * pullX + My * pullY);
    out[at + 1] = pullX; out[at + 2] = pullY;
    out[at + 3] = -0.5 * ixx; out[at + 4] = -ixy; out[at + 5] = -0.5 * iyy;
    const hxx = gxx * ixx + gxy * ixy, hxy = gxx * ixy + gxy * iyy, hyx = gyx * ixx + gyy * ixy, hyy = gyx * ixy + gyy * iyy;
    out[at + 6] = p * mu[2 * i] + q * m[2 * i] - (hxx * Mx + hxy * My);
    out[at + 7] = p * mu[2 * i + 1] + q * m[2 * i + 1] - (hyx * Mx + hyy * My);
    out[at + 8] = hxx; out[at + 9] = hxy; out[at + 10] = hyx; out[at + 11] = hyy;
  }
  out[FOLD * P] = alpha * muMean[0] + sigma * mMean[0];
  out[FOLD * P + 1] = alpha * muMean[1] + sigma * mMean[1];
  return out;
}

// The fold of the velocity at time t, remembered.
function velocityFold(field, t) {
  let fold = field.folds.get(t);
  if (!fold) {
    const { path } = field;
    fold = foldField(field, t, path.dAlpha(t), path.dSigma(t), path.sigmaDSigma(t));
    if ((field.folds.size + 1) * fold.length > FOLD_CACHE) field.folds.clear();
    field.folds.set(t, fold);
  }
  return fold;
}

// The folded average at n points x (2n, interleaved) into out (2n). classes (n) restricts each particle to its class's pairs; null uses all.
function averageFold(field, fold, x, classes, out) {
  const { P, logits } = field, { starts } = field.pairs, centreX = fold[FOLD * P], centreY = fold[FOLD * P + 1], n = out.length >> 1;
  for (let i = 0; i < n; i++) {
    const a = x[2 * i] - centreX, b = x[2 * i + 1] - centreY;
    const first = classes === null ? 0 : starts[classes[i]], end = classes === null ? P : starts[classes[i] + 1];
    let most = -Infinity;
    for (let p = first, at = FOLD * first; p < end; p++, at += FOLD) {
      const logit = fold[at] + a * (fold[at + 1] + fold[at + 3] * a + fold[at + 4] * b) + b * (fold[at + 2] + fold[at + 5] * b);
      logits[p] = logit;
      if (logit > most) most = logit;
    }
    const least = most + NEGLIGIBLE_LOGIT;
    let total = 0, bx = 0, by = 0, hxx = 0, hxy = 0, hyx = 0, hyy = 0;
    for (let p = first, at = FOLD * first + 6; p < end; p++, at += FOLD) {
      const logit = logits[p];
      if (logit < least) continue;
      const w = Math.exp(logit - most);
      total += w;
      bx += w * fold[at]; by += w * fold[at + 1];
      hxx += w * fold[at + 2]; hxy += w * fold[at + 3]; hyx += w * fold[at + 4]; hyy += w * fold[at + 5];
    }
    const part = 1 / total;
    out[2 * i] = (bx + hxx * a + hxy * b) * part;
    out[2 * i + 1] = (by + hyx * a + hyy * b) * part;
  }
}

// log p_t(x) in nats, or log p_t(x | class), at n points (2n) into out (n).
function logDensity(field, t, x, classes, out) {
  const { P, logits, classShare } = field, { starts } = field.pairs, fold = velocityFold(field, t);
  const centreX = fold[FOLD * P], centreY = fold[FOLD * P + 1];
  for (let i = 0; i < out.length; i++) {
    const a = x[2 * i] - centreX, b = x[2 * i + 1] - centreY;
    const first = classes === null ? 0 : starts[classes[i]], end = classes === null ? P : starts[classes[i] + 1];
    let most = -Infinity, total = 0;
    for (let p = first, at = FOLD * first; p < end; p++, at += FOLD) {
      logits[p] = fold[at] + a * (fold[at + 1] + fold[at + 3] * a + fold[at + 4] * b) + b * (fold[at + 2] + fold[at + 5] * b);
      if (logits[p] > most) most = logits[p];
    }
    for (let p = first; p < end; p++) total += Math.exp(logits[p] - most);
    out[i] = most + Math.log(total) - (classes === null ? 0 : Math.log(classShare[classes[i]]));
  }
}

// What a point (x, y) at time t may come from and go to: every pair's posterior weight, E[x_0 | x, pair] and E[x_1 | x, pair]; the heaviest first.
// own: the class that the field is told, or -1. Returns [{ share, pair, x0: [x, y], x1: [x, y] }].
function posteriorPairs(field, x, y, t, own) {
  const { P, path } = field, { starts } = field.pairs;
  const data = foldField(field, t, 1, 0, 0), source = foldField(field, t, 0, 1, path.sigma(t));
  const a = x - data[FOLD * P], b = y - data[FOLD * P + 1], first = own < 0 ? 0 : starts[own], end = own < 0 ? P : starts[own + 1];
  const affine = (fold, at) => [fold[at + 6] + fold[at + 8] * a + fold[at + 9] * b, fold[at + 7] + fold[at + 10] * a + fold[at + 11] * b];
  const found = [];
  for (let p = first; p < end; p++) {
    const at = FOLD * p;
    const logit = data[at] + a * (data[at + 1] + data[at + 3] * a + data[at + 4] * b) + b * (data[at + 2] + data[at + 5] * b);
    found.push({ logit, pair: p, x0: affine(source, at), x1: affine(data, at) });
  }
  const most = found.reduce((best, { logit }) => Math.max(best, logit), -Infinity);
  const total = found.reduce((sum, { logit }) => sum + Math.exp(logit - most), 0);
  return found.map(({ logit, ...rest }) => ({ share: Math.exp(logit - most) / total, ...rest })).sort((one, other) => other.share - one.share);
}
