// One run: what it may be told, its previews as a film beside the prior alone, its curves (with the ticked runs'), its log.

const RUN_COLOURS = ["var", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"];
const RUN_ACTIONS = { pause: "Pause", resume: "Resume", stop: "Stop", delete: "Delete" };
const RUN_CURVES = { loss: "Loss", by_time: "Loss by time t", images_per_second: "Pictures a second", gradient_norm: "Norm of the gradient" };

function buildRun(page) {
  const title = make("h2", {}), says = make("p", { class: "fl-hint" }), actions = make("div", { class: "fl-run-actions" });
  const buttons = Object.fromEntries(Object.entries(RUN_ACTIONS).map(([name, words]) => {
    const button = make("button", { type: "button", class: "fl-plain" }, words);
    button.onclick = () => tellRun(page, name);
    actions.append(button);
    return [name, button];
  }));
  const film = make("img", { class: "fl-film", alt: "" }), prior = make("img", { class: "fl-film", alt: "The prior alone: the same noise before any step" });
  const slider = make("input", { type: "range", min: "0", max: "0", step: "1", value: "0", "aria-label": "Preview" }), filmWords = make("output", {});
  slider.oninput = () => { page.followFilm = Number(slider.value) === Number(slider.max); showFilm(page); };
  const films = make(
    "div", { class: "fl-films" }, make("figure", {}, prior, make("figcaption", {}, "the prior alone")), make("figure", {}, film, make("figcaption", { class: "fl-film-row" }, slider, filmWords)),
  );
  const tabs = make("div", { class: "fl-tabs", role: "tablist", "aria-label": "Curves" }), chart = make("div", { class: "fl-run-chart", role: "tabpanel" });
  for (const [kind, words] of Object.entries(RUN_CURVES)) {
    const tab = make("button", { type: "button", role: "tab", "aria-selected": String(kind === page.curve) }, words);
    tab.onclick = () => { page.curve = kind; tabs.querySelectorAll("button").forEach((each) => each.setAttribute("aria-selected", String(each === tab))); showCurves(page); };
    tabs.append(tab);
  }
  const log = make("pre", { class: "fl-log", tabindex: "0", "aria-label": "Log" });
  page.run = { title, says, actions, buttons, film, prior, films, slider, filmWords, tabs, chart, log };
  page.run.root = make("section", { class: "fl-one", "aria-label": "The run", hidden: "" }, make("div", { class: "fl-runs-head" }, title, actions), says, films, tabs, chart, make("details", { class: "fl-more" }, make("summary", {}, "Log"), log));
  return page.run.root;
}

function showRun(page) {
  const { run: dom, details } = page, own = details.get(page.shown);
  dom.root.hidden = !own;
  if (!own) return;
  const { run } = own, may = { pause: run.state === "running", resume: ["paused", "stopped", "failed", "interrupted"].includes(run.state), stop: ["running", "paused", "queued"].includes(run.state), delete: !["running", "paused", "queued"].includes(run.state) };
  dom.title.textContent = run.name;
  dom.says.textContent = [run.about, run.message].filter(Boolean).join(". ");
  for (const [name, button] of Object.entries(dom.buttons)) button.hidden = !may[name];
  const pictures = own.samples.filter((name) => name.startsWith("step-"));
  dom.films.hidden = !pictures.length;
  if (pictures.length) {
    dom.slider.max = String(pictures.length - 1);
    if (page.followFilm || page.filmOf !== run.name) { dom.slider.value = dom.slider.max; page.followFilm = true; }
    page.filmOf = run.name;
    showFilm(page);
  }
  if (dom.log.textContent !== own.log) { dom.log.textContent = own.log || "nothing was said yet"; dom.log.scrollTop = dom.log.scrollHeight; }
  showCurves(page);
}

function showFilm(page) {
  const { run: dom, details, shown } = page, pictures = details.get(shown).samples.filter((name) => name.startsWith("step-")), name = pictures[Number(dom.slider.value)], address = (file) => `/api/jobs/${shown}/samples/${file}.png`;
  const step = Number(name.slice(5));
  if (!dom.film.src.endsWith(address(name))) dom.film.src = address(name);
  if (!dom.prior.src.endsWith(address("prior"))) dom.prior.src = address("prior");
  dom.film.alt = `Samples of ${shown} after ${step} steps, at fixed noise and conditions`;
  dom.filmWords.textContent = `step ${step.toLocaleString("en")}`;
}

// The curves of the run looked at and of those ticked, through Plotly.
async function showCurves(page) {
  const { run: dom, details, ticked, shown, curve } = page, names = [shown, ...[...ticked].filter((name) => name !== shown)].filter((name) => details.has(name)).slice(0, RUN_COLOURS.length);
  const plotly = await loadPlotly().catch((error) => { dom.chart.textContent = error.message; return null; });
  if (!plotly || page.shown !== shown || page.curve !== curve) return;
  const style = getComputedStyle(document.body), ink = style.getPropertyValue("--fl-ink").trim(), quiet = style.getPropertyValue("--fl-quiet").trim(), faint = style.getPropertyValue("--fl-line").trim();
  const colour = (i) => (i ? RUN_COLOURS[i] : ink), held = curve === "loss" ? names.flatMap((name, i) => heldOut(name, details.get(name).curves.curves.held_out_loss, colour(i))) : [];
  const traces = curve === "by_time" ? tracesByTime(names, details, colour) : names.flatMap((name, i) => tracesOf(name, details.get(name).curves.curves[curve], colour(i), curve === "loss" && i === 0)).concat(held);
  if (!traces.length) { if (dom.drawn) plotly.purge(dom.chart); dom.drawn = false; dom.chart.textContent = "nothing was recorded yet"; return; }
  if (!dom.drawn) dom.chart.textContent = "";
  const axis = (title, log) => ({ title: { text: title, font: { size: 12 } }, type: log ? "log" : "linear", gridcolor: faint, linecolor: quiet, zeroline: false, automargin: true });
  const layout = {
    height: 300, margin: { l: 56, r: 12, t: 10, b: 44 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: quiet, family: "system-ui, sans-serif", size: 12 }, showlegend: names.length > 1 || held.length > 0,
    legend: { orientation: "h", y: 1.12 }, xaxis: axis(curve === "by_time" ? "t" : "step", false), yaxis: axis(RUN_CURVES[curve].toLowerCase(), curve === "loss"), uirevision: `${shown} ${curve}`, hovermode: "x unified",
  };
  dom.drawn = true;
  plotly.react(dom.chart, traces, layout, { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] });
}

// A curve's mean, and behind it the band from the least to the largest record of each bucket, where they differ.
function tracesOf(name, curve, colour, band) {
  if (!curve) return [];
  const { step, mean, least, most } = curve, line = { x: step, y: mean, name, mode: "lines", line: { color: colour, width: 2 } };
  if (!band || least.every((value, i) => value === most[i])) return [line];
  const edge = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  return [{ x: step, y: most, ...edge }, { x: step, y: least, fill: "tonexty", fillcolor: "rgba(128,128,128,.22)", ...edge }, line];
}

// The averaged weights' loss on pictures that no step has seen, at each checkpoint.
function heldOut(name, curve, colour) {
  return curve ? [{ x: curve.step, y: curve.mean, name: `${name}, held out`, mode: "lines+markers", line: { color: colour, width: 1.5, dash: "dot" }, marker: { size: 7 } }] : [];
}

// The last record's loss in each tenth of [0, 1].
function tracesByTime(names, details, colour) {
  return names.flatMap((name, i) => {
    const bins = details.get(name).curves.loss_by_time, filled = bins.map((bin, k) => [(k + 0.5) / bins.length, bin.mean.at(-1)]).filter(([, value]) => value !== undefined);
    return filled.length ? [{ x: filled.map(([t]) => t), y: filled.map(([, value]) => value), name, mode: "lines+markers", line: { color: colour(i), width: 2 } }] : [];
  });
}

async function tellRun(page, action) {
  const name = page.shown;
  if (action === "delete" && !(await confirmDelete(name))) return;
  const { buttons } = page.run;
  Object.values(buttons).forEach((button) => { button.disabled = true; });
  try {
    await askServer(`jobs/${name}/${action}`, {});
    if (action === "delete") { page.ticked.delete(name); page.details.delete(name); page.shown = null; }
    tell(page, action === "stop" ? `${name} writes a checkpoint and ends.` : "");
  } catch (error) {
    tell(page, error.message);
  }
  Object.values(buttons).forEach((button) => { button.disabled = false; });
  refreshRuns(page);
}

// Asks before a run goes for good.
function confirmDelete(name) {
  return new Promise((answer) => {
    const yes = make("button", { type: "button", class: "fl-plain fl-primary" }, "Delete it"), no = make("button", { type: "button", class: "fl-plain" }, "Keep it");
    const dialog = openDialog(`Delete ${name}?`, make("p", {}, "Its checkpoints, previews and records are gone for good."), make("div", { class: "fl-run-actions" }, yes, no));
    const close = dialog.onclose;
    dialog.onclose = () => { close(); answer(false); };
    yes.onclick = () => { answer(true); dialog.close(); };
    no.onclick = () => dialog.close();
    no.focus();
  });
}
