// The field as 16 x 16 arrows, of one length scale for all stages, faded where hardly any particle comes.

const ARROW_COLUMNS = 16;
const ARROW_FADES = 6; // steps of opacity, so that arrows of one step are one path

// The speed whose arrow is as long as a cell: the 90 % quantile over the arrows of all stages that count. fields: a list of { u, v, weight }.
function fieldScaleOf(fields) {
  const speeds = fields.flatMap(({ u, v, weight }) => Array.from(u, (_, i) => (weight[i] > 0.2 ? Math.hypot(u[i], v[i]) : -1)).filter((speed) => speed >= 0));
  if (speeds.length === 0) return 1;
  speeds.sort((a, b) => a - b);
  return speeds[Math.floor(0.9 * (speeds.length - 1))] || 1;
}

// field { x, y, u, v, weight in [0, 1] } at cell centres; scale: the speed that fills a cell. Longer arrows are cut at 1.3 cells.
function drawArrows(ctx, view, look, field, scale) {
  const cell = (view.scale * (view.box.right - view.box.left)) / ARROW_COLUMNS, head = Math.min(5 * look.stroke, 0.3 * cell);
  ctx.strokeStyle = look.quiet;
  ctx.lineWidth = look.stroke;
  ctx.lineCap = "round";
  for (let step = 1; step <= ARROW_FADES; step++) {
    ctx.globalAlpha = (0.9 * step) / ARROW_FADES;
    ctx.beginPath();
    let any = false;
    for (let i = 0; i < field.x.length; i++) {
      if (Math.ceil(field.weight[i] * ARROW_FADES - 0.25) !== step) continue;
      const speed = Math.hypot(field.u[i], field.v[i]), length = cell * Math.min(1.3, speed / scale);
      if (!(length > 1.5)) continue;
      const dx = field.u[i] / speed, dy = -field.v[i] / speed;
      addArrow(ctx, toPixelX(view, field.x[i]) - 0.5 * length * dx, toPixelY(view, field.y[i]) - 0.5 * length * dy, dx, dy, length, Math.min(head, 0.45 * length));
      any = true;
    }
    if (any) ctx.stroke();
  }
  ctx.globalAlpha = 1;
  ctx.lineCap = "butt";
}

// Adds an arrow from (x, y) in the unit direction (dx, dy) to the present path, its head open.
function addArrow(ctx, x, y, dx, dy, length, head) {
  const tipX = x + length * dx, tipY = y + length * dy;
  ctx.moveTo(x, y);
  ctx.lineTo(tipX, tipY);
  ctx.moveTo(tipX - head * (dx + 0.55 * dy), tipY - head * (dy - 0.55 * dx));
  ctx.lineTo(tipX, tipY);
  ctx.lineTo(tipX - head * (dx - 0.55 * dy), tipY - head * (dy + 0.55 * dx));
}
