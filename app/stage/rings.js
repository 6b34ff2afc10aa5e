// Where another scene's particles end, as hollow rings: the same scene's particles fall into them if nothing has moved.

// ends: Float64Array(2n); rows: those drawn.
function drawRings(ctx, view, look, ends, rows) {
  const radius = 3.6 * look.stroke;
  ctx.strokeStyle = look.ink;
  ctx.lineWidth = look.stroke;
  ctx.globalAlpha = 0.75;
  ctx.beginPath();
  for (const row of rows) {
    const x = toPixelX(view, ends[2 * row]), y = toPixelY(view, ends[2 * row + 1]);
    ctx.moveTo(x + radius, y);
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
}
