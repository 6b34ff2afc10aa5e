// The Compare page: two to four checkpoints from the same normal numbers. What is wished stands in `page.wish`, what came of the last wish in `page.results`; the slider moves through results alone.

function mountCompare(root) {
  const page = {
    models: [], results: null, shown: 8, hover: null, opened: 0, hidden: false, order: [], votes: [], curve: "error", measure: "one_nn", events: null, session: sessionName(),
    wish: { panels: [], n: 16, seed: 0, nfe: 8, told: [], prompts: [] },
  };
  const message = make("div", { class: "fl-message", role: "status", id: "message", hidden: "" }), differs = make("p", { class: "fl-caption", id: "differs" });
  page.dom = { message, differs };
  const panels = make("div", { class: "fl-panels", id: "panels" });
  page.dom.panels = panels;
  root.replaceChildren(differs, message, buildWish(page), buildLadder(page), panels, buildOpened(page), buildQuality(page));
  document.addEventListener("keydown", (event) => ladderKeys(page, event));
  window.addEventListener("resize", () => paintPanels(page));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { paintPanels(page); showQuality(page); });
  openCompare(page);
  return page;
}

// A text of this page's own, so that the server knows whose comparison gives way to whose.
function sessionName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The models that there are, and the comparison that ships; without one the first two models stand ready to be sampled.
async function openCompare(page) {
  try {
    const [{ models }, opening] = await Promise.all([askServer("models"), askServer("compare/opening")]);
    page.models = models;
    if (opening.wish && opening.wish.panels.every((panel) => modelOf(page, panel.model))) {
      page.wish = { ...page.wish, ...opening.wish, panels: opening.wish.panels.map((panel) => ({ ...panel })) };
      beginResults(page, "precomputed", JSON.parse(JSON.stringify(page.wish)));
      for (const [name, numbers] of opening.events) takeEvent(page, name, numbers);
    } else {
      page.wish.panels = models.slice(0, 2).map(defaultPanel);
    }
  } catch (error) {
    tell(page, error.message);
  }
  page.ready = true;
  showAll(page);
  if (!page.models.length) tell(page, "There is no checkpoint yet. The Train page makes one in about a minute, and it appears here by itself.");
  setInterval(() => { if (!document.hidden) refreshModels(page); }, 5000);
}

// New runs appear by themselves; what is chosen stays.
async function refreshModels(page) {
  try {
    const { models } = await askServer("models");
    if (JSON.stringify(models) === JSON.stringify(page.models)) return;
    page.models = models;
    if (!page.wish.panels.length && models.length) page.wish.panels = models.slice(0, 2).map(defaultPanel);
    showAll(page);
  } catch { /* the page goes on with the models that it knows */ }
}

function modelOf(page, id) {
  return page.models.find((model) => model.id === id);
}

// How a model is sampled until the reader says otherwise.
function defaultPanel(model) {
  return { model: model.id, step: null, weights: model.weights.includes("ema") ? "ema" : model.weights[0], solver: model.ddpm ? "ddim-scheduler" : "euler", grid: "uniform", guidance: model.condition === "none" ? 1 : model.guidance };
}

// Everything that follows from wish and results.
function showAll(page) {
  showWish(page);
  buildPanels(page);
  showLadder(page);
  showOpened(page);
  showQuality(page);
}

// Samples what is wished, in a process of the server's own that streams what it makes.
async function sampleWish(page) {
  const wish = JSON.parse(JSON.stringify(page.wish)); // what is changed while the server answers belongs to the next one
  if (page.sending) return;
  page.sending = true;
  showWish(page);
  try {
    const { id } = await askServer("compare", { ...wish, session: page.session });
    page.events?.close(); // a refused wish leaves the last one streaming
    tell(page, "");
    beginResults(page, "sampling", wish);
    listen(page, id);
  } catch (error) {
    tell(page, error.message);
  }
  page.sending = false;
  showAll(page);
}

function listen(page, id) {
  const events = new EventSource(`/api/compare/${id}/events`), results = page.results;
  page.events = events;
  page.comparison = id;
  for (const name of ["loaded", "rung", "film", "nearest", "known", "exact", "end", "failed", "lost"]) {
    events.addEventListener(name, (event) => {
      if (page.results !== results) return;
      takeEvent(page, name, JSON.parse(event.data));
      if (["end", "failed", "lost"].includes(name)) events.close();
    });
  }
  events.onerror = () => { if (events.readyState === EventSource.CLOSED && page.results === results && results.state === "sampling") { results.state = "lost"; tell(page, "the server does not answer; what was sampled stays"); showLadder(page); } };
}

// Empty results for a wish of their own.
function beginResults(page, state, wish) {
  page.results = { state, wish, panels: wish.panels.map(() => ({ rungs: new Map(), failures: new Map(), sheet: null })) };
  page.shown = wish.nfe;
  if (!page.hidden || page.order.length !== wish.panels.length) { // a vote goes on over new samples of the same models
    page.order = wish.panels.map((_, k) => k);
    page.votes = wish.panels.map(() => 0);
    page.hidden = false;
  }
  page.opened = 0;
}

// One event of a comparison: kept, and shown where it is in sight.
function takeEvent(page, name, numbers) {
  const { results } = page, panel = results.panels[numbers.panel];
  if (name === "loaded") Object.assign(panel, { loaded: numbers, sheet: numbers.sheet, names: numbers.names });
  if (name === "rung" || name === "exact") keepRung(page, panel, name === "rung" ? numbers.nfe : EXACT, numbers);
  if (name === "exact") panel.exact = numbers;
  if (name === "film" || name === "nearest" || name === "known") keepLook(page, panel, name, numbers);
  if (name === "end" && numbers.why) { results.state = "lost"; tell(page, `${numbers.why[0].toUpperCase()}${numbers.why.slice(1)}; what was sampled stays.`); }
  else if (name === "end") Object.assign(results, { state: results.state === "precomputed" ? "precomputed" : "done", seconds: numbers.seconds });
  if (name === "failed" || name === "lost") { results.state = name; tellFailure(page, `${numbers.error[0].toUpperCase()}${numbers.error.slice(1)}.`); }
  if (page.ready) { showLadder(page); if (name === "exact" || name === "end") showQuality(page); }
}

// A rung's sheet as a picture that can be drawn at once, or why there is none.
function keepRung(page, panel, nfe, numbers) {
  if (numbers.error) panel.failures.set(nfe, numbers.error);
  if (!numbers.picture) return;
  const rung = { ...numbers, picture: null, image: null };
  panel.rungs.set(nfe, rung);
  decoded(numbers.picture).then((image) => { rung.image = image; }, () => { panel.rungs.delete(nfe); panel.failures.set(nfe, UNREADABLE); }).then(() => { paintPanels(page); showOpened(page); });
}

function keepLook(page, panel, name, numbers) {
  panel[name] = { ...numbers, picture: null, image: null };
  if (!numbers.picture) { showOpened(page); return; }
  const look = panel[name];
  decoded(numbers.picture).then((image) => { look.image = image; }, () => { look.error = UNREADABLE; }).then(() => showOpened(page));
}

const UNREADABLE = "this picture came damaged: press Sample again";

// The image of a WebP in base64.
async function decoded(text) {
  const image = new Image();
  image.src = `data:image/webp;base64,${text}`;
  await image.decode();
  return image;
}
