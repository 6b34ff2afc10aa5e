// Thousands of anti-aliased discs written into the pixels below them: ten times as fast as canvas arcs (shared sprites of 4 x 4 sub-pixel positions).

const DISC_PHASES = 4; // positions are rounded to a quarter of a device pixel

// Sprites for discs of `radius` with a rim `rim` wide (device pixels), for an image `width` pixels wide.
// fills, rims: "#rrggbb" for each colour index; fillOpacity, rimOpacity in [0, 1] (a fillOpacity of 0 gives rings).
function makeDiscs({ radius, rim, width, fills, rims, fillOpacity, rimOpacity }) {
  const reach = Math.ceil(radius + 1), offsets = [], keeps = [], shades = [], first = [0], columns = [], rows = [];
  for (let phase = 0; phase < DISC_PHASES * DISC_PHASES; phase++) {
    const cx = (phase % DISC_PHASES) / DISC_PHASES, cy = Math.floor(phase / DISC_PHASES) / DISC_PHASES;
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) {
        const distance = Math.hypot(x - cx, y - cy);
        const covered = clampUnit(radius + 0.5 - distance), inside = clampUnit(radius - rim + 0.5 - distance);
        const inner = Math.min(covered, inside) * fillOpacity, outer = Math.max(0, covered - inside) * rimOpacity, alpha = inner + outer;
        if (alpha < 1 / 256) continue;
        offsets.push(y * width + x); columns.push(x); rows.push(y);
        keeps.push(256 - Math.round(256 * alpha)); shades.push(outer / alpha);
      }
    }
    first.push(offsets.length);
  }
  const count = offsets.length, redBlue = new Int32Array(count * fills.length), green = new Int32Array(count * fills.length);
  fills.forEach((fill, c) => {
    const inner = rgbOf(fill), outer = rgbOf(rims[c]);
    for (let i = 0; i < count; i++) {
      const [r, g, b] = inner.map((part, channel) => Math.round(part + shades[i] * (outer[channel] - part)));
      const alpha = 256 - keeps[i];
      redBlue[c * count + i] = (Math.imul((b << 16) | r, alpha) + 0x800080) | 0; // halves added, so that the shift rounds
      green[c * count + i] = (Math.imul(g << 8, alpha) + 0x8000) | 0;
    }
  });
  return {
    reach, colours: fills.length, count, redBlue, green, offsets: Int32Array.from(offsets), keeps: Int32Array.from(keeps),
    first: Int32Array.from(first), columns: Int8Array.from(columns), rows: Int8Array.from(rows),
  };
}

function clampUnit(value) {
  return value < 0 ? 0 : value > 1 ? 1 : value;
}

// Blends discs at points (interleaved data coordinates, rows 0 to count - 1, or those listed in `rows`) into `pixels`, the Uint32Array of an opaque
// image of `width` x `height` device pixels; colour: Int32Array of colour indices by row. Points outside the image are left out.
function writeDiscs(pixels, width, height, discs, view, points, colour, count, rows = null) {
  const { reach, colours, first, offsets, keeps, redBlue, green, columns, rows: lines } = discs, total = discs.count;
  const ax = view.ratio * view.scale, bx = view.ratio * view.shiftX - 0.5, by = view.ratio * view.shiftY - 0.5; // pixel centres lie at halves
  const many = rows === null ? count : rows.length;
  for (let i = 0; i < many; i++) {
    const row = rows === null ? i : rows[i];
    const qx = Math.round(DISC_PHASES * (ax * points[2 * row] + bx)), qy = Math.round(DISC_PHASES * (by - ax * points[2 * row + 1]));
    const x = Math.floor(qx / DISC_PHASES), y = Math.floor(qy / DISC_PHASES);
    if (!(x >= -reach && y >= -reach && x < width + reach && y < height + reach)) continue; // NaN fails this too
    const phase = (qy - DISC_PHASES * y) * DISC_PHASES + (qx - DISC_PHASES * x), shift = (colour[row] % colours) * total, centre = y * width + x;
    const whole = x >= reach && y >= reach && x < width - reach && y < height - reach;
    for (let m = first[phase]; m < first[phase + 1]; m++) {
      if (!whole) {
        const px = x + columns[m], py = y + lines[m];
        if (px < 0 || py < 0 || px >= width || py >= height) continue;
      }
      const at = centre + offsets[m], below = pixels[at], keep = keeps[m];
      const rb = ((Math.imul(below & 0xff00ff, keep) + redBlue[shift + m]) >>> 8) & 0xff00ff;
      const g = ((Math.imul(below & 0xff00, keep) + green[shift + m]) >>> 8) & 0xff00;
      pixels[at] = 0xff000000 | rb | g;
    }
  }
}
