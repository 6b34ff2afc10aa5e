// Paths of the traced particles, with the solver's states as dots.

const TRACE_POINTS_MOVING = 13; // while a control moves: longer polylines cost 3 ms a frame

// One polyline for each traced row of `run`, in its class's colour. moving: draws at most 13 points of each.
function drawTraces(ctx, view, look, run, rows, colour, moving) {
  const steps = run.t.length - 1, stride = moving ? Math.ceil(steps / (TRACE_POINTS_MOVING - 1)) : 1;
  ctx.lineWidth = 1.25 * look.stroke;
  ctx.lineJoin = "round";
  ctx.globalAlpha = look.traceOpacity;
  for (const row of rows) {
    ctx.strokeStyle = classColour(look, colour[row]);
    ctx.beginPath();
    addTrace(ctx, view, run, row, stride);
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
}

// Adds the polyline of one row to the present path; its last state always belongs to it.
function addTrace(ctx, view, run, row, stride) {
  const steps = run.t.length - 1, { x, n } = run;
  for (let k = 0; ; k = Math.min(steps, k + stride)) {
    const at = 2 * (n * k + row), px = toPixelX(view, x[at]), py = toPixelY(view, x[at + 1]);
    if (k === 0) ctx.moveTo(px, py); else ctx.lineTo(px, py);
    if (k === steps) return;
  }
}

// The solver's states of the traced rows as one list of points: { points: Float64Array(2m) interleaved, colour: Int32Array(m) }.
function traceDots(run, rows, colour) {
  const states = run.t.length, points = new Float64Array(2 * states * rows.length), colours = new Int32Array(states * rows.length);
  for (let k = 0, m = 0; k < states; k++) {
    for (let i = 0; i < rows.length; i++, m++) {
      const at = 2 * (run.n * k + rows[i]);
      points[2 * m] = run.x[at];
      points[2 * m + 1] = run.x[at + 1];
      colours[m] = colour[rows[i]];
    }
  }
  return { points, colour: colours };
}
