// Pairs of the coupling, what a network would be trained to follow: grey lines from an open square x_0 to a filled one x_1.

// pairs: Float64Array(4m) of x_0, y_0, x_1, y_1.
function drawPairs(ctx, view, look, pairs) {
  const side = 4 * look.stroke;
  ctx.strokeStyle = look.line;
  ctx.fillStyle = look.quiet;
  ctx.lineWidth = 0.9 * look.stroke;
  ctx.globalAlpha = 0.85;
  ctx.beginPath();
  for (let i = 0; i < pairs.length; i += 4) {
    ctx.moveTo(toPixelX(view, pairs[i]), toPixelY(view, pairs[i + 1]));
    ctx.lineTo(toPixelX(view, pairs[i + 2]), toPixelY(view, pairs[i + 3]));
  }
  ctx.stroke();
  ctx.globalAlpha = 1;
  ctx.strokeStyle = look.quiet;
  for (let i = 0; i < pairs.length; i += 4) {
    const x = toPixelX(view, pairs[i]) - 0.5 * side, y = toPixelY(view, pairs[i + 1]) - 0.5 * side;
    ctx.fillStyle = look.paper;
    ctx.fillRect(x, y, side, side);
    ctx.strokeRect(x, y, side, side);
    ctx.fillStyle = look.quiet;
    ctx.fillRect(toPixelX(view, pairs[i + 2]) - 0.5 * side, toPixelY(view, pairs[i + 3]) - 0.5 * side, side, side);
  }
}
