// Lines of A and B: A ink, solid, filled circles; B accent, dashed, open diamonds; each named at its end.

const CHART_MARKS_MOST = 16; // more marks than this would hide the line

// Markup of a chart. xName, yName, title: words; log: { x, y } booleans; xTicks, xRange: values or null;
// series: [{ side: "a" or "b", x, y: arrays, label: what follows the name, thin: no marks }]; head, rows: its table;
// yLeast: where an even y axis begins, about; floor: values at or below it are drawn on the axis (logarithmic y only), with `floorNote`; guides: dotted lines, [{ x } or { y, side }]; width in pixels.
function lineChart({ title, xName, yName, log = {}, xTicks = null, xRange = null, yLeast = 0, series, floor = 0, floorNote = "", guides = [], width = CHART_SIZE.width, head, rows }) {
  const size = { ...CHART_SIZE, width: Math.max(240, width) }, { left, right, top, bottom, height } = size;
  const drawn = series.filter((line) => line.x.length > 0);
  const xs = drawn.flatMap((line) => Array.from(line.x)), ys = drawn.flatMap((line) => Array.from(line.y)).filter((value) => Number.isFinite(value) && (!log.y || value > floor));
  const [xLow, xHigh] = xRange ?? (xs.length ? [Math.min(...xs), Math.max(...xs)] : [log.x ? 1 : 0, 1]);
  const most = ys.length ? Math.max(...ys) : 1, least = ys.length ? Math.min(...ys) : 0.1;
  const yTicks = log.y ? logTicks(least, Math.max(most, 1.0001 * least)) : linearTicks(yLeast, most || 1);
  const beneath = log.y && drawn.some((line) => Array.from(line.y).some((value) => value <= floor));
  const yLow = log.y ? Math.min(yTicks[0], least) / (beneath ? 4 : 1) : yLeast && yTicks[0], yHigh = Math.max(yTicks.at(-1), most);
  const x = chartScale(xLow, xHigh, left + 6, size.width - right, Boolean(log.x), xTicks ?? (log.x ? logTicks(xLow, xHigh) : linearTicks(xLow, xHigh)));
  const y = chartScale(yLow, yHigh, height - bottom, top, Boolean(log.y), yTicks);
  const place = (line, i) => [x.at(line.x[i]), y.at(log.y ? Math.max(line.y[i], yLow) : line.y[i])];
  const parts = [chartAxes(size, x, y, xName, yName), ...guides.map((guide) => chartGuide(guide, size, x, y))];
  const ends = [];
  for (const line of drawn) {
    const { colour, dash, name } = CHART_SIDES[line.side], points = Array.from(line.x, (_, i) => place(line, i)).filter(([, py]) => Number.isFinite(py));
    if (points.length === 0) continue;
    const path = "M" + points.map((point) => point.map((value) => value.toFixed(1)).join(" ")).join("L");
    const dashes = dash ? ` stroke-dasharray="${line.thin ? "3 3" : dash}"` : "", weight = line.thin ? 'stroke-width="1" opacity="0.6"' : 'stroke-width="2"';
    parts.push(`<path d="${path}" fill="none" stroke="${colour}" ${weight} stroke-linejoin="round"${dashes}/>`);
    if (line.thin) continue;
    const stride = Math.ceil(points.length / CHART_MARKS_MOST);
    parts.push(points.filter((_, i) => i % stride === 0).map(([px, py]) => chartMark(line.side, px, py)).join(""));
    ends.push({ y: points.at(-1)[1], x: points.at(-1)[0], name, words: line.label ?? "", colour });
  }
  parts.push(chartEnds(ends, size));
  if (beneath) parts.push(chartText(left + 8, height - bottom - 7, floorNote, { size: size.text - 1 }));
  return chartFigure(size, parts.join(""), title, head, rows);
}

function chartMark(side, x, y) {
  const at = (value) => value.toFixed(1);
  return side === "a"
    ? `<circle cx="${at(x)}" cy="${at(y)}" r="3.2" fill="${CHART_INK}"/>`
    : `<path d="M${at(x)} ${at(y - 4.4)}l4.4 4.4l-4.4 4.4l-4.4 -4.4z" fill="${CHART_PAPER}" stroke="${CHART_ACCENT}" stroke-width="1.6"/>`;
}

function chartGuide(guide, size, x, y) {
  const { left, right, top, bottom, width, height } = size;
  if (guide.x !== undefined) {
    if (guide.x < x.low || guide.x > x.high) return "";
    const at = x.at(guide.x).toFixed(1);
    return `<path d="M${at} ${top}V${height - bottom}" stroke="${CHART_QUIET}" stroke-dasharray="1 3"/>`;
  }
  if (!(guide.y >= y.low && guide.y <= y.high)) return "";
  return `<path d="M${left} ${y.at(guide.y).toFixed(1)}H${width - right}" stroke="${CHART_SIDES[guide.side].colour}" stroke-dasharray="1 3"/>`;
}

// Names at the lines' ends, pushed apart where they would meet.
function chartEnds(ends, size) {
  const gap = size.text + 3, sorted = [...ends].sort((a, b) => a.y - b.y);
  for (let i = 1; i < sorted.length; i++) sorted[i].y = Math.max(sorted[i].y, sorted[i - 1].y + gap);
  const over = sorted.length ? Math.max(0, sorted.at(-1).y - (size.height - size.bottom - 2)) : 0;
  return sorted.map(({ x, y, name, words, colour }) =>
    chartText(Math.min(x, size.width - size.right) + 9, y - over + 0.35 * size.text, name, { weight: 700, colour }) +
    (words ? chartText(Math.min(x, size.width - size.right) + 9 + 0.95 * size.text, y - over + 0.35 * size.text, words, { size: size.text - 1 }) : "")).join("");
}
