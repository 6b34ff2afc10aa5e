// One sample opened: from the prior's own sample, decoded, by what the network expects at times on its way, to the sample; beside it the nearest training picture.

const OPENED_SIDE = 84; // CSS pixels of a picture in the strip

function buildOpened(page) {
  const title = make("h2", {}), rows = make("div", { class: "fl-opened-rows" }), known = make("div", { class: "fl-known" });
  page.openedDom = { title, rows, known };
  page.openedDom.root = make("section", { class: "fl-opened", "aria-label": "One sample", hidden: "" }, title, make("p", { class: "fl-hint" }, "From zero steps (the prior's own sample, decoded), by what the network expects of the end at times on its way, to the sample. Press another sample above to open it."), rows, known);
  return page.openedDom.root;
}

function openSample(page, i) {
  page.opened = i;
  paintPanels(page);
  showOpened(page);
}

function showOpened(page) {
  const { root, title, rows, known } = page.openedDom, { results } = page;
  root.hidden = !results || page.hidden || !results.panels.some((panel) => panel.film);
  if (root.hidden) return;
  const told = [...new Set(results.panels.map((panel) => panel.names?.[page.opened]).filter(Boolean))];
  title.textContent = `Sample ${page.opened + 1}${told.length ? `, told ${told.map((name) => `“${name}”`).join(" | ")}` : ""}`;
  rows.replaceChildren(...results.panels.map((panel, k) => openedRow(page, panel, k)));
  const said = results.panels.flatMap((panel, k) => (panel.known ? [knownWords(panel.known, k)] : []));
  known.replaceChildren(...said);
}

function openedRow(page, panel, k) {
  const { film, nearest, sheet } = panel, i = page.opened, figures = [];
  const cut = (image, x, y, words, about) => {
    const ratio = window.devicePixelRatio || 1, canvas = make("canvas", { width: String(OPENED_SIDE * ratio), height: String(OPENED_SIDE * ratio), role: "img", "aria-label": `${about}, panel ${k + 1}` }), ctx = canvas.getContext("2d");
    ctx.imageSmoothingEnabled = sheet.side > 48;
    ctx.drawImage(image, sheet.gap + x * sheet.cell, sheet.gap + y * sheet.cell, sheet.side, sheet.side, 0, 0, canvas.width, canvas.height);
    figures.push(make("figure", { class: "fl-frame" }, canvas, make("figcaption", {}, words)));
  };
  const x = i % sheet?.columns, y = Math.floor(i / sheet?.columns), prior = panel.rungs.get(0)?.image;
  if (prior) cut(prior, x, y, "zero steps", "The prior's own sample");
  if (film?.image && i < film.rows) film.times.forEach((t, c) => cut(film.image, c, i, c === film.times.length - 1 ? "the sample" : `t = ${t.toFixed(2)}`, c === film.times.length - 1 ? "The sample" : `Expected end at t = ${t.toFixed(2)}`));
  if (nearest?.image) {
    cut(nearest.image, x, y, nearest.names[i], "The nearest training picture");
    figures.at(-1).classList.add("fl-nearest");
  }
  const words = nearest?.error ? nearest.error : nearest ? `nearest training picture: ${(100 * nearest.distances[i]).toPrecision(2)} % away by pixels; held-out pictures, ${(100 * nearest.usual).toPrecision(2)} %${nearest.among < nearest.of ? ` (among ${nearest.among.toLocaleString("en")} of ${nearest.of.toLocaleString("en")})` : ""}` : "";
  return make("div", { class: "fl-opened-row" }, make("span", { class: "fl-panel-mark", style: `--mark: ${panelColour(k)}` }, String(k + 1)), make("div", { class: "fl-strip" }, ...figures), make("p", { class: "fl-hint" }, film ? `at ${film.nfe} evaluations · ${[film.error, words].filter(Boolean).join(" · ")}` : words));
}

function knownWords(known, k) {
  if (known.error) return make("p", { class: "fl-hint" }, known.error);
  const rows = known.prompts.map(({ prompt, nearest, distance, farther }) => make("tr", {}, make("th", { scope: "row" }, prompt), make("td", {}, nearest), make("td", {}, distance < 5e-4 ? "it is one" : distance.toFixed(2)), make("td", {}, farther < 0.5 ? "as near as most" : farther < 0.95 ? `farther than ${Math.round(100 * farther)} %` : "farther than nearly all: a guess")));
  return make("details", { class: "fl-more", open: "" }, make("summary", {}, `What the text encoder makes of the prompts, panel ${k + 1}`), make("table", {}, make("thead", {}, make("tr", {}, ...["prompt", `nearest of ${known.among.toLocaleString("en")} captions`, "1 − cosine", `beside held-out captions (median ${known.usual.toFixed(2)})`].map((words) => make("th", { scope: "col" }, words)))), make("tbody", {}, ...rows)));
}
