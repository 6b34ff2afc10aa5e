// The panels: a model and how it is sampled, one sheet of samples on a canvas, and its numbers at the evaluations shown. A sample under the pointer is marked in all of them.

const MOST_PANELS = 4;
const COMPARE_SOLVERS = ["euler", "midpoint", "heun", "ralston", "kutta3", "rk4", "rk4-38", "ab2", "ddim"];
const DDPM_SOLVERS = ["ddim-scheduler", "dpm-solver++", "ddpm"];
const COMPARE_GRIDS = ["uniform", "cosine", "edm", "shifted", "snr"];

function buildPanels(page) {
  const { dom, wish } = page;
  page.panelDom = wish.panels.map((_, k) => buildPanel(page, k));
  const order = page.hidden ? page.order : page.panelDom.map((_, k) => k), add = make("button", { type: "button", class: "fl-plain fl-add", id: "compare-add" }, "+ Add a panel");
  add.onclick = () => { wish.panels.push({ ...(wish.panels.at(-1) ?? defaultPanel(page.models[0])) }); showAll(page); };
  dom.panels.dataset.count = String(wish.panels.length);
  dom.panels.replaceChildren(...order.map((k) => page.panelDom[k].root));
  if (wish.panels.length < MOST_PANELS && page.models.length && !page.hidden) dom.panels.append(add);
}

function buildPanel(page, k) {
  const panel = page.wish.panels[k], model = modelOf(page, panel.model), place = page.hidden ? page.order.indexOf(k) + 1 : k + 1;
  const canvas = make("canvas", { tabindex: "0", role: "img", id: `sheet-${k}` }), says = make("p", { class: "fl-panel-says" }), numbers = make("dl", { class: "fl-panel-numbers" });
  pointAtSamples(page, k, canvas);
  const head = page.hidden ? voteHead(page, k, place) : choiceHead(page, k, panel, model, place);
  return { root: make("section", { class: "fl-panel", "aria-label": `Panel ${place}` }, head, make("div", { class: "fl-panel-body" }, make("div", { class: "fl-sheet" }, canvas), make("div", { class: "fl-panel-side" }, says, numbers))), canvas, says, numbers };
}

function choiceHead(page, k, panel, model, place) {
  const change = (name, value) => { panel[name] = value; showAll(page); };
  const models = make("select", { class: "fl-model", "aria-label": `Model of panel ${place}` }, ...modelGroups(page));
  models.value = panel.model;
  models.onchange = () => { page.wish.panels[k] = defaultPanel(modelOf(page, models.value)); showAll(page); };
  const select = (words, name, values, show = String) => {
    const input = make("select", { "aria-label": `${words} of panel ${place}` }, ...values.map((value) => make("option", { value: String(value) }, show(value))));
    input.value = String(panel[name]);
    input.onchange = () => change(name, input.value);
    return make("label", {}, `${words.toLowerCase()} `, input);
  };
  const away = make("button", { type: "button", class: "fl-close", "aria-label": `Remove panel ${place}` }, "×");
  away.onclick = () => { removePanel(page, k); showAll(page); };
  const row = make("div", { class: "fl-panel-row" }, make("span", { class: "fl-panel-mark", style: `--mark: ${panelColour(k)}` }, String(place)), models);
  if (page.wish.panels.length > 1) row.append(away);
  if (!model) return make("div", {}, row, make("p", { class: "fl-wrong" }, "this model is gone"));
  const guidance = make("input", { type: "number", min: "0", max: "20", step: "0.5", "aria-label": `Guidance of panel ${place}` });
  guidance.value = String(panel.guidance);
  guidance.onchange = () => { const value = Number(guidance.value); change("guidance", guidance.value !== "" && value >= 0 && value <= 20 ? value : panel.guidance); };
  guidance.disabled = model.condition === "none";
  const steps = make("select", { "aria-label": `Checkpoint of panel ${place}` }, make("option", { value: "" }, `newest (${model.steps[0].toLocaleString("en")})`), ...model.steps.slice(1).map((step) => make("option", { value: String(step) }, step.toLocaleString("en"))));
  steps.value = panel.step === null || panel.step === undefined ? "" : String(panel.step);
  steps.onchange = () => change("step", steps.value === "" ? null : Number(steps.value));
  const solvers = model.ddpm ? [...DDPM_SOLVERS, ...COMPARE_SOLVERS] : COMPARE_SOLVERS, diffusion = DDPM_SOLVERS.includes(panel.solver);
  const more = make("details", { class: "fl-panel-more" }, make("summary", {}, "More"), make("div", { class: "fl-panel-row" }, make("label", {}, "step ", steps), select("Weights", "weights", model.weights), ...(diffusion ? [] : [select("Grid", "grid", COMPARE_GRIDS)])));
  more.open = Boolean(page.moreOpen?.has(k));
  more.ontoggle = () => { page.moreOpen = page.moreOpen ?? new Set(); if (more.open) page.moreOpen.add(k); else page.moreOpen.delete(k); };
  const solver = select("Solver", "solver", solvers);
  solver.querySelector("select").onchange = (event) => { if (DDPM_SOLVERS.includes(event.target.value)) panel.grid = "uniform"; change("solver", event.target.value); };
  return make(
    "div", { class: "fl-panel-head" }, row, make("p", { class: "fl-hint fl-about", title: model.about }, [model.about.split("; ").at(-1), model.images ? `${picturesInWords(model.images)} pictures seen` : "made elsewhere"].join(" · ")),
    make("div", { class: "fl-panel-row" }, solver, make("label", {}, "guidance ", guidance), more),
  );
}

// Takes a panel away, and what was sampled for it; while samples still come they are numbered as they were sent for, and stay.
function removePanel(page, k) {
  const { results, wish } = page;
  if (results && results.state !== "sampling" && results.panels.length === wish.panels.length) {
    results.panels.splice(k, 1);
    results.wish.panels.splice(k, 1);
    page.order = results.panels.map((_, i) => i);
    page.votes = results.panels.map(() => 0);
  }
  wish.panels.splice(k, 1);
}

// The models by what they were trained on, the shipped ones first.
function modelGroups(page) {
  const groups = new Map();
  for (const model of page.models) {
    const name = `${model.place === "shipped" ? "Shipped" : "Runs"}: ${model.data}`;
    groups.set(name, [...(groups.get(name) ?? []), make("option", { value: model.id }, model.name)]);
  }
  return [...groups].map(([name, options]) => make("optgroup", { label: name }, ...options));
}

function panelColour(k) {
  return ["var(--fl-ink)", "var(--fl-accent)", "#0072B2", "#009E73"][k];
}

// The evaluations that a panel shows for those that the slider says: the most that its solver can use within them.
function rungOf(panel, shown) {
  if (panel.rungs.has(shown)) return shown;
  if (shown === EXACT) return null;
  const within = [...panel.rungs.keys()].filter((nfe) => nfe !== EXACT && nfe < shown), budgets = panel.loaded?.budgets ?? [];
  if (budgets.includes(shown)) return null; // it is still being sampled
  return within.length ? Math.max(...within) : null;
}

function paintPanels(page) {
  const { results, panelDom } = page;
  if (!panelDom) return;
  panelDom.forEach((dom, k) => {
    const panel = isPanelStale(page, k) ? null : results.panels[k];
    paintSheet(page, dom.canvas, panel);
    sayPanel(page, dom, panel, k);
  });
}

// Whether what a panel was sampled with is no longer what is chosen for it.
function isPanelStale(page, k) {
  return !page.results || JSON.stringify(page.results.wish.panels[k]) !== JSON.stringify(page.wish.panels[k]);
}

function paintSheet(page, canvas, panel) {
  const ratio = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * ratio);
  if (!width) return;
  const nfe = panel && rungOf(panel, page.shown), image = nfe !== null && nfe !== undefined ? panel.rungs.get(nfe).image : null, shape = panel?.sheet;
  const height = shape ? Math.round(width * (shape.rows * shape.cell + shape.gap) / (shape.columns * shape.cell + shape.gap)) : width;
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; canvas.style.aspectRatio = `${width} / ${height}`; }
  const ctx = canvas.getContext("2d");
  ctx.imageSmoothingEnabled = shape ? shape.side > 48 : false; // digits are enlarged without a blur
  ctx.clearRect(0, 0, width, height);
  if (!image) return;
  ctx.drawImage(image, 0, 0, width, height);
  const scale = width / image.width;
  for (const [i, colour, line] of [[page.opened, "--fl-ink", 2], [page.hover, "--fl-accent", 3]]) {
    if (i === null || i >= page.results.wish.n) continue;
    ctx.strokeStyle = getComputedStyle(document.body).getPropertyValue(colour);
    ctx.lineWidth = line * ratio;
    ctx.strokeRect((i % shape.columns) * shape.cell * scale + ratio, Math.floor(i / shape.columns) * shape.cell * scale + ratio, (shape.side + 2 * shape.gap) * scale - 2 * ratio, (shape.side + 2 * shape.gap) * scale - 2 * ratio);
  }
}

function sayPanel(page, dom, panel, k) {
  const place = page.hidden ? page.order.indexOf(k) + 1 : k + 1;
  if (!panel) {
    dom.says.textContent = page.results ? "Press Sample: this choice has not been sampled yet." : "Press Sample.";
    dom.numbers.replaceChildren();
    dom.canvas.setAttribute("aria-label", `Samples of panel ${place}: none yet`);
    return;
  }
  const nfe = rungOf(panel, page.shown), rung = nfe === null ? null : panel.rungs.get(nfe), precomputed = page.results.state === "precomputed" ? "precomputed · " : "";
  if (!rung) dom.says.textContent = panel.failures.get(page.shown) ?? (page.results.state === "sampling" ? "being sampled …" : "not sampled");
  else if (nfe === 0) dom.says.textContent = `${precomputed}zero steps: the prior's own sample, decoded`;
  else if (page.hidden) dom.says.textContent = nfe === EXACT ? "the exact flow" : `${rung.evaluations} evaluations each`;
  else if (nfe === EXACT) dom.says.textContent = `${precomputed}exact: dopri5, ${panel.exact.flow.nfe.toLocaleString("en")} evaluations, off by ${shortReal(panel.exact.flow.reference_error)}`;
  else dom.says.textContent = `${precomputed}${rung.evaluations} evaluations each${nfe !== page.shown ? ` (${page.shown} cannot be used exactly: ${panel.loaded ? page.results.wish.panels[k].solver : "its solver"}${page.results.wish.panels[k].guidance !== 1 ? ", two at a time under guidance" : ""})` : ""} · ${shortReal(rung.seconds)} s`;
  dom.says.classList.toggle("fl-uneven", Boolean(rung) && nfe !== page.shown);
  const error = panel.exact?.errors?.[nfe], flow = panel.exact?.flow;
  const rows = page.hidden ? [] : [
    ["Solver error, latents", error ? withDoubt(error.rmse, error) : nfe === EXACT ? "0 by definition" : pendingWords(page, panel)],
    ["in pixels", error ? `${(100 * error.pixels).toPrecision(2)} %` : nfe === EXACT ? "0" : ""],
    ["Straightness", flow ? shortReal(flow.straightness) : pendingWords(page, panel)],
    ["Acceleration", flow ? shortReal(flow.acceleration) : ""],
  ];
  dom.numbers.replaceChildren(...rows.filter(([, words]) => words !== "").map(([name, words]) => make("div", {}, make("dt", { title: PANEL_WORDS[name] }, name), make("dd", {}, words))));
  dom.canvas.setAttribute("aria-label", `Samples of panel ${place}: ${page.results.wish.n} pictures, ${dom.says.textContent}`);
}

const PANEL_WORDS = {
  "Solver error, latents": "Root mean squared distance from the solver's end to the checkpoint's own adaptive end (dopri5 at 1e-6) from the same x_0, in units of normalised latents",
  "in pixels": "The same of the decoded pictures, as a share of the range from black to white",
  Straightness: "How far the velocity departs from constant along the exact flow; 0 is straight. It compares couplings under one prior, and ranks no priors",
  Acceleration: "Mean squared acceleration along the exact flow, which Euler's error follows",
};

function pendingWords(page, panel) {
  if (panel.exact?.error) return "no exact flow";
  if (panel.exact) return panel.exact.errors && Object.keys(panel.exact.errors).length ? "none here" : "random steps follow no flow";
  return page.results.state === "sampling" ? "…" : "not measured";
}

function withDoubt(value, { resolved, reference_error: doubt }) {
  return resolved ? shortReal(value) : `${shortReal(value)} ± ${shortReal(doubt)}`;
}

function shortReal(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

// Which sample a pointer is on; arrows move from one to the next.
function pointAtSamples(page, k, canvas) {
  const at = (event) => {
    const shape = page.results?.panels[k]?.sheet;
    if (!shape || isPanelStale(page, k)) return null;
    const box = canvas.getBoundingClientRect(), i = Math.floor(((event.clientY - box.top) / box.height) * shape.rows) * shape.columns + Math.floor(((event.clientX - box.left) / box.width) * shape.columns);
    return i >= 0 && i < page.results.wish.n ? i : null;
  };
  canvas.onpointermove = (event) => { const i = at(event); if (i !== page.hover) { page.hover = i; paintPanels(page); } };
  canvas.onpointerleave = () => { page.hover = null; paintPanels(page); };
  canvas.onclick = (event) => { const i = at(event); if (i !== null) openSample(page, i); };
  canvas.onkeydown = (event) => {
    const shape = page.results?.panels[k]?.sheet, move = shape && { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -shape.columns, ArrowDown: shape.columns }[event.key];
    if (!move) return;
    event.preventDefault();
    openSample(page, Math.min(page.results.wish.n - 1, Math.max(0, page.opened + move)));
  };
}
