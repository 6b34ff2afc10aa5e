// Curves over evaluations: solver error of what was sampled here, and the scores that `evaluate` has measured of each checkpoint, with their intervals; and all of them as a table.

const QUALITY_MEASURES = { one_nn: "1-NN two-sample accuracy", kernel: "Kernel distance", precision: "Precision", recall: "Recall" }, QUALITY_CURVES = { error: "Solver error", ...QUALITY_MEASURES };
const QUALITY_HINTS = {
  error: "Against each checkpoint's own adaptive end points (dopri5 at 1e-6), from the same x_0. It tells what the solver does, not whether the model is good.",
  one_nn: "Can a nearest neighbour tell generated from held-out pictures? .5 is ideal, 1 means always. Bars are 95 % intervals: inside them there is no ranking.",
  kernel: "Polynomial-kernel distance of features to those of held-out pictures; 0 is ideal. Bars are 95 % intervals: inside them there is no ranking.",
  precision: "Share of samples among the real pictures' neighbourhoods; 1 is ideal. Bars are 95 % intervals.",
  recall: "Share of real pictures among the samples' neighbourhoods; 1 is ideal. Bars are 95 % intervals.",
};
const TABLE_COLUMNS = { one_nn: ["1-NN", 1], kernel: ["kernel × 1000", 1000], precision: ["precision", 1], recall: ["recall", 1], coverage: ["coverage", 1], frechet: ["Frechet", 1], memorisation_ratio: ["copies (1: none)", 1], latents_frechet: ["latents’ Frechet*", 1] };

function buildQuality(page) {
  const tabs = make("div", { class: "fl-tabs", role: "tablist", "aria-label": "Curves" }), chart = make("div", { class: "fl-run-chart", role: "tabpanel", id: "compare-chart" }), hint = make("p", { class: "fl-hint" }), table = make("div", { class: "fl-scores" });
  for (const [kind, words] of Object.entries(QUALITY_CURVES)) {
    const tab = make("button", { type: "button", role: "tab", "aria-selected": String(kind === page.curve) }, words);
    tab.onclick = () => { page.curve = kind; tabs.querySelectorAll("button").forEach((each) => each.setAttribute("aria-selected", String(each === tab))); showQuality(page); };
    tabs.append(tab);
  }
  const all = make("div", { class: "fl-scores" });
  page.qualityDom = { tabs, chart, hint, table, all };
  page.scores = new Map();
  page.qualityDom.root = make("section", { class: "fl-quality", "aria-label": "Curves and scores", hidden: "" }, tabs, hint, chart, table, all);
  showBoards(page);
  return page.qualityDom.root;
}

async function showQuality(page) {
  const { root, chart, hint } = page.qualityDom, { results, curve } = page;
  root.hidden = !results || page.hidden;
  if (root.hidden) return;
  hint.textContent = QUALITY_HINTS[curve];
  await Promise.all([...new Set(results.wish.panels.map((panel) => panel.model))].map((id) => learnScores(page, id)));
  const plotly = await loadPlotly().catch((error) => { chart.textContent = error.message; return null; });
  if (!plotly || page.results !== results || page.curve !== curve) return;
  showScores(page);
  const style = getComputedStyle(document.body), value = (name) => style.getPropertyValue(name).trim(), colours = [value("--fl-ink"), value("--fl-accent"), "#0072B2", "#009E73"];
  const traces = results.panels.flatMap((panel, k) => {
    const points = curve === "error" ? errorPoints(panel) : scorePoints(page.scores.get(results.wish.panels[k].model), curve);
    const { model } = results.wish.panels[k], own = curve === "error";
    if (!points.length || (!own && results.wish.panels.findIndex((panel) => panel.model === model) < k)) return []; // a model is scored once, however many panels show it
    const protocol = own ? null : page.scores.get(model).protocol, name = model.split("/")[1];
    return [{
      x: points.map((p) => p.nfe), y: points.map((p) => p.value), error_y: curve === "error" ? undefined : { type: "data", array: points.map((p) => 1.96 * (p.error ?? 0)), thickness: 1.2, width: 4, color: colours[k] },
      name: own ? `${k + 1} ${name}` : `${name}: step ${protocol.step.toLocaleString("en")}, ${protocol.solver}, guidance ${protocol.guidance.scale}`, mode: "lines+markers", line: { color: colours[k], width: 2, dash: ["solid", "dash", "dot", "dashdot"][k] }, marker: { symbol: ["circle", "diamond-open", "square", "triangle-up-open"][k], size: 8 },
    }];
  });
  if (!traces.length) {
    if (page.qualityDom.drawn) plotly.purge(chart);
    page.qualityDom.drawn = false;
    chart.textContent = curve === "error" ? (results.state === "sampling" ? "The exact flow comes last …" : "Nothing to draw here.") : `Not evaluated yet: python -m trainers evaluate ${results.wish.panels.map((panel) => (panel.model.startsWith("runs/") ? panel.model : `assets/checkpoints/${panel.model.split("/")[1]}`)).join(" and ")}`;
    return;
  }
  if (!page.qualityDom.drawn) chart.textContent = "";
  page.qualityDom.drawn = true;
  const axis = (title, log, extra = {}) => ({ title: { text: title, font: { size: 12 } }, type: log ? "log" : "linear", gridcolor: value("--fl-line"), linecolor: value("--fl-quiet"), zeroline: false, automargin: true, ...extra });
  plotly.react(chart, traces, {
    height: 340, margin: { l: 56, r: 12, t: 12, b: 44 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: value("--fl-quiet"), family: "system-ui, sans-serif", size: 12 }, legend: { orientation: "h", y: -0.24 }, showlegend: true,
    xaxis: axis("evaluations (NFE)", true, { tickvals: COMPARE_LADDER, ticktext: COMPARE_LADDER.map(String) }), yaxis: axis(curve === "error" ? "solver error, latents (RMSE)" : QUALITY_MEASURES[curve], curve === "error", curve === "error" ? { exponentformat: "power" } : {}), hovermode: "x unified",
    shapes: curve === "one_nn" ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 0.5, y1: 0.5, line: { color: value("--fl-quiet"), width: 1, dash: "dot" } }] : [],
  }, { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] });
}

function errorPoints(panel) {
  return Object.entries(panel.exact?.errors ?? {}).map(([nfe, error]) => ({ nfe: Number(nfe), value: error.rmse })).filter((p) => p.value > 0);
}

function scorePoints(scores, measure) {
  return (scores?.rows ?? []).filter((row) => row.nfe > 0 && row.scores[measure] && !row.name.startsWith("dopri5")).map((row) => ({ nfe: row.nfe, ...row.scores[measure] }));
}

// A model's newest evaluation, asked for once; null where there is none.
async function learnScores(page, id) {
  if (page.scores.has(id)) return;
  page.scores.set(id, null);
  try {
    const { evaluation } = await askServer(`scores?model=${encodeURIComponent(id)}`);
    if (evaluation) page.scores.set(id, evaluation); else page.scores.delete(id); // it may be scored while the page is open
  } catch (error) {
    page.scores.delete(id);
    tell(page, error.message);
  }
}

// Everything that was measured, a table for each panel's model.
function showScores(page) {
  const { table } = page.qualityDom, ids = [...new Set(page.results.wish.panels.map((panel) => panel.model))].filter((id) => page.scores.get(id));
  table.replaceChildren(...ids.map((id) => {
    const { protocol, rows, flow } = page.scores.get(id), columns = Object.keys(TABLE_COLUMNS).filter((name) => rows.some((row) => row.scores[name]));
    const cell = (score, scale) => (!score ? "–" : `${shortReal(scale * score.value)}${score.error === null ? "" : ` ± ${Number((1.96 * scale * score.error).toPrecision(2))}`}`);
    const head = make("tr", {}, ...["", "NFE", ...columns.map((name) => TABLE_COLUMNS[name][0]), "solver error"].map((words) => make("th", { scope: "col" }, words)));
    const body = rows.map((row) => make("tr", {}, make("th", { scope: "row" }, row.name), make("td", {}, row.nfe === null ? "–" : shortReal(row.nfe)), ...columns.map((name) => make("td", {}, cell(row.scores[name], TABLE_COLUMNS[name][1]))), make("td", {}, row.solver_error ? withDoubt(row.solver_error.rmse, row.solver_error) : "–")));
    const said = `n = ${protocol.n}, seed ${protocol.seed}, split ${protocol.split}, ${protocol.solver} on a ${protocol.grid} grid, guidance ${protocol.guidance.scale}; ${protocol.features.dimension} features of ${protocol.features.name}; ${protocol.labels_law}${flow ? `. Flow: straightness ${shortReal(flow.straightness)}, acceleration ${shortReal(flow.acceleration)}, transport cost ${shortReal(flow.transport_cost)}` : ""}. ± is a 95 % interval.${columns.includes("latents_frechet") ? " * never ranked by: a fitted Gaussian prior wins it without any flow." : ""}`;
    return make("details", { class: "fl-more", open: "" }, make("summary", {}, `${id.split("/")[1]}, scored at step ${protocol.step.toLocaleString("en")}`), make("div", { class: "fl-wide" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))), make("p", { class: "fl-hint" }, said));
  }));
}
