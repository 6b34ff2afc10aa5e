// A stage, or several side by side, as PNG.

// Promise of a Blob (image/png) of the canvases beside each other, `gap` device pixels of paper between them.
function stagesPng(canvases, paper, gap = 16) {
  const width = canvases.reduce((sum, canvas) => sum + canvas.width, gap * (canvases.length - 1)), height = Math.max(...canvases.map((canvas) => canvas.height));
  const sheet = canvases[0].ownerDocument.createElement("canvas");
  sheet.width = width; sheet.height = height;
  drawBeside(sheet.getContext("2d", { alpha: false }), canvases, paper, gap);
  return new Promise((done, failed) => {
    sheet.toBlob((blob) => (blob ? done(blob) : failed(new Error(`the browser could not make a PNG of ${width} x ${height} pixels; try a smaller window`))), "image/png");
  });
}

// Draws canvases beside each other onto a sheet's context.
function drawBeside(ctx, canvases, paper, gap) {
  ctx.fillStyle = paper;
  ctx.fillRect(0, 0, ctx.canvas.width, ctx.canvas.height);
  let left = 0;
  for (const canvas of canvases) {
    ctx.drawImage(canvas, left, 0);
    left += canvas.width + gap;
  }
}
