// The error of a learned field, |learned - exact|, in cividis over the paper: none is paper, half a scale and more is opaque; the same scale for both stages. On a light page
// cividis runs from yellow to dark blue, on a dark one from dark blue to yellow, so that the largest error stands out most.

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

// What an error of i / 255 scales looks like: 256 pixels.
function heatPixels(look) {
  const colours = cividisPixels(), paper = rgbOf(look.paper), order = look.dark ? colours : colours.reverse();
  return order.map((word, i) => {
    const share = Math.min(1, i / 128), [r, g, b] = [0, 8, 16].map((shift, channel) => Math.round(paper[channel] + share * (((word >>> shift) & 255) - paper[channel])));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

// Paints an error grid (Float32Array(columns rows), data units per unit of time) into opaque pixels; scale > 0 in the same units.
function writeHeat(pixels, imageWidth, imageHeight, view, look, error, columns, rows, scale) {
  upscale(error, columns, rows, boxInDevicePixels(view), pixels, imageWidth, imageHeight, heatPixels(look), 0, 255 / scale);
}

// The colour of an error, as "#rrggbb", from heatPixels' `colours`.
function heatColour(colours, error, scale) {
  const word = colours[Math.min(255, Math.max(0, Math.round((255 * error) / scale)))];
  return "#" + [0, 8, 16].map((shift) => ((word >>> shift) & 255).toString(16).padStart(2, "0")).join("");
}

// The legend at the stage's lower right: a bar from 0 to the scale.
function drawHeatBar(ctx, view, look, scale) {
  const width = Math.min(110, 0.3 * view.width), height = 6 * look.stroke, left = view.width - width - 12, top = view.height - 34 * look.stroke, colours = heatPixels(look);
  for (let i = 0; i < 64; i++) {
    ctx.fillStyle = heatColour(colours, i, 63);
    ctx.fillRect(left + (i * width) / 64, top, width / 64 + 0.5, height);
  }
  ctx.strokeStyle = look.line;
  ctx.lineWidth = 0.5;
  ctx.strokeRect(left, top, width, height);
  drawWords(ctx, look, `|learned − exact|  0 to ${shortNumber(scale)}`, left + width, top - 5, { size: look.text - 1, align: "right" });
}
