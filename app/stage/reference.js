// The exact flow that errors are measured against: RK4 on a fine grid through the solver's times (lab/reference.py), its error bounded by half as many steps.

const REFERENCE_STEPS = 64, GRADED_STEPS = 256, GRADED_SAMPLES = 4096;

// A fine grid through all `times`: each interval cut into equal parts, in all at least `steps` and an even number in each; parts are equal in the angle on VP and VE.
function refinedTimes(times, steps, path) {
  const intervals = times.length - 1, parts = 2 * Math.ceil(Math.max(2, Math.ceil(steps / intervals)) / 2);
  const out = new Float64Array(intervals * parts + 1), straight = path.lastTime === 1;
  for (let k = 0; k < intervals; k++) {
    const first = straight ? times[k] : pathAngle(path, times[k]), last = straight ? times[k + 1] : pathAngle(path, times[k + 1]);
    out[k * parts] = times[k];
    for (let i = 1; i < parts; i++) {
      const at = first + (last - first) * (i / parts);
      out[k * parts + i] = straight ? at : timeOfAngle(path, at);
    }
  }
  out[intervals * parts] = times[intervals];
  return out;
}

// Every second time of a grid with an even number of steps.
function coarserTimes(grid) {
  return grid.filter((_, i) => i % 2 === 0);
}

// RK4 along `grid`, in t or, on VP and VE, in the angle: dx/d(angle) = u dt/d(angle), which stays smooth to the end where u does not.
// { n, t, x: Float64Array((m + 1) 2n), slopes: Float64Array((m + 1) 2n) of the velocities met on the way (the last state's is filled by `slopesAlong`), nfe }.
function exactRun(flow, path, x0, grid) {
  const length = x0.length, steps = grid.length - 1, straight = path.lastTime === 1, before = flow.nfe;
  const x = new Float64Array((steps + 1) * length), slopes = new Float64Array((steps + 1) * length);
  const inner = scratch(0, length), second = scratch(1, length), third = scratch(2, length), last = scratch(3, length), first = scratch(4, length);
  const angles = straight ? grid : grid.map((t) => pathAngle(path, t));
  const rateAt = straight ? () => 1 : (t) => angleRate(path, t);
  x.set(x0);
  for (let k = 0; k < steps; k++) {
    const state = x.subarray(k * length, (k + 1) * length), next = x.subarray((k + 1) * length, (k + 2) * length);
    const h = angles[k + 1] - angles[k], t = grid[k], later = grid[k + 1];
    const middle = straight ? stageTime(t, 0.5, h) : timeOfAngle(path, 0.5 * (angles[k] + angles[k + 1])), end = straight ? stageTime(t, 1, h) : later;
    const slope = (from, at, out) => {
      flow.velocity(from, at, out);
      if (!straight) { const rate = rateAt(at); for (let i = 0; i < length; i++) out[i] *= rate; }
    };
    flow.velocity(state, t, first);
    slopes.set(first, k * length);
    if (!straight) { const rate = rateAt(t); for (let i = 0; i < length; i++) first[i] *= rate; }
    for (let i = 0; i < length; i++) inner[i] = state[i] + 0.5 * h * first[i];
    slope(inner, middle, second);
    for (let i = 0; i < length; i++) inner[i] = state[i] + 0.5 * h * second[i];
    slope(inner, middle, third);
    for (let i = 0; i < length; i++) inner[i] = state[i] + h * third[i];
    slope(inner, end, last);
    for (let i = 0; i < length; i++) next[i] = state[i] + (h / 6) * (first[i] + 2 * (second[i] + third[i]) + last[i]);
  }
  return { n: length / 2, t: grid, x, slopes, nfe: flow.nfe - before, method: "rk4" };
}

// Fills the velocity at a run's last state, so that all are known, and returns the slopes.
function slopesAlong(run, flow) {
  const m = run.t.length - 1, length = 2 * run.n;
  flow.velocity(stateOf(run, m), run.t[m], run.slopes.subarray(m * length, (m + 1) * length));
  return run.slopes;
}

// The exact flow through `times`, and each particle's distance to the end of half as many steps, which bounds its error: { run, difference: Float64Array(n) }.
function referenceFlow(flow, path, x0, times, steps = REFERENCE_STEPS) {
  const grid = refinedTimes(times, steps, path), run = exactRun(flow, path, x0, grid);
  return { run, difference: distances(endOf(run), endOf(exactRun(flow, path, x0, coarserTimes(grid)))) };
}

// Distance of each particle between two states (2n each): Float64Array(n).
function distances(a, b) {
  return Float64Array.from({ length: a.length / 2 }, (_, i) => Math.sqrt((a[2 * i] - b[2 * i]) ** 2 + (a[2 * i + 1] - b[2 * i + 1]) ** 2));
}

// The index of each of `times` in a reference's grid, which goes through all of them.
function placesOf(times, grid) {
  const out = new Int32Array(times.length);
  let at = 0;
  times.forEach((t, k) => {
    while (at + 1 < grid.length && Math.abs(grid[at + 1] - t) <= Math.abs(grid[at] - t)) at++;
    out[k] = at;
  });
  return out;
}

// Times from 0 to `last` for integrals along a flow of VP or VE: equal steps in the sum of t, the angle and -log sigma, each over its own range (lab/reference.py `graded`).
function gradedTimes(path, last, steps = GRADED_STEPS) {
  const near = fractions(GRADED_SAMPLES - 1).map((s) => 1 - 10 ** (s * Math.log10(1 - UNBOUNDED_LAST_TIME)));
  const all = [...fractions(GRADED_SAMPLES - 1), ...near].map((t) => Math.min(Math.max(t, 0), last)).sort((a, b) => a - b);
  const t = Float64Array.from(all.filter((value, i) => i === 0 || value !== all[i - 1]));
  const parts = [t, t.map((v) => pathAngle(path, v)), t.map((v) => -Math.log(path.sigma(Math.min(v, path.lastTime))))];
  const way = new Float64Array(t.length), end = t.length - 1;
  for (const part of parts) for (let i = 0; i <= end; i++) way[i] += (part[i] - part[0]) / (part[end] - part[0]);
  const out = new Float64Array(steps + 1);
  for (let k = 0, i = 0; k <= steps; k++) {
    const wanted = (way[end] * k) / steps;
    while (i < end - 1 && way[i + 1] < wanted) i++;
    out[k] = t[i] + ((t[i + 1] - t[i]) / (way[i + 1] - way[i])) * (wanted - way[i]);
  }
  out[0] = 0;
  out[steps] = last;
  return out;
}

// The exact flow at times between which straightness and acceleration can be summed: the reference's own, on VP and VE those of gradedTimes; its slopes complete.
function flowAlong(flow, path, reference) {
  const { run } = reference, length = 2 * run.n;
  const fine = path.lastTime === 1 ? run : exactRun(flow, path, run.x.subarray(0, length), gradedTimes(path, run.t[run.t.length - 1]));
  slopesAlong(fine, flow);
  return fine;
}
