// The Explore page: the session, the stages, the controls beside them and everything under them, tied together.

const REST_AFTER = 80, REST_WHILE_PRESSED = 300; // ms without a move of any control until it is at rest; a hand that still holds a slider may go on
const MEASURE_EVERY = 2; // frames of a drag between measures of the first rows of one side
const MEASURE_AFTER = 15; // ms without a move until both are measured

// Mounts the page into `element`. setup: FlowLab.setup; wish(): asks Gradio to take its controls' values from `controlValues`.
// Returns what Gradio's handlers and tests use: { control, released, controlValues, session, view }.
function mountExplore(element, setup, wish) {
  const dom = buildStages(element), clockNow = { now: () => performance.now(), request: requestAnimationFrame.bind(window), cancel: cancelAnimationFrame.bind(window) };
  const page = {
    dom, setup, wish, side: "B", probe: null, hovered: -1, chart: "error", history: [], frameAsked: false, next: "a", fade: 1, moving: false,
    python: { a: null, b: null },
  };
  page.session = makeSession(setup, { post: (message) => page.workers[message.side].postMessage(message), ask: askServer, changed: (what) => whenChanged(page, what) });
  startSettlers(page);
  page.clock = makeClock((tick) => onTick(page, tick), clockNow);
  page.layers = { a: makeLayers(dom.a.canvas), b: makeLayers(dom.b.canvas) };
  watchVisibility(page.clock, [dom.a.canvas, dom.b.canvas]);
  listenToStages(page);
  listenToButtons(page);
  listenToKeys(page);
  fillPresets(page);
  listenToPrinting(page);
  new ResizeObserver(() => paintSoon(page)).observe(dom.stages);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paintSoon(page));
  const api = {
    session: page.session, page,
    get view() { return page.session.view; },
    control: (name, value) => moveControl(page, name, value),
    released: () => { if (page.resting !== undefined) settleNow(page); },
    controlValues: () => controlValues(page),
  };
  document.addEventListener("pointerdown", () => { page.pressed = true; }, true);
  for (const over of ["pointerup", "pointercancel"]) document.addEventListener(over, () => { page.pressed = false; }, true);
  nameControls();
  openFromAddress(page);
  return api;
}

// Gradio names neither its groups of radios nor ties them together: with a name and one group each, screen readers say which choice it is, and arrow keys move in it.
function nameControls() {
  const rail = document.getElementById("rail");
  const name = () => rail.querySelectorAll("fieldset").forEach((group) => {
    const radios = group.querySelectorAll("input[type=radio]"), label = group.querySelector("[data-testid=block-info]")?.textContent.trim() || "";
    if (group.getAttribute("aria-label") !== label) group.setAttribute("aria-label", label);
    if (radios.length && group.getAttribute("role") !== "radiogroup") group.setAttribute("role", "radiogroup");
    radios.forEach((radio) => { if (radio.name !== group.id) radio.name = group.id; });
  });
  name();
  // Folded controls are made when they are first opened, and a choice that Gradio draws anew has its own name again.
  new MutationObserver(name).observe(rail, { childList: true, subtree: true, attributes: true, attributeFilter: ["name"] });
}

// One settling worker a side: both cores of a small machine are free at rest.
function startSettlers(page) {
  for (const worker of Object.values(page.workers || {})) worker.terminate();
  page.workers = { a: startSettler(page.setup), b: startSettler(page.setup) };
  for (const worker of Object.values(page.workers)) worker.onmessage = ({ data }) => page.session.settled(data);
}

// Targets that the server was still making when it sent the page (on its very first start): fetched, and known from then on.
async function fetchLaterTargets(page) {
  if (!page.setup.later?.length) return;
  const { targets, boxes } = await askServer("setup");
  Object.assign(page.setup.targets, targets);
  Object.assign(page.setup.boxes, boxes);
  for (const name of page.setup.later) page.session.addTarget(name === "letters" ? "letters:FLOW" : name, targets[name]);
  page.setup.later = [];
  startSettlers(page);
  for (const side of Object.values(page.session.sides)) side.asked = false;
}

// A settling worker, made of the same numeric files as the page.
function startSettler(setup) {
  const files = NUMERIC_SOURCE + "\nFlowLab.serveSettler(self, Object.fromEntries(Object.entries(setup.targets).map(([name, m]) => [name === 'letters' ? 'letters:FLOW' : name, FlowLab.makeMixture(m)])));";
  return new Worker(URL.createObjectURL(new Blob([`const setup = ${JSON.stringify({ targets: setup.targets })};\n`, files], { type: "text/javascript" })));
}

// A question to the server: JSON where it answers so, else an ArrayBuffer. Throws an Error with the server's sentence.
async function askServer(path, body) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(plainValue(body)) });
  } catch {
    throw new Error("the server does not answer; the page goes on with what it has");
  }
  const json = (answer.headers.get("content-type") || "").startsWith("application/json");
  if (!answer.ok) throw new Error(json ? (await answer.json()).error : `the server answers ${answer.status}`);
  return json ? answer.json() : answer.headers.get("content-type").startsWith("text/") ? answer.text() : answer.arrayBuffer();
}

// Typed arrays as lists, so that JSON carries them.
function plainValue(value) {
  if (ArrayBuffer.isView(value)) return Array.from(value);
  if (Array.isArray(value)) return value.map(plainValue);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plainValue(each)]));
  return value;
}

const LINKED_CAPTION = "The same particles on both sides. Dark lines: where the solver missed the exact flow.";

// The opening view, or that of the address, which the server reads and clamps.
async function openFromAddress(page) {
  const { session, clock } = page, later = fetchLaterTargets(page), query = location.search.slice(1).replace(/(^|&)view=lecture/, "$1layout=lecture");
  session.rest();
  session.measure();
  showDifferences(page);
  verifySoon(page);
  showCaption(page, PRESETS[0].caption);
  if (query) {
    try {
      await later;
      const { view, notes, boxes } = await askServer(`view?${query}`);
      await showView(page, receivedView(view, boxes), { notes, caption: LINKED_CAPTION });
    } catch (error) {
      tell(page, error.message);
    }
    if (!new URLSearchParams(query).has("time") && !prefersStillness()) clock.play();
    else clock.seek(session.view.time);
  } else if (prefersStillness()) clock.seek(1);
  else clock.play();
  later.then(() => session.rest(), (error) => tell(page, error.message));
  document.body.classList.toggle("fl-lecture", session.view.layout === "lecture");
  page.wish();
}

// Shows a whole view at once: presets, undo, links.
async function showView(page, view, { notes = [], caption = null } = {}) {
  const { session } = page;
  for (const scene of [view.a, view.b]) {
    if (scene.target === "letters" && !session.targets[`letters:${scene.letters}`]) session.addTarget(`letters:${scene.letters}`, await askServer("letters", { letters: scene.letters }));
  }
  session.set(view, { notes });
  if (caption !== null) showCaption(page, caption);
  page.wish();
  settleNow(page);
}

// A control has moved. name: a scene's field, or side, playback, show.
function moveControl(page, name, value) {
  const { session } = page, { view } = session;
  if (name === "side") {
    page.side = value;
    page.wish();
    return;
  }
  if (name === "target" && value === "custom" && !session.custom && !view.a.mixture) { // there is none yet: it has to be drawn
    page.wish();
    openDrawing(page);
    return;
  }
  if (page.resting === undefined) remember(page);
  if (name === "playback" || name === "show") session.set({ ...view, [name]: value }, { dragging: true });
  else if (name === "letters") { changeLetters(page, value); return; }
  else session.set(patched(view, name, value, page.side, session), { dragging: true });
  clearTimeout(page.resting);
  page.resting = setTimeout(() => settleNow(page), page.pressed ? REST_WHILE_PRESSED : REST_AFTER);
}

const SHARED_FIELDS = ["target", "separation", "letters", "sees", "solver", "nfe", "count", "seed"]; // both stages have the same particles and budget, so that they can be compared

// A view with one field changed: on both sides where it is shared, else on the side that controls change.
function patched(view, name, value, side, session) {
  const number = typeof view.a[name] === "number" ? Number(value) : value, change = (scene) => {
    const out = { ...scene, [name]: number };
    if (name === "target") out.mixture = value === "custom" ? session.custom || scene.mixture : null;
    return name === "target" && value === "custom" && !out.mixture ? scene : out;
  };
  const both = SHARED_FIELDS.includes(name) || side === "both";
  return { ...view, a: both || side === "A" ? change(view.a) : view.a, b: both || side === "B" ? change(view.b) : view.b };
}

async function changeLetters(page, letters) {
  const { session } = page;
  try {
    const view = { ...session.view, a: { ...session.view.a, target: "letters", letters }, b: { ...session.view.b, target: "letters", letters } };
    remember(page);
    await showView(page, view);
  } catch (error) {
    tell(page, error.message);
    page.wish();
  }
}

// All that waits for rest: full particle counts, the worker's measures, the address, the server's float64 numbers.
function settleNow(page) {
  const { session } = page;
  clearTimeout(page.resting);
  page.resting = undefined;
  session.rest();
  session.measure();
  history.replaceState(null, "", addressOf(page));
  page.wish();
  showDifferences(page);
  verifySoon(page);
  if (session.notes.length) tell(page, session.notes.join(". "));
}

// The address of the present picture.
function addressOf(page) {
  const { session, setup, clock } = page, view = { ...session.view, time: clock.playing ? 1 : Number(clock.time.toFixed(4)) };
  const query = queryOf(view, setup);
  return query === queryOf(receivedView(setup.opening), setup) ? location.pathname : `${location.pathname}?${query}`;
}

// What the session says has changed.
function whenChanged(page, what) {
  if (what === "notes") tell(page, page.session.notes.join(". "));
  if (what === "measures" && page.session.sides.b.measured) showMeasures(page);
  paintSoon(page);
}

function onTick(page, { time, fade, playing, moving }) {
  page.fade = fade;
  page.moving = moving;
  page.dom.time.value = time;
  page.dom.timeWords.textContent = `t = ${time.toFixed(2)}`;
  page.dom.play.textContent = playing ? "Pause" : "Play";
  if (moving) paintNow(page); // the clock ticks in a frame of its own: waiting for the next would halve the pace
  else paintSoon(page);
}

// Paints on the next frame; after it, while a control moves, the first rows of one side are measured.
function paintSoon(page) {
  if (page.frameAsked || !page.session) return;
  page.frameAsked = true;
  requestAnimationFrame(() => {
    page.frameAsked = false;
    paintNow(page);
    if (page.session.dragging) measureAfterFrame(page);
  });
}

function measureAfterFrame(page) {
  page.frames = (page.frames || 0) + 1;
  const both = page.frames % MEASURE_EVERY !== 0;
  clearTimeout(page.measuring);
  page.measuring = setTimeout(() => {
    if (!page.session.dragging) return;
    page.session.measure(both ? ["a", "b"] : [page.next]);
    page.next = page.next === "a" ? "b" : "a";
  }, both ? MEASURE_AFTER : 0);
}

// Paints both stages as they are now.
function paintNow(page) {
  const { session, dom } = page, { view } = session, dark = isDark() && view.layout !== "lecture", ratio = window.devicePixelRatio || 1;
  if (view.show.includes("field")) page.fieldScale = linkedFieldScale(page);
  for (const name of ["a", "b"]) {
    const side = session.sides[name], { canvas } = dom[name], size = canvas.clientWidth;
    if (!side.picture || size === 0) continue;
    resizeLayers(page.layers[name], size, canvas.clientHeight, ratio);
    const { picture } = side;
    paintStage(page.layers[name], picture, { ...paintOptions(page, name), dark, hovered: page.hovered, moving: page.moving, dragging: session.dragging, fade: page.fade });
  }
  page.painted = performance.now();
  if (page.onPaint) page.onPaint();
}

const SCALED_TIMES = [0.25, 0.5, 0.75];

// One length scale for the arrows of A and B, made again where a world is another.
function linkedFieldScale(page) {
  const pictures = ["a", "b"].map((name) => page.session.sides[name].picture).filter(({ world }) => !world.paired), fields = pictures.map(({ world }) => world.field);
  if (page.scaledFields && fields.length === page.scaledFields.length && fields.every((field, i) => field === page.scaledFields[i])) return page.fieldScale;
  page.scaledFields = fields;
  return fieldScaleOf(pictures.flatMap((picture) => SCALED_TIMES.map((t) => picture.fieldAt(t, ARROW_COLUMNS, ARROW_COLUMNS))));
}

// Whether the page is dark: Gradio's own switch, which follows the reader's setting.
function isDark() {
  return document.body.classList.contains("dark") || document.documentElement.classList.contains("dark");
}
