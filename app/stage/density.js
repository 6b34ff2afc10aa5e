// A density in five grey bands: the smallest regions that hold 98, 90, 75, 50 and 25 % of it.

const BAND_SHARES = [0.98, 0.9, 0.75, 0.5, 0.25];
const BAND_PALETTE = 2048; // steps of log density between the outermost levels
const BAND_DEPTH = 24, BAND_BINS = 480; // log densities further below the highest hold no share worth drawing

// Log densities (one for each share, descending shares give ascending levels) above which the shares of the whole lie; logDensity on an even grid.
function bandLevels(logDensity, shares = BAND_SHARES) {
  let most = -Infinity;
  for (let i = 0; i < logDensity.length; i++) if (logDensity[i] > most) most = logDensity[i];
  const mass = new Float64Array(BAND_BINS), width = BAND_DEPTH / BAND_BINS;
  let total = 0;
  for (let i = 0; i < logDensity.length; i++) {
    const bin = Math.floor((most - logDensity[i]) / width);
    if (bin < BAND_BINS) mass[bin] += 1;
  }
  for (let bin = 0; bin < BAND_BINS; bin++) { mass[bin] *= Math.exp(-(bin + 0.5) * width); total += mass[bin]; }
  return shares.map((share) => {
    let held = 0;
    for (let bin = 0; bin < BAND_BINS; bin++) {
      if (held + mass[bin] >= share * total) return most - (bin + (share * total - held) / mass[bin]) * width;
      held += mass[bin];
    }
    return most - BAND_DEPTH;
  });
}

// Fills `area` { left, top, width, height } (device pixels) of an image of imageWidth x imageHeight from a grid of columns x rows cells, row 0 at the top, whose values stand
// for the cells' centres: bilinear between them. A value v has the pixel palette[round((v - low) factor)], the palette's ends beyond it.
function upscale(grid, columns, rows, area, pixels, imageWidth, imageHeight, palette, low, factor) {
  const firstX = Math.max(0, area.left), lastX = Math.min(imageWidth, area.left + area.width), across = lastX - firstX, most = palette.length - 1;
  const line = new Float64Array(columns), cell = new Int32Array(Math.max(0, across)), share = new Float64Array(Math.max(0, across));
  for (let i = 0; i < across; i++) [cell[i], share[i]] = cellAt(firstX + i - area.left, area.width, columns);
  for (let y = Math.max(0, area.top); y < Math.min(imageHeight, area.top + area.height); y++) {
    const [above, down] = cellAt(y - area.top, area.height, rows);
    for (let i = 0; i < columns; i++) {
      const value = grid[above * columns + i];
      line[i] = (value + down * (grid[(above + 1) * columns + i] - value) - low) * factor + 0.5;
    }
    for (let i = 0, at = y * imageWidth + firstX; i < across; i++, at++) {
      const left = line[cell[i]], value = left + share[i] * (line[cell[i] + 1] - left);
      pixels[at] = palette[value <= 0 ? 0 : value >= most ? most : value | 0];
    }
  }
}

// Between which two of `count` cell centres pixel number `place` of `length` lies: [the first, the share of the second].
function cellAt(place, length, count) {
  const at = Math.max(0, Math.min(count - 1, ((place + 0.5) * count) / length - 0.5)), first = Math.min(count - 2, Math.floor(at));
  return [first, at - first];
}

// Paints the bands into opaque pixels. logDensity: Float32Array(columns rows) at the centres of cells over the box.
function writeDensity(pixels, imageWidth, imageHeight, view, look, logDensity, columns, rows) {
  const levels = bandLevels(logDensity), floor = levels[0] - 40, clamped = logDensity.map((value) => (value > floor ? value : floor)); // -Infinity cannot be interpolated
  const span = levels.at(-1) - levels[0] + 0.02, low = levels[0] - 0.01, factor = (BAND_PALETTE - 1) / span, shades = [look.paper, ...look.bands].map(pixelOf);
  const palette = Uint32Array.from({ length: BAND_PALETTE }, (_, i) => shades[levels.filter((level) => low + i / factor >= level).length]);
  upscale(clamped, columns, rows, boxInDevicePixels(view), pixels, imageWidth, imageHeight, palette, low, factor);
}
