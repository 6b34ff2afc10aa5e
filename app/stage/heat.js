// The error of a learned field, |learned - exact|, in cividis: 0 is dark blue, `scale` and more is yellow; the same scale for both stages.

// 33 even knots of cividis (Nunez, Anderton & Renslow 2018), between which the colours run straight.
const CIVIDIS = [
  "#00224e", "#00285b", "#002e6a", "#043371", "#1a386f", "#273e6e", "#32436d", "#3b496c", "#434e6c", "#4b546c", "#52596d",
  "#5a5f6e", "#61656f", "#686a71", "#6f7073", "#757676", "#7c7b78", "#848179", "#8b8778", "#938d78", "#9b9376", "#a39a75",
  "#aba072", "#b3a670", "#bbad6c", "#c3b469", "#ccba64", "#d4c15f", "#ddc958", "#e6d051", "#efd748", "#f8df3c", "#fee838",
];

// 256 pixels of cividis, as 32-bit words for an ImageData's buffer.
function cividisPixels() {
  const parts = CIVIDIS.map(rgbOf), steps = parts.length - 1;
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * steps, k = Math.min(steps - 1, Math.floor(place)), share = place - k;
    const [r, g, b] = parts[k].map((part, channel) => Math.round(part + share * (parts[k + 1][channel] - part)));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

// Paints an error grid (Float32Array(columns rows), data units per unit of time) into opaque pixels; scale > 0 in the same units.
function writeHeat(pixels, imageWidth, imageHeight, view, error, columns, rows, scale) {
  upscale(error, columns, rows, boxInDevicePixels(view), pixels, imageWidth, imageHeight, cividisPixels(), 0, 255 / scale);
}

// The legend at the stage's lower right: a bar of cividis from 0 to the scale.
function drawHeatBar(ctx, view, look, scale) {
  const width = Math.min(110, 0.3 * view.width), height = 6 * look.stroke, left = view.width - width - 12, top = view.height - 34 * look.stroke;
  for (let i = 0; i < 64; i++) {
    ctx.fillStyle = CIVIDIS[Math.round(i / 2)];
    ctx.fillRect(left + (i * width) / 64, top, width / 64 + 0.5, height);
  }
  drawWords(ctx, look, "0", left, top - 4, { size: look.text - 1 });
  drawWords(ctx, look, `error of the field  ${shortNumber(scale)}`, left + width, top - 4, { size: look.text - 1, align: "right" });
}
