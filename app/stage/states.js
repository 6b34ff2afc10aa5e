// Where particles are at a time on the clock. run = { n, t: Float64Array(K + 1) ascending, x: Float64Array((K + 1) 2n) }.

// The last k with t[k] <= time; 0 before the first.
function stateBefore(times, time) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= time) low = middle; else high = middle - 1;
  }
  return low;
}

// Positions at time t, written to `out` (at least 2 count): the straight line between the run's own states; held before the first and after the last.
function statesAt(run, t, out, count = run.n) {
  const { t: times, x, n } = run, k = stateBefore(times, t), last = times.length - 1, from = 2 * n * k;
  const share = k === last ? 0 : Math.max(0, (t - times[k]) / (times[k + 1] - times[k]));
  if (share === 0) {
    for (let i = 0; i < 2 * count; i++) out[i] = x[from + i];
    return out;
  }
  const next = from + 2 * n;
  for (let i = 0; i < 2 * count; i++) out[i] = x[from + i] + share * (x[next + i] - x[from + i]);
  return out;
}

// The row among `rows` whose point (2n, interleaved) is nearest to (x, y) within `reach`; -1 if none is. Units of the points.
function nearestRow(points, rows, x, y, reach) {
  let best = -1, least = reach * reach;
  for (const row of rows) {
    const square = (points[2 * row] - x) ** 2 + (points[2 * row + 1] - y) ** 2;
    if (square <= least) { least = square; best = row; }
  }
  return best;
}
