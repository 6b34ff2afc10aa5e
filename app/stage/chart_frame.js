// What small SVG charts have in common: scales, ticks, axes, the table for screen readers. Charts are text until the page asks for an element;
// colours are the page's own variables, so that dark mode needs no new chart.

const CHART_INK = "var(--fl-ink, #1a1a1a)", CHART_ACCENT = "var(--fl-accent, #b3261e)", CHART_QUIET = "var(--fl-quiet, #6e6e6e)";
const CHART_FAINT = "var(--fl-line, #e3e3e3)", CHART_PAPER = "var(--fl-paper, #ffffff)";
const CHART_SIDES = { a: { name: "A", colour: CHART_INK, dash: "" }, b: { name: "B", colour: CHART_ACCENT, dash: "6 4" } };
const CHART_SIZE = { width: 400, height: 220, left: 52, right: 92, top: 30, bottom: 40, text: 12 };

// A scale from data to pixels: { at(value), low, high, ticks: [values] }. Values of a logarithmic scale are positive.
function chartScale(low, high, start, end, log, ticks) {
  const place = log ? Math.log : (value) => value, from = place(low), span = place(high) - from || 1;
  const within = (tick) => place(tick) >= from - 1e-9 * span && place(tick) <= from + (1 + 1e-9) * span;
  return { low, high, ticks: ticks.filter(within), at: (value) => start + ((place(value) - from) / span) * (end - start) };
}

// Round ticks, about `many`, from 0 or below `low` to above `high`.
function linearTicks(low, high, many = 4) {
  const raw = (high - low) / many || 1, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * (1 - 1e-9));
  const ticks = [];
  for (let k = Math.floor(low / step + 1e-9); (k - 1) * step < high * (1 - 1e-9); k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

// Powers of ten around [low, high]; with 2 and 5 between them where that is less than two decades.
function logTicks(low, high) {
  const first = Math.floor(Math.log10(low) + 1e-9), last = Math.ceil(Math.log10(high) - 1e-9), few = Math.log10(high / low) < 1.7;
  const stride = Math.max(1, Math.ceil((last - first) / 5));
  const ticks = [];
  for (let power = first; power < last + stride; power += stride) for (const m of few ? [1, 2, 5] : [1]) ticks.push(Number(`${m}e${power}`));
  const below = ticks.findLastIndex((tick) => tick <= low * (1 + 1e-9)), above = ticks.findIndex((tick) => tick >= high * (1 - 1e-9));
  return ticks.slice(Math.max(0, below), above < 0 ? ticks.length : above + 1);
}

// A tick's words: 0.01 to 1000 as they are, else powers of ten.
function tickWords(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 0.001 && size < 10_000) return String(Number(value.toPrecision(6)));
  const power = Math.round(Math.log10(size)), lead = Number((value / 10 ** power).toPrecision(3)), signs = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const raised = (power < 0 ? "⁻" : "") + [...String(Math.abs(power))].map((digit) => signs[Number(digit)]).join("");
  return lead === 1 ? `10${raised}` : `${lead} · 10${raised}`;
}

// Axes, ticks and names of a chart as SVG text. The y axis is a set of faint lines; its name stands over them.
function chartAxes(size, x, y, xName, yName) {
  const { width, height, left, right, top, bottom, text } = size, parts = [];
  for (const tick of y.ticks) {
    const at = y.at(tick).toFixed(1);
    parts.push(`<path d="M${left} ${at}H${width - right}" stroke="${CHART_FAINT}"/>`);
    parts.push(chartText(left - 8, y.at(tick) + 0.35 * text, tickWords(tick), { anchor: "end", size: text - 1 }));
  }
  parts.push(`<path d="M${left} ${height - bottom}H${width - right}" stroke="${CHART_QUIET}"/>`);
  for (const tick of x.ticks) parts.push(chartText(x.at(tick), height - bottom + text + 5, tickWords(tick), { anchor: "middle", size: text - 1 }));
  parts.push(chartText(width - right, height - 6, xName, { anchor: "end" }), chartText(0, text + 2, yName, { weight: 600, colour: CHART_INK }));
  return parts.join("");
}

function chartText(x, y, words, { anchor = "start", size = CHART_SIZE.text, weight = 400, colour = CHART_QUIET } = {}) {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" font-weight="${weight}" text-anchor="${anchor}" fill="${colour}">${escapeXml(words)}</text>`;
}

// A chart's markup: the picture, hidden from screen readers, and the same as a table, hidden from eyes (class fl-unseen).
// rows: lists of cells, the first of each a heading.
function chartFigure(size, body, title, head, rows) {
  const heading = (cell, scope) => `<th scope="${scope}">${escapeXml(cell)}</th>`;
  const lines = rows.map(([first, ...rest]) => `<tr>${heading(first, "row")}${rest.map((cell) => `<td>${escapeXml(cell)}</td>`).join("")}</tr>`).join("");
  const columns = head.map((cell) => heading(cell, "col")).join("");
  const table = `<table class="fl-unseen"><caption>${escapeXml(title)}</caption><thead><tr>${columns}</tr></thead><tbody>${lines}</tbody></table>`;
  const frame = `width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}"`;
  const type = `font-family="${escapeXml(STAGE_FONT)}" font-variant-numeric="tabular-nums"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${frame} aria-hidden="true" ${type}>${body}</svg>${table}`;
}

// The element of a chart's markup.
function chartElement(markup) {
  const figure = document.createElement("figure");
  figure.className = "fl-chart-figure";
  figure.innerHTML = markup;
  return figure;
}
