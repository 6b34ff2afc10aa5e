// A velocity on a grid, as a learned field reaches the browser: the twin of toy/learning/grids.py's GridField.
// grid = { values: Float32Array(C T ny nx 2), t: Float64Array(T), boxes: Float64Array(4T) as least x, greatest x, least y, greatest y, classes: C, nx, ny, perAngle }

// The grid's velocity at n points (2n) and time t into out (2n): bilinear in x, linear in t (in the angle where the grid holds velocities per angle, as VP's does).
function gridVelocity(grid, path, x, t, classes, out) {
  const { t: times, perAngle } = grid, T = times.length, clock = perAngle ? (s) => pathAngle(path, s) : (s) => s;
  const time = Math.min(Math.max(t, times[0]), times[T - 1]);
  let k = 0;
  while (k < T - 2 && times[k + 1] <= time) k++;
  const share = (clock(time) - clock(times[k])) / (clock(times[k + 1]) - clock(times[k])), rate = perAngle ? angleRate(path, time) : 1;
  const early = scratch(6, out.length), late = scratch(7, out.length);
  gridLayer(grid, k, x, classes, early);
  gridLayer(grid, k + 1, x, classes, late);
  for (let i = 0; i < out.length; i++) out[i] = (early[i] + share * (late[i] - early[i])) / rate;
}

// Bilinear in x at the grid's time k; outside its box that of the nearest point on the edge.
function gridLayer(grid, k, x, classes, out) {
  const { values, boxes, nx, ny, classes: C } = grid, T = grid.t.length, left = boxes[4 * k], low = boxes[4 * k + 2];
  const acrossScale = (nx - 1) / (boxes[4 * k + 1] - left), upScale = (ny - 1) / (boxes[4 * k + 3] - low);
  for (let i = 0; 2 * i < out.length; i++) {
    const across = Math.min(Math.max((x[2 * i] - left) * acrossScale, 0), nx - 1), up = Math.min(Math.max((x[2 * i + 1] - low) * upScale, 0), ny - 1);
    const column = Math.min(Math.floor(across), nx - 2), row = Math.min(Math.floor(up), ny - 2), a = across - column, b = up - row;
    const own = C > 1 ? classes[i] : 0, at = 2 * (((own * T + k) * ny + row) * nx + column), above = at + 2 * nx;
    for (let d = 0; d < 2; d++) {
      const bottom = values[at + d] + a * (values[at + 2 + d] - values[at + d]), top = values[above + d] + a * (values[above + 2 + d] - values[above + d]);
      out[2 * i + d] = bottom + b * (top - bottom);
    }
  }
}
