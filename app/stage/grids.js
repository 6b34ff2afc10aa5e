// Times of the fixed-step solvers, as lab/grids.py has them.

const EDM_RHO = 7, EDM_SIGMA_MAX = 80, EDM_SIGMA_MIN = 0.002; // Karras et al. 2022, table 1
const GRID_SHIFT = 3; // Esser et al. 2024

// count + 1 equal fractions 0, 1/count, ..., 1, from both ends to the middle as torch.linspace counts them.
function fractions(count) {
  const step = 1 / count, half = (count + 1) >> 1;
  return Float64Array.from({ length: count + 1 }, (_, i) => (i < half ? step * i : 1 - step * (count - i)));
}

// `steps` + 1 times from 0 to `last`, both exact. name: uniform, cosine, edm, shifted, snr; the last depends on the path, and so does edm.
function timeGrid(name, steps, path, last) {
  let t;
  if (name === "snr") {
    const first = pathRatio(path, 0), end = pathRatio(path, last);
    t = fractions(steps).map((s) => timeOfRatio(path, first + (end - first) * s));
  } else if (name === "edm") {
    const most = 1 / pathRatio(path, 0) - 1, least = 1 / pathRatio(path, last) - 1, endsNoisy = least > EDM_SIGMA_MIN;
    const low = Math.max(least, EDM_SIGMA_MIN) ** (1 / EDM_RHO), high = Math.min(most, EDM_SIGMA_MAX) ** (1 / EDM_RHO);
    const count = steps - 1 + (endsNoisy ? 1 : 0);
    t = new Float64Array(steps + 1).fill(last);
    (count > 0 ? fractions(count) : [0]).forEach((s, i) => { t[i] = timeOfRatio(path, 1 / (1 + (high + s * (low - high)) ** EDM_RHO)); });
  } else {
    const fraction = { uniform: (s) => s, cosine: (s) => 0.5 - 0.5 * Math.cos(Math.PI * s), shifted: (s) => s / (GRID_SHIFT - (GRID_SHIFT - 1) * s) }[name];
    t = fractions(steps).map((s) => last * fraction(s));
  }
  t[0] = 0;
  t[steps] = last;
  return t;
}
