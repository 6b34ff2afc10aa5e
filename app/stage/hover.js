// The particle under the pointer, thickened in both stages: its path, where it is, and its ghost.

// at: [x, y] where the particle is now; run: the flow whose path is drawn; ghost: { solver, exact, k } of this row alone.
function drawHovered(ctx, view, look, run, row, colour, at, ghost) {
  ctx.lineJoin = "round";
  for (const [width, stroke] of [[6, look.paper], [3, classColour(look, colour[row])]]) {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = width * look.stroke;
    ctx.beginPath();
    addTrace(ctx, view, run, row, 1);
    ctx.stroke();
  }
  drawGhosts(ctx, view, { ...look, stroke: 1.7 * look.stroke }, ghost, 1);
  ctx.beginPath();
  ctx.arc(toPixelX(view, at[0]), toPixelY(view, at[1]), 5 * look.stroke, 0, 2 * Math.PI);
  ctx.fillStyle = classColour(look, colour[row]);
  ctx.fill();
  ctx.strokeStyle = look.ink;
  ctx.lineWidth = 1.5 * look.stroke;
  ctx.stroke();
}
