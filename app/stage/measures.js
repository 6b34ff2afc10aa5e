// What the lab measures, defined as in lab/measures.py, over blocks of particles that add up: a page measures a few hundred at once and the rest in slices.

const NFE_LADDER = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const NEGLIGIBLE_ERROR = 1e-10; // errors below this are rounding

// Root mean square, median and maximum of distances (n).
function summary(values) {
  const sorted = Float64Array.from(values).sort(), n = sorted.length;
  let square = 0;
  for (const v of sorted) square += v * v;
  return { rmse: Math.sqrt(square / n), median: 0.5 * (sorted[(n - 1) >> 1] + sorted[n >> 1]), max: sorted[n - 1] };
}

// Local truncation error: from the exact state at t_k one step of the solver against the exact flow; ab2 gets the exact slope one step before, and begins with Euler's.
// Distances of every step and particle: Float64Array(K n). `run` is the reference's, which goes through `times`.
function localDistances(flow, path, run, times, method) {
  const K = times.length - 1, n = run.n, at = placesOf(times, run.t), memory = {}, after = scratch(5, 2 * n), out = new Float64Array(K * n);
  for (let k = 0; k < K; k++) {
    solverStep(method, flow, path, stateOf(run, at[k]), times[k], times[k + 1], memory, after);
    out.set(distances(after, stateOf(run, at[k + 1])), k * n);
  }
  return out;
}

// Straightness of each particle: integral of |u(x_t, t) - (x(1) - x(0)) / T|^2 over t by the trapezoid, Float64Array(n). `run` has all its slopes.
function straightnessOf(run) {
  const { n, t, slopes } = run, m = t.length - 1, last = stateOf(run, m), first = stateOf(run, 0), span = t[m] - t[0];
  const out = new Float64Array(n), chord = Float64Array.from(last, (v, i) => (v - first[i]) / span);
  for (let k = 0; k <= m; k++) {
    const weight = 0.5 * ((k > 0 ? t[k] - t[k - 1] : 0) + (k < m ? t[k + 1] - t[k] : 0)), base = 2 * n * k;
    for (let i = 0; i < n; i++) {
      const dx = slopes[base + 2 * i] - chord[2 * i], dy = slopes[base + 2 * i + 1] - chord[2 * i + 1];
      out[i] += weight * (dx * dx + dy * dy);
    }
  }
  return out;
}

// Sum over particles of |du/dt|^2 on every interval, by forward differences, and of |u|^2 at every time: { acceleration: Float64Array(m), speed: Float64Array(m + 1) }.
function motionSums(run) {
  const { n, t, slopes } = run, m = t.length - 1, acceleration = new Float64Array(m), speed = new Float64Array(m + 1);
  for (let k = 0; k <= m; k++) {
    const base = 2 * n * k, later = base + 2 * n, rate = k < m ? 1 / (t[k + 1] - t[k]) : 0;
    let fast = 0, bent = 0;
    for (let i = 0; i < 2 * n; i++) {
      fast += slopes[base + i] ** 2;
      if (k < m) bent += ((slopes[later + i] - slopes[base + i]) * rate) ** 2;
    }
    speed[k] = fast;
    if (k < m) acceleration[k] = bent;
  }
  return { acceleration, speed };
}

// Sums over particles of displacement and of length along a run: { displacement, length }.
function wayOf(run) {
  const m = run.t.length - 1, sum = (values) => values.reduce((a, b) => a + b, 0);
  let length = 0;
  for (let k = 0; k < m; k++) length += sum(distances(stateOf(run, k + 1), stateOf(run, k)));
  return { displacement: sum(distances(endOf(run), stateOf(run, 0))), length };
}

// Everything about one block of a world's particles, from row `first`: what `settle` adds up.
// particles { x0, condition } of the block; run: the solver's states of the block. budgets: those of the ladder, [] for none; ladder: its distances where they are known already.
function measureBlock(world, particles, run, { first = 0, budgets = [], ladder = null } = {}) {
  const { path } = world, truth = trueFlowOf(world, particles.condition, first), start = startOf(world, particles.x0);
  const reference = referenceFlow(truth, path, start, run.t), fine = flowAlong(truth, path, reference), exactEnd = endOf(reference.run);
  const rung = (nfe) => distances(endOf(solveRun(flowOf(world, particles.condition, first), path, start, sceneTimes(world, nfe), run.method)), exactEnd);
  return {
    n: run.n, times: run.t, fineTimes: fine.t, budgets, reference: reference.run,
    error: distances(endOf(run), exactEnd), difference: reference.difference,
    local: localDistances(flowOf(world, particles.condition, first), path, reference.run, run.t, run.method),
    straightness: straightnessOf(fine), motion: motionSums(fine), way: wayOf(fine),
    flowCost: meanSquaredDistance(start, exactEnd) * run.n,
    wrong: wrongClasses(world.target, endOf(run), exactEnd),
    ladder: ladder || budgets.map(rung),
  };
}

// How many end points (2n) most likely belong to another class than the exact ones.
function wrongClasses(target, ends, exactEnds) {
  const own = likeliestClass(target, ends), exact = likeliestClass(target, exactEnds);
  return own.reduce((count, c, i) => count + (c !== exact[i] ? 1 : 0), 0);
}

// A learned field's error has a floor of its own, and no order. The measures of a scene from its blocks, which have times and budgets in common.
function settle(world, blocks) {
  const { times, fineTimes, budgets } = blocks[0], n = blocks.reduce((sum, b) => sum + b.n, 0), join = (pick) => joined(blocks.map(pick));
  const total = (pick) => blocks.reduce((sum, b) => sum + pick(b), 0), K = times.length - 1, m = fineTimes.length - 1;
  const local = Array.from({ length: K }, (_, k) => summary(join((b) => b.local.subarray(k * b.n, (k + 1) * b.n))));
  const along = (key, k) => total((b) => b.motion[key][k]) / n;
  const accelerationValues = Float64Array.from({ length: m }, (_, k) => along("acceleration", k));
  const way = { displacement: total((b) => b.way.displacement) / n, length: total((b) => b.way.length) / n };
  const still = way.length === 0 || way.displacement < 0.05 * mixtureSpread(world.target);
  const ladder = budgets.map((nfe, i) => ({ nfe, ...summary(join((b) => b.ladder[i])) }));
  const referenceError = summary(join((b) => b.difference)).rmse;
  return {
    n,
    globalError: { ...summary(join((b) => b.error)), referenceError },
    localError: { t: times.slice(0, K), rmse: local.map((s) => s.rmse), median: local.map((s) => s.median) },
    straightness: total((b) => b.straightness.reduce((x, y) => x + y, 0)) / n,
    acceleration: accelerationValues.reduce((sum, a, k) => sum + a * (fineTimes[k + 1] - fineTimes[k]), 0),
    accelerationAlong: { t: accelerationValues.map((_, k) => 0.5 * (fineTimes[k] + fineTimes[k + 1])), values: accelerationValues },
    speedAlong: { t: fineTimes, values: Float64Array.from(fineTimes, (_, k) => along("speed", k)) },
    pathEfficiency: still ? null : way.displacement / way.length,
    transportCost: { coupling: world.cost, flow: total((b) => b.flowCost) / n },
    wrongClass: total((b) => b.wrong) / n,
    ladder: { points: ladder, referenceError, order: world.grid ? null : fittedOrder(ladder, referenceError) },
  };
}

// One array of all.
function joined(arrays) {
  const out = new Float64Array(arrays.reduce((sum, a) => sum + a.length, 0));
  arrays.reduce((at, a) => { out.set(a, at); return at + a.length; }, 0);
  return out;
}

// Order of convergence: minus the slope of log median error over log NFE across the last four budgets whose errors are ten times above the floor; null where fewer are,
// or where the three successive slopes do not agree within 0.2.
function fittedOrder(ladder, floor) {
  const clean = ladder.filter(({ median }) => median > 10 * Math.max(floor, NEGLIGIBLE_ERROR)).slice(-4);
  if (clean.length < 4) return null;
  const slope = (a, b) => -Math.log(b.median / a.median) / Math.log(b.nfe / a.nfe);
  const slopes = [0, 1, 2].map((i) => slope(clean[i], clean[i + 1]));
  return Math.max(...slopes) - Math.min(...slopes) > 0.2 ? null : slope(clean[0], clean[3]);
}

// The budgets of the ladder that a method can use exactly.
function ladderBudgets(method) {
  return NFE_LADDER.filter((nfe) => nfe % evaluationsPerStep(method) === 0);
}

// The times of the scene's solver at a budget of evaluations.
function sceneTimes(world, nfe) {
  return timeGrid(world.scene.grid, nfe / evaluationsPerStep(world.scene.solver), world.path, world.lastTime);
}

// The solver's run of a scene for these particles (from row `first` of the world's own).
function sceneRun(world, particles, { first = 0 } = {}) {
  const { scene, path } = world;
  return solveRun(flowOf(world, particles.condition, first), path, startOf(world, particles.x0), sceneTimes(world, scene.nfe), scene.solver);
}

// Rows first to end - 1 of particles, as views.
function particleRows(particles, first, end) {
  const { x0, condition, component } = particles;
  return { count: end - first, x0: x0.subarray(2 * first, 2 * end), condition: condition.subarray(first, end), component: component.subarray(first, end) };
}
