// Bars of A and B for each of a few names, with the numbers at their ends.

// Markup of a chart. groups: [{ name, about, a: number or null, b: number or null }]; null: does not arise. unit: what the bars are in.
function barChart({ title, groups, unit, width = CHART_SIZE.width }) {
  const shown = groups.filter(({ a, b }) => isNumber(a) || isNumber(b)), line = 17, block = 2 * line + 10;
  const size = { ...CHART_SIZE, width: Math.max(240, width), left: 84, right: 84, height: CHART_SIZE.top + Math.max(1, shown.length) * block + 8 };
  const most = Math.max(1e-300, ...shown.flatMap(({ a, b }) => [a ?? 0, b ?? 0])), long = size.width - size.left - size.right;
  const parts = [chartText(0, size.text + 2, `${title} (${unit})`, { weight: 600, colour: CHART_INK })];
  shown.forEach((group, i) => {
    const top = size.top + i * block;
    parts.push(chartText(0, top + line, group.name, { colour: CHART_INK }));
    ["a", "b"].forEach((side, k) => {
      const value = group[side], y = top + k * line, { colour, name } = CHART_SIDES[side];
      if (!isNumber(value)) return;
      const wide = Math.max(1, (value / most) * long), fill = side === "a" ? colour : CHART_PAPER;
      const dash = side === "b" ? ' stroke-dasharray="6 3"' : "", place = `x="${size.left + 0.5}" y="${y + 2.5}" width="${wide.toFixed(1)}" height="${line - 6}"`;
      parts.push(`<rect ${place} fill="${fill}" stroke="${colour}" stroke-width="1.4"${dash}/>`);
      parts.push(chartText(size.left - 8, y + line - 5, name, { weight: 700, colour, anchor: "end" }));
      parts.push(chartText(size.left + wide + 8, y + line - 5, shortNumber(value), { colour: CHART_INK }));
    });
  });
  if (shown.length === 0) parts.push(chartText(0, size.top + line, "not known yet"));
  const cell = (value) => (isNumber(value) ? shortNumber(value) : "does not arise");
  return chartFigure(size, parts.join(""), `${title} (${unit})`, ["share", "A", "B"], shown.map(({ name, a, b }) => [name, cell(a), cell(b)]));
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
