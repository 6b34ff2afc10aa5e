// An animated GIF (GIF89a): one palette for all frames by median cut, LZW, and only what changed since the frame before.

const GIF_COLOURS = 255; // the 256th index is for what did not change
const GIF_BITS = 5; // bits of each channel that colours are told apart by

// A palette of at most 255 colours for RGBA frames (Uint8ClampedArray): { colours: [[r, g, b]], indexOf: Uint8Array(2^15) by the upper five bits of r, g, b }.
function gifPalette(frames) {
  const size = 1 << (3 * GIF_BITS), counts = new Float64Array(size), sums = new Float64Array(3 * size);
  for (const frame of frames) {
    for (let i = 0; i < frame.length; i += 4) {
      const cell = gifCell(frame[i], frame[i + 1], frame[i + 2]);
      counts[cell] += 1; sums[3 * cell] += frame[i]; sums[3 * cell + 1] += frame[i + 1]; sums[3 * cell + 2] += frame[i + 2];
    }
  }
  const cells = [];
  for (let cell = 0; cell < size; cell++) {
    if (counts[cell]) cells.push({ cell, weight: Math.sqrt(counts[cell]), count: counts[cell], rgb: [0, 1, 2].map((c) => sums[3 * cell + c] / counts[cell]) });
  }
  const boxes = cells.length ? [colourBox(cells)] : [];
  while (boxes.length < GIF_COLOURS) {
    const widest = boxes.reduce((best, box, i) => (box.cells.length > 1 && (best < 0 || box.spread > boxes[best].spread) ? i : best), -1);
    if (widest < 0) break;
    boxes.push(...cutBox(boxes.splice(widest, 1)[0]));
  }
  const indexOf = new Uint8Array(size);
  const colours = boxes.map((box, index) => {
    const count = box.cells.reduce((sum, { count: own }) => sum + own, 0);
    for (const { cell } of box.cells) indexOf[cell] = index;
    return [0, 1, 2].map((c) => Math.round(box.cells.reduce((sum, { rgb, count: own }) => sum + own * rgb[c], 0) / count));
  });
  return { colours, indexOf };
}

function gifCell(r, g, b) {
  const drop = 8 - GIF_BITS;
  return ((r >> drop) << (2 * GIF_BITS)) | ((g >> drop) << GIF_BITS) | (b >> drop);
}

// A set of cells with its widest channel and how much is lost if it becomes one colour (rare colours count by the root of their pixels, or thin lines would lose theirs).
function colourBox(cells) {
  const weight = cells.reduce((sum, cell) => sum + cell.weight, 0);
  const variances = [0, 1, 2].map((c) => {
    const mean = cells.reduce((sum, cell) => sum + cell.weight * cell.rgb[c], 0) / weight;
    return cells.reduce((sum, cell) => sum + cell.weight * (cell.rgb[c] - mean) ** 2, 0);
  });
  const channel = variances.indexOf(Math.max(...variances));
  return { cells, channel, spread: variances[channel], weight };
}

// A box cut in two at the weighted median of its widest channel.
function cutBox({ cells, channel, weight }) {
  const sorted = [...cells].sort((a, b) => a.rgb[channel] - b.rgb[channel] || a.cell - b.cell);
  let at = 0, before = 0;
  while (at < sorted.length - 1 && (at === 0 || before + sorted[at].weight <= 0.5 * weight)) before += sorted[at++].weight;
  return [colourBox(sorted.slice(0, at)), colourBox(sorted.slice(at))];
}

// A writer: add(rgba, milliseconds) one frame after another (Uint8ClampedArray(4 width height)), finish() gives the file as Uint8Array. Loops for ever.
function gifWriter(width, height, { colours, indexOf }) {
  const bytes = new ByteSink(), still = GIF_COLOURS;
  let shown = null;
  const word = (value) => { bytes.put(value & 255); bytes.put(value >> 8); };
  bytes.text("GIF89a");
  word(width); word(height);
  bytes.put(0xf7); bytes.put(0); bytes.put(0); // a global table of 256 colours, 8 bits a channel
  for (let i = 0; i < 256; i++) for (let c = 0; c < 3; c++) bytes.put(colours[i] ? colours[i][c] : 0);
  bytes.put(0x21); bytes.put(0xff); bytes.put(11); bytes.text("NETSCAPE2.0"); bytes.put(3); bytes.put(1); word(0); bytes.put(0);
  return {
    add(rgba, milliseconds) {
      const present = new Uint8Array(width * height);
      for (let i = 0; i < present.length; i++) present[i] = indexOf[gifCell(rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2])];
      const { left, top, right, bottom } = shown === null ? { left: 0, top: 0, right: width, bottom: height } : changedPart(shown, present, width, height);
      bytes.put(0x21); bytes.put(0xf9); bytes.put(4); bytes.put(shown === null ? 4 : 5); word(Math.max(2, Math.round(milliseconds / 10))); bytes.put(still); bytes.put(0);
      bytes.put(0x2c); word(left); word(top); word(right - left); word(bottom - top); bytes.put(0);
      const part = new Uint8Array((right - left) * (bottom - top));
      for (let y = top, at = 0; y < bottom; y++) {
        for (let x = left; x < right; x++, at++) {
          const i = y * width + x;
          part[at] = shown !== null && shown[i] === present[i] ? still : present[i];
        }
      }
      writeLzw(bytes, part);
      shown = present;
    },
    finish() {
      bytes.put(0x3b);
      return bytes.all();
    },
  };
}

// The smallest box of pixels that differ; one pixel where none does.
function changedPart(before, after, width, height) {
  let left = width, right = 0, top = height, bottom = 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (before[i] === after[i]) continue;
      if (x < left) left = x;
      if (x >= right) right = x + 1;
      if (y < top) top = y;
      bottom = y + 1;
    }
  }
  return right > left ? { left, right, top, bottom } : { left: 0, right: 1, top: 0, bottom: 1 };
}

// LZW of 8-bit indices as GIF has it: codes of 9 to 12 bits in blocks of at most 255 bytes; the table is cleared where it is full.
function writeLzw(bytes, indices) {
  const clear = 256, end = 257, first = new Int32Array(4096).fill(-1), sibling = new Int32Array(4096), suffix = new Uint8Array(4096); // a tree: children of a code are a list
  let next = 258, bits = 9, held = 0, holding = 0, block = [];
  const flush = () => {
    if (block.length === 0) return;
    bytes.put(block.length);
    for (const byte of block) bytes.put(byte);
    block = [];
  };
  const put = (code) => {
    held |= code << holding;
    holding += bits;
    while (holding >= 8) {
      block.push(held & 255);
      if (block.length === 255) flush();
      held >>>= 8; holding -= 8;
    }
  };
  bytes.put(8);
  put(clear);
  let code = indices[0];
  for (let i = 1; i < indices.length; i++) {
    const index = indices[i];
    let child = first[code];
    while (child >= 0 && suffix[child] !== index) child = sibling[child];
    if (child >= 0) { code = child; continue; }
    put(code);
    if (next === 4096) {
      put(clear);
      first.fill(-1);
      next = 258; bits = 9;
    } else {
      if (next === 1 << bits) bits += 1;
      suffix[next] = index; sibling[next] = first[code]; first[code] = next; next += 1;
    }
    code = index;
  }
  put(code);
  if (next === 1 << bits && bits < 12) bits += 1;
  put(end);
  if (holding > 0) block.push(held & 255);
  flush();
  bytes.put(0);
}

// Bytes that grow.
class ByteSink {
  constructor() { this.buffer = new Uint8Array(1 << 16); this.length = 0; }

  put(byte) {
    if (this.length === this.buffer.length) { const larger = new Uint8Array(2 * this.length); larger.set(this.buffer); this.buffer = larger; }
    this.buffer[this.length++] = byte;
  }

  text(letters) { for (const letter of letters) this.put(letter.charCodeAt(0)); }

  all() { return this.buffer.slice(0, this.length); }
}
