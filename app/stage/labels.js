// What names things on a stage: a digit at each class, its title, the unit bar, "prior" and "target".

// Mean of each class: Float64Array(2C).
function classMeans(mixture) {
  const means = new Float64Array(2 * mixture.classCount), total = new Float64Array(mixture.classCount);
  mixture.weights.forEach((w, k) => {
    const c = mixture.classes[k];
    total[c] += w; means[2 * c] += w * mixture.means[2 * k]; means[2 * c + 1] += w * mixture.means[2 * k + 1];
  });
  return means.map((sum, i) => sum / (total[i >> 1] || 1));
}

// Digits at the class means, beside them where a class is drawn as one disc (collapsed: Map of class to place); none where there is one class.
function drawDigits(ctx, view, look, mixture, collapsed) {
  if (mixture.classCount < 2) return;
  const means = classMeans(mixture), size = look.compact ? 9 : Math.round(1.08 * look.text);
  for (let c = 0; c < mixture.classCount; c++) {
    const aside = collapsed.has(c) ? COLLAPSED_RADIUS * look.stroke + 0.8 * size : 0, x = toPixelX(view, means[2 * c]) - aside, y = toPixelY(view, means[2 * c + 1]);
    drawWords(ctx, look, String(c), x, y + 0.5, { size, weight: 700, colour: look.ink, align: "center", baseline: "middle", halo: look.compact ? 2.5 : 4 });
  }
}

// The stage's name in bold and its title, at the upper left; `stale` below in the accent colour.
function drawTitle(ctx, view, look, { name, title, stale }) {
  const size = look.compact ? 11 : look.text + 2, x = look.compact ? 6 : 12, y = x + size - 1;
  drawWords(ctx, look, name, x, y, { size, weight: 700, colour: look.ink });
  const after = x + ctx.measureText(name).width + 0.55 * size;
  ctx.font = `400 ${size}px ${STAGE_FONT}`;
  drawWords(ctx, look, shortened(ctx, title, view.width - after - x), after, y, { size, colour: look.ink });
  if (stale) {
    ctx.font = `400 ${size - 1}px ${STAGE_FONT}`;
    drawWords(ctx, look, shortened(ctx, stale, view.width - 2 * x), x, y + 1.4 * size, { size: size - 1, colour: look.accent });
  }
}

// A bar one data unit long at the lower left.
function drawUnitBar(ctx, view, look) {
  const { compact } = look;
  const x = compact ? 6.5 : 12.5, y = view.height - (compact ? 6.5 : 12.5), tick = compact ? 2 : 3 * look.stroke;
  ctx.beginPath();
  ctx.moveTo(x, y - tick); ctx.lineTo(x, y); ctx.lineTo(x + view.scale, y); ctx.lineTo(x + view.scale, y - tick);
  ctx.lineWidth = 1.2 * look.stroke;
  ctx.strokeStyle = look.quiet;
  ctx.stroke();
  drawWords(ctx, look, compact ? "1" : "1 unit", x + view.scale + 5, y + 1, { size: compact ? 9 : look.text - 1 });
}

// What the particles show, at the lower right.
function drawFoot(ctx, view, look, time, playback, method) {
  const words = `t = ${time.toFixed(2)}  ·  ${playback === "exact" ? "exact flow" : `solver: ${method}`}`;
  drawWords(ctx, look, words, view.width - 12, view.height - 11, { size: look.text - 1, align: "right" });
}

// Places for the words "prior" and "target" beside their outlines, where both laws have least mass: { prior, target } of { x, y, align } in pixels.
// They follow from the laws alone, so that they stand still while particles move.
function placeNames(view, look, outlines, { source, target }) {
  const cell = 6, columns = Math.ceil(view.width / cell), rows = Math.ceil(view.height / cell);
  const [left, top] = toData(view, 0.5 * cell, 0.5 * cell), [right, bottom] = toData(view, (columns - 0.5) * cell, (rows - 0.5) * cell), box = { left, right, top, bottom };
  const busy = densityGrid(target, box, columns, rows), started = densityGrid(source, box, columns, rows);
  for (let i = 0; i < busy.length; i++) busy[i] += started[i];
  markWays(busy, view, source, target, cell, columns, rows);
  const whole = busy.reduce((sum, value) => sum + value, 0) || 1, wide = 3.3 * look.text, high = 1.2 * look.text, taken = [];
  const cost = (x, y) => {
    let sum = x < 4 || y < 3 * look.text || x + wide > view.width - 4 || y + high > view.height - 2.6 * look.text ? 1e4 : 0;
    for (let i = Math.max(0, Math.floor(y / cell)); i <= Math.min(rows - 1, (y + high) / cell); i++) {
      for (let j = Math.max(0, Math.floor(x / cell)); j <= Math.min(columns - 1, (x + wide) / cell); j++) sum += busy[i * columns + j] / whole;
    }
    for (const other of taken) if (Math.abs(other.x - x) < wide + 4 && Math.abs(other.y - y) < high + 4) sum += 1e3;
    return sum;
  };
  const place = (outline) => {
    let best = null;
    for (const line of outline[0].lines) {
      const stride = 2 * Math.max(1, Math.floor(line.length / 2 / 16)), middle = middleOf(line);
      for (let i = 0; i < line.length; i += stride) {
        const px = toPixelX(view, line[i]), py = toPixelY(view, line[i + 1]), before = line[i] < middle[0];
        const x = before ? px - wide - 5 : px + 5, y = py - (line[i + 1] > middle[1] ? high : 0.2 * high), found = cost(x, y) + 1e-6 * py; // upper places first
        if (best === null || found < best.found) best = { found, x, y, align: before ? "right" : "left" };
      }
    }
    if (best !== null) taken.push(best);
    return best && { x: best.align === "right" ? best.x + wide : best.x, y: best.y + 0.85 * high, align: best.align };
  };
  return { target: place(outlines.target), prior: place(outlines.prior) };
}

// Adds to `busy` where most particles pass: straight from the prior's mean (of the class, where it has one) to each class of the target.
function markWays(busy, view, source, target, cell, columns, rows) {
  const ends = classMeans(target), starts = source.classCount === target.classCount ? classMeans(source) : null, common = mixtureMean(source);
  const amount = (0.02 * busy.reduce((sum, value) => sum + value, 0)) / (target.classCount * columns);
  for (let c = 0; c < target.classCount; c++) {
    const x0 = starts ? starts[2 * c] : common[0], y0 = starts ? starts[2 * c + 1] : common[1];
    for (let step = 0; step <= columns; step++) {
      const share = step / columns, x = x0 + share * (ends[2 * c] - x0), y = y0 + share * (ends[2 * c + 1] - y0);
      const j = Math.floor(toPixelX(view, x) / cell), i = Math.floor(toPixelY(view, y) / cell);
      if (i >= 0 && j >= 0 && i < rows && j < columns) busy[i * columns + j] += amount;
    }
  }
}

function middleOf(line) {
  let x = 0, y = 0;
  for (let i = 0; i < line.length; i += 2) { x += line[i]; y += line[i + 1]; }
  return [(2 * x) / line.length, (2 * y) / line.length];
}

// The words themselves, where `placeNames` put them.
function drawNames(ctx, look, places) {
  for (const name of ["target", "prior"]) {
    if (places[name]) drawWords(ctx, look, name, places[name].x, places[name].y, { size: look.text - 0.5, align: places[name].align, colour: look.quiet });
  }
}
