// Affine paths x_t = alpha x_1 + sigma x_0, as lab/paths.py has them: each a bundle of functions of a number t in [0, 1].

const UNBOUNDED_LAST_TIME = 1 - 1e-5; // Lipman et al. 2022, appendix D: dSigma is evaluated no later where it is infinite at the end
const VP_BETA_MIN = 0.1, VP_BETA_MAX = 20, VE_SIGMA_MIN = 0.01, VE_SIGMA_MAX = 50;

// A path whose dSigma is finite everywhere and whose ends are clean but for sigmaMin.
function boundedPath(name, alpha, sigma, dAlpha, dSigma) {
  return { name, alpha, sigma, dAlpha, dSigma, sigmaDSigma: (t) => sigma(t) * dSigma(t), lastTime: 1, cleanStart: true };
}

// A path with sigma like sqrt(1 - t) near the data, given by alpha, sigma and half the derivative of sigma^2.
function unboundedPath(name, alpha, sigma, dAlpha, sigmaDSigma) {
  const dSigma = (t) => { const earlier = Math.min(t, UNBOUNDED_LAST_TIME); return sigmaDSigma(earlier) / sigma(earlier); };
  return { name, alpha, sigma, dAlpha, dSigma, sigmaDSigma, lastTime: UNBOUNDED_LAST_TIME, cleanStart: false };
}

const PATH_MAKERS = {
  "cond-ot": ({ sigma_min: least = 0 }) => boundedPath("cond-ot", (t) => t, (t) => 1 - (1 - least) * t, () => 1, () => least - 1),
  cosine: () => {
    const quarter = 0.5 * Math.PI;
    const alpha = (t) => Math.sin(quarter * t), sigma = (t) => Math.sin(quarter * (1 - t)); // cos(pi t / 2), but exactly 0 at t = 1
    return boundedPath("cosine", alpha, sigma, (t) => quarter * sigma(t), (t) => -quarter * alpha(t));
  },
  polynomial: ({ degree: n = 2 }) =>
    boundedPath("polynomial", (t) => t ** n, (t) => 1 - t ** n, (t) => n * t ** (n - 1), (t) => -(n * t ** (n - 1))),
  vp: () => {
    const integral = (t) => VP_BETA_MIN * (1 - t) + 0.5 * (VP_BETA_MAX - VP_BETA_MIN) * (1 - t) ** 2;
    const alpha = (t) => Math.exp(-0.5 * integral(t));
    const sigma = (t) => Math.sqrt(-Math.expm1(-integral(t))); // 1 - alpha^2 would lose ten digits near t = 1
    const dAlpha = (t) => 0.5 * (VP_BETA_MIN + (1 - t) * (VP_BETA_MAX - VP_BETA_MIN)) * alpha(t);
    return unboundedPath("vp", alpha, sigma, dAlpha, (t) => -alpha(t) * dAlpha(t));
  },
  ve: () => {
    const slope = Math.log(VE_SIGMA_MAX / VE_SIGMA_MIN), logRatio = (t) => 2 * slope * (1 - t);
    return unboundedPath(
      "ve", () => 1, (t) => VE_SIGMA_MIN * Math.sqrt(Math.expm1(logRatio(t))), () => 0,
      (t) => -(VE_SIGMA_MIN ** 2) * slope * Math.exp(logRatio(t)),
    );
  },
};

// The scene's path with its own parameters (sigma_min, degree).
function makePath(scene) {
  return PATH_MAKERS[scene.path](scene);
}

// alpha / (alpha + sigma): the time of the straight path with the same signal-to-noise ratio.
function pathRatio(path, t) {
  const alpha = path.alpha(t);
  return alpha / (alpha + path.sigma(t));
}

// Inverse of pathRatio by bisection to the last bit; ratios outside the path's range give the nearest end.
function timeOfRatio(path, ratio) {
  if (ratio <= pathRatio(path, 0)) return 0;
  if (ratio >= pathRatio(path, 1)) return 1;
  let low = 0, high = 1;
  for (let i = 0; i < 60; i++) {
    const middle = 0.5 * (low + high);
    if (pathRatio(path, middle) < ratio) low = middle; else high = middle;
  }
  return 0.5 * (low + high);
}

// The angle atan2(alpha, sigma), asin(alpha) on VP: a time in which the flows of VP and VE are smooth to the end.
function pathAngle(path, t) {
  return Math.atan2(path.alpha(t), path.sigma(t));
}

// The time of an angle.
function timeOfAngle(path, angle) {
  const tangent = Math.tan(angle);
  return timeOfRatio(path, tangent / (1 + tangent));
}

// dt / d(angle) = (alpha^2 + sigma^2) sigma / (dAlpha sigma^2 - alpha sigma dSigma): goes to 0 where dSigma goes to minus infinity.
function angleRate(path, t) {
  const alpha = path.alpha(t), sigma = path.sigma(t);
  return ((alpha ** 2 + sigma ** 2) * sigma) / (path.dAlpha(t) * sigma ** 2 - alpha * path.sigmaDSigma(t));
}
