// What a stage shows of a world besides particles: density and velocity over the box, the probe, pairs of the coupling, and a learned field's error.

const PROBE_LINES = 5;

// Centres of columns x rows cells over a box, row 0 at the top: Float64Array(2 columns rows).
function cellCentres(box, columns, rows) {
  const out = new Float64Array(2 * columns * rows), width = (box.right - box.left) / columns, height = (box.top - box.bottom) / rows;
  for (let i = 0, at = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, at += 2) {
      out[at] = box.left + (j + 0.5) * width;
      out[at + 1] = box.top - (i + 0.5) * height;
    }
  }
  return out;
}

// log p_t over the box, Float32Array(columns rows).
function densityOver(world, box, t, columns, rows) {
  const out = new Float64Array(columns * rows);
  logDensity(world.field, Math.min(t, world.lastTime), cellCentres(box, columns, rows), null, out);
  return Float32Array.from(out);
}

// The velocity over the box, averaged over what a field that sees the class is told: { x, y, u, v, weight: Float32Array(columns rows) }; weight fades from 1 to 0 where p_t is tiny.
function fieldGrid(world, box, t, columns, rows) {
  const points = cellCentres(box, columns, rows), n = columns * rows, u = new Float64Array(2 * n), log = new Float64Array(n), time = Math.min(t, world.lastTime);
  exactFlowOf(world.field, null).velocity(points, time, u);
  logDensity(world.field, time, points, null, log);
  const pickOut = (from, i) => Float32Array.from({ length: n }, (_, k) => from[2 * k + i]);
  return {
    x: pickOut(points, 0), y: pickOut(points, 1), u: pickOut(u, 0), v: pickOut(u, 1),
    weight: presence(log, 12, 4),
  };
}

// From log densities, 1 where particles come and 0 where p_t is tiny: below e^-from of the most, even on the logarithm up to e^-to.
function presence(log, from, to) {
  const most = log.reduce((a, b) => Math.max(a, b), -Infinity);
  return Float32Array.from(log, (value) => Math.min(1, Math.max(0, (value - most + from) / (from - to))));
}

// What a point at time t may come from and go to: { u, v, shares: [{ share, x0, x1, k: target component }] of the five heaviest pairs, rest }.
function probeOf(world, x, y, t) {
  const time = Math.min(t, world.lastTime), out = new Float64Array(2), found = posteriorPairs(world.field, x, y, time, -1);
  exactFlowOf(world.field, null).velocity(Float64Array.of(x, y), time, out);
  const shares = found.slice(0, PROBE_LINES).map(({ share, pair, x0, x1 }) => ({ share, x0, x1, k: world.field.pairs.target[pair] }));
  return { u: out[0], v: out[1], shares, rest: found.slice(PROBE_LINES).reduce((sum, { share }) => sum + share, 0) };
}

// |learned - exact| over the box where the field is learned (both told the class that is likeliest at t = 1 where they see it), faded like the arrows where hardly any
// particle comes, since nothing was learned there: Float32Array(columns rows).
function errorGrid(world, box, t, columns, rows) {
  const points = cellCentres(box, columns, rows), n = columns * rows, learned = new Float64Array(2 * n), exact = new Float64Array(2 * n), time = Math.min(t, world.lastTime);
  const told = world.seesClass ? likeliestClass(world.target, points) : null;
  gridFlowOf(world.grid, world.path, told).velocity(points, time, learned);
  exactFlowOf(world.field, told).velocity(points, time, exact);
  const log = new Float64Array(n);
  logDensity(world.field, time, points, null, log);
  const weight = presence(log, 7, 2);
  return Float32Array.from(distances(learned, exact), (error, i) => weight[i] * error);
}

// At most 32 pairs of the coupling: x_0, y_0, x_1, y_1 of each, Float64Array(4m). Independent and block couplings draw x_1 given x_0 by the plan; full OT shows its own pairs.
function drawnPairs(world) {
  const m = Math.min(PAIRS_DRAWN, world.scene.count), out = new Float64Array(4 * m);
  const put = (i, x0, x1) => { out[4 * i] = x0[0]; out[4 * i + 1] = x0[1]; out[4 * i + 2] = x1[0]; out[4 * i + 3] = x1[1]; };
  if (world.paired) {
    const { x0, x1 } = world.paired;
    for (let i = 0; i < m; i++) put(i, x0.subarray(2 * i, 2 * i + 2), x1.subarray(2 * i, 2 * i + 2));
    return out;
  }
  const { pairs, m: means, mu, S, Sigma, C } = world.field, chosen = schedule(pairs.weight, m);
  const first = normalPairs(world.scene.seed, m, SOURCE_STREAM), second = normalPairs(world.scene.seed, m, TARGET_STREAM);
  for (let i = 0; i < m; i++) {
    const p = chosen[i], s = [S[3 * p], S[3 * p + 1], S[3 * p + 2]], c = C ? [C[4 * p], C[4 * p + 1], C[4 * p + 2], C[4 * p + 3]] : [0, 0, 0, 0];
    const from = factorTimes(s, first[2 * i], first[2 * i + 1]), [a, b, d] = inverseOfMatrix(s);
    // x_1 given x_0: mean mu + C^T S^-1 (x_0 - m), covariance Sigma - C^T S^-1 C.
    const w = [a * from[0] + b * from[1], b * from[0] + d * from[1]], given = [c[0] * w[0] + c[2] * w[1], c[1] * w[0] + c[3] * w[1]];
    const q = [a * c[0] + b * c[2], a * c[1] + b * c[3], b * c[0] + d * c[2], b * c[1] + d * c[3]];
    const left = [Sigma[3 * p] - c[0] * q[0] - c[2] * q[2], Sigma[3 * p + 1] - c[0] * q[1] - c[2] * q[3], Sigma[3 * p + 2] - c[1] * q[1] - c[3] * q[3]];
    const rest = factorTimes(left, second[2 * i], second[2 * i + 1]);
    put(i, [means[2 * p] + from[0], means[2 * p + 1] + from[1]], [mu[2 * p] + given[0] + rest[0], mu[2 * p + 1] + given[1] + rest[1]]);
  }
  return out;
}

// L z for the lower Cholesky factor of a covariance [xx, xy, yy]; a covariance that a transport map leaves empty gives 0.
function factorTimes([a, b, d], z1, z2) {
  const l11 = Math.sqrt(Math.max(0, a)), l21 = l11 > 1e-9 ? b / l11 : 0, l22 = Math.sqrt(Math.max(0, d - l21 * l21));
  return [l11 * z1, l21 * z1 + l22 * z2];
}
