// Global truncation error: an ink line from where the solver is to an open circle where the exact flow is.

const GHOST_CIRCLE = 2.4; // radius in pixels

// Where the traced rows are at the solver's last time not after `time`: { k, solver: Float64Array(2m), exact: Float64Array(2m) }, rows in the order given.
function ghostsAt(run, exact, rows, time) {
  const k = stateBefore(run.t, time + 1e-9), whole = statesAt(exact, run.t[k], new Float64Array(2 * exact.n));
  const solver = new Float64Array(2 * rows.length), truth = new Float64Array(2 * rows.length);
  rows.forEach((row, i) => {
    for (let c = 0; c < 2; c++) {
      solver[2 * i + c] = run.x[2 * (run.n * k + row) + c];
      truth[2 * i + c] = whole[2 * row + c];
    }
  });
  return { k, solver, exact: truth };
}

// How plain ghosts of the solver's time `at` are when the clock shows `time`: they fade between the solver's states, and hold at the end.
function ghostOpacity(at, time, isLast) {
  return isLast ? 1 : Math.max(0.25, 1 - (time - at) / 0.12);
}

// Draws ghosts as `ghostsAt` gives them; at the start (k = 0) there is no error to draw.
function drawGhosts(ctx, view, look, ghosts, opacity) {
  if (ghosts.k === 0 || opacity <= 0) return;
  const { solver, exact } = ghosts, radius = GHOST_CIRCLE * look.stroke;
  ctx.globalAlpha = opacity;
  ctx.strokeStyle = look.ink;
  ctx.lineWidth = 1.5 * look.stroke;
  ctx.beginPath();
  for (let i = 0; i < solver.length; i += 2) addGhostLine(ctx, view, solver, exact, i, radius);
  ctx.stroke();
  ctx.lineWidth = look.stroke;
  ctx.beginPath();
  for (let i = 0; i < exact.length; i += 2) {
    const x = toPixelX(view, exact[i]), y = toPixelY(view, exact[i + 1]);
    ctx.moveTo(x + radius, y);
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
}

// The line ends on the circle, not in it, so that the circle stays open.
function addGhostLine(ctx, view, solver, exact, i, radius) {
  const x = toPixelX(view, exact[i]), y = toPixelY(view, exact[i + 1]), sx = toPixelX(view, solver[i]), sy = toPixelY(view, solver[i + 1]);
  const length = Math.hypot(sx - x, sy - y);
  if (length <= radius) return;
  ctx.moveTo(sx, sy);
  ctx.lineTo(x + (radius * (sx - x)) / length, y + (radius * (sy - y)) / length);
}
