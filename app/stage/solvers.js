// Fixed-step integration of a flow, as lab/solvers.py and lab/tableaus.py have it. Evaluations are counted at the flow, never inferred from steps.
// A flow (app/stage/flows.js) has velocity(x, t, out) and blend(x, t, p, q, out) = p E[x_1 | x] + q E[x_0 | x] for its particles, and nfe.

// Butcher tableaus: stage i sits at t + nodes[i] h and x + h sum_j matrix[i][j] k_j; the step is x + h sum_i weights[i] k_i.
const TABLEAUS = {
  euler: { order: 1, nodes: [0], matrix: [[]], weights: [1] },
  midpoint: { order: 2, nodes: [0, 1 / 2], matrix: [[], [1 / 2]], weights: [0, 1] },
  heun: { order: 2, nodes: [0, 1], matrix: [[], [1]], weights: [1 / 2, 1 / 2] },
  ralston: { order: 2, nodes: [0, 2 / 3], matrix: [[], [2 / 3]], weights: [1 / 4, 3 / 4] },
  kutta3: { order: 3, nodes: [0, 1 / 2, 1], matrix: [[], [1 / 2], [-1, 2]], weights: [1 / 6, 2 / 3, 1 / 6] },
  rk4: { order: 4, nodes: [0, 1 / 2, 1 / 2, 1], matrix: [[], [1 / 2], [0, 1 / 2], [0, 0, 1]], weights: [1 / 6, 1 / 3, 1 / 3, 1 / 6] },
  "rk4-38": { order: 4, nodes: [0, 1 / 3, 2 / 3, 1], matrix: [[], [1 / 3], [-1 / 3, 1], [1, -1, 1]], weights: [1 / 8, 3 / 8, 3 / 8, 1 / 8] },
};
const FIXED_STEP = [...Object.keys(TABLEAUS), "ab2", "ddim"];

// Evaluations of a method per step: its stages; 1 for ab2 (which begins with an Euler step) and ddim.
function evaluationsPerStep(method) {
  return TABLEAUS[method] ? TABLEAUS[method].weights.length : 1;
}

// The largest budget of at most `nfe` evaluations that a method can use exactly, and at least one step.
function usableNfe(method, nfe) {
  const each = evaluationsPerStep(method);
  return Math.max(each, Math.floor(nfe / each) * each);
}

const scratchArrays = [];
// A reused Float64Array(length) for each slot: steps allocate nothing.
function scratch(slot, length) {
  if (!scratchArrays[slot] || scratchArrays[slot].length !== length) scratchArrays[slot] = new Float64Array(length);
  return scratchArrays[slot];
}

// Rounding must not carry the last stage past the end of [0, 1].
function stageTime(t, node, h) {
  return Math.min(Math.max(t + node * h, 0), 1);
}

// One Runge-Kutta step for all particles from x (2n) at t to `out` (2n, another array).
function rungeKuttaStep(tableau, flow, x, t, h, out) {
  const { nodes, matrix, weights } = tableau, length = x.length, slopes = [];
  for (let stage = 0; stage < nodes.length; stage++) {
    let inner = x;
    if (stage > 0) {
      inner = scratch(0, length);
      inner.set(x);
      matrix[stage].forEach((weight, j) => { if (weight !== 0) addScaled(inner, slopes[j], weight * h); });
    }
    slopes.push(scratch(1 + stage, length));
    flow.velocity(inner, stageTime(t, nodes[stage], h), slopes[stage]);
  }
  out.set(x);
  weights.forEach((weight, j) => { if (weight !== 0) addScaled(out, slopes[j], weight * h); });
}

// x += factor y.
function addScaled(x, y, factor) {
  for (let i = 0; i < x.length; i++) x[i] += factor * y[i];
}

// One step of any fixed-step method from x at t to `out`. `memory` carries ab2's last slope and step from one call to the next: {} at the first.
function solverStep(method, flow, path, x, t, later, memory, out) {
  if (TABLEAUS[method]) {
    rungeKuttaStep(TABLEAUS[method], flow, x, t, later - t, out);
  } else if (method === "ddim") {
    flow.blend(x, t, path.alpha(later), path.sigma(later), out); // x' = alpha' E[x_1 | x] + sigma' E[x_0 | x]: Song et al. 2021, eq. 12, eta = 0
  } else {
    // Two-step Adams-Bashforth for unequal steps: x + h (1 + r/2) k - h (r/2) k_before with r = h / h_before.
    const slope = new Float64Array(x.length), h = later - t;
    flow.velocity(x, t, slope);
    const half = memory.slope ? (0.5 * h) / memory.h : 0;
    out.set(x);
    addScaled(out, slope, h * (1 + half));
    if (memory.slope) addScaled(out, memory.slope, -h * half);
    memory.slope = slope;
    memory.h = h;
  }
}

// A run of `method` over `times` (K + 1) from x0 (2n): { n, t, x: Float64Array((K + 1) 2n), nfe, method }.
function solveRun(flow, path, x0, times, method) {
  const length = x0.length, size = times.length * length, memory = {}, before = flow.nfe;
  const x = new Float64Array(size);
  x.set(x0);
  for (let k = 0; k + 1 < times.length; k++) {
    const state = x.subarray(k * length, (k + 1) * length), next = x.subarray((k + 1) * length, (k + 2) * length);
    solverStep(method, flow, path, state, times[k], times[k + 1], memory, next);
  }
  return { n: length / 2, t: times, x, nfe: flow.nfe - before, method };
}

// State k of a run: a view of 2n numbers.
function stateOf(run, k) {
  return run.x.subarray(k * 2 * run.n, (k + 1) * 2 * run.n);
}

// The last state of a run.
function endOf(run) {
  return stateOf(run, run.t.length - 1);
}
