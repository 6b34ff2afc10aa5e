// Two linked stages: one session, one clock, a settling worker a side, and what they are painted with. The Explore page and a lesson build what stands around them.

const MEASURE_EVERY = 2; // frames of a drag between measures of the first rows of one side
const MEASURE_AFTER = 15; // ms without a move until both are measured
const REST_AFTER = 80, REST_WHILE_PRESSED = 300; // ms without a move of any control until it is at rest; a hand that still holds a slider may go on

// Links the stages of `dom` (buildLinked). setup: what the server says once. ask(path, body): the server; dark(): whether the page is dark now.
// The owner sets `changed(what)`, `rested()` and `probed()` (the probe was let go) to hear of changes. end() gives everything back.
function linkStages(dom, setup, { ask = askServer, dark = isDark } = {}) {
  const linked = { dom, setup, ask, dark, probe: null, hovered: -1, frameAsked: false, next: "a", fade: 1, moving: false, changed: () => {}, rested: () => {}, probed: () => {} };
  const clockNow = { now: () => performance.now(), request: requestAnimationFrame.bind(window), cancel: cancelAnimationFrame.bind(window) };
  const changed = (what) => { linked.changed(what); paintSoon(linked); };
  linked.session = makeSession(setup, { post: (message) => linked.workers[message.side].postMessage(message), ask, changed });
  startSettlers(linked);
  linked.clock = makeClock((tick) => onTick(linked, tick), clockNow);
  linked.layers = { a: makeLayers(dom.a.canvas), b: makeLayers(dom.b.canvas) };
  const unwatch = watchVisibility(linked.clock, [dom.a.canvas, dom.b.canvas]), sizes = new ResizeObserver(() => paintSoon(linked));
  listenToStages(linked);
  dom.play.onclick = () => (linked.clock.playing ? linked.clock.pause() : linked.clock.play());
  dom.time.oninput = () => linked.clock.seek(Number(dom.time.value));
  sizes.observe(dom.stages);
  const press = () => { linked.pressed = true; }, lift = () => { linked.pressed = false; }, lifts = ["pointerup", "pointercancel"];
  document.addEventListener("pointerdown", press, true);
  for (const over of lifts) document.addEventListener(over, lift, true);
  linked.end = () => {
    linked.clock.pause();
    clearTimeout(linked.resting);
    document.removeEventListener("pointerdown", press, true);
    for (const over of lifts) document.removeEventListener(over, lift, true);
    unwatch();
    sizes.disconnect();
    for (const worker of Object.values(linked.workers)) worker.terminate();
  };
  return linked;
}

// Shows a view while a control moves; it is at rest when no other move follows soon.
function moveLinked(linked, view) {
  linked.session.set(view, { dragging: true });
  clearTimeout(linked.resting);
  linked.resting = setTimeout(() => restLinked(linked), linked.pressed ? REST_WHILE_PRESSED : REST_AFTER);
}

// Rest: full particle counts, the workers' measures, and what the owner does then.
function restLinked(linked) {
  clearTimeout(linked.resting);
  linked.resting = undefined;
  linked.session.rest();
  linked.session.measure();
  linked.rested();
}

const NFE_MOST = 64; // of sliders; links and programs may ask for more

// Puts the probe somewhere, to a hundredth, so that a link finds it there again.
function moveProbe(linked, x, y) {
  const place = (value) => Math.min(100, Math.max(-100, Number(value.toFixed(2))));
  linked.probe = { x: place(x), y: place(y) };
  paintSoon(linked);
}

// One settling worker a side: both cores of a small machine are free at rest.
function startSettlers(linked) {
  for (const worker of Object.values(linked.workers || {})) worker.terminate();
  linked.workers = { a: startSettler(linked.setup), b: startSettler(linked.setup) };
  for (const worker of Object.values(linked.workers)) worker.onmessage = ({ data }) => linked.session.settled(data);
}

// A settling worker, made of the same numeric files as the page.
function startSettler(setup) {
  const files = NUMERIC_SOURCE + "\nFlowLab.serveSettler(self, Object.fromEntries(Object.entries(setup.targets).map(([name, m]) => [name === 'letters' ? 'letters:FLOW' : name, FlowLab.makeMixture(m)])));";
  return new Worker(URL.createObjectURL(new Blob([`const setup = ${JSON.stringify({ targets: setup.targets })};\n`, files], { type: "text/javascript" })));
}

function onTick(linked, { time, fade, playing, moving }) {
  linked.fade = fade;
  linked.moving = moving;
  linked.dom.time.value = time;
  linked.dom.timeWords.textContent = `t = ${time.toFixed(2)}`;
  linked.dom.play.textContent = playing ? "Pause" : "Play";
  if (moving) paintNow(linked); // the clock ticks in a frame of its own: waiting for the next would halve the pace
  else paintSoon(linked);
}

// Paints on the next frame; after it, while a control moves, the first rows of one side are measured.
function paintSoon(linked) {
  if (linked.frameAsked || !linked.session) return;
  linked.frameAsked = true;
  requestAnimationFrame(() => {
    linked.frameAsked = false;
    paintNow(linked);
    if (linked.session.dragging) measureAfterFrame(linked);
  });
}

function measureAfterFrame(linked) {
  linked.frames = (linked.frames || 0) + 1;
  const both = linked.frames % MEASURE_EVERY !== 0;
  clearTimeout(linked.measuring);
  linked.measuring = setTimeout(() => {
    if (!linked.session.dragging) return;
    linked.session.measure(both ? ["a", "b"] : [linked.next]);
    linked.next = linked.next === "a" ? "b" : "a";
  }, both ? MEASURE_AFTER : 0);
}

// Paints both stages as they are now.
function paintNow(linked) {
  const { session, dom } = linked, { view } = session, dark = linked.dark() && view.layout !== "lecture", ratio = window.devicePixelRatio || 1;
  if (view.show.includes("field")) linked.fieldScale = linkedFieldScale(linked);
  for (const name of ["a", "b"]) {
    const side = session.sides[name], { canvas } = dom[name], size = canvas.clientWidth;
    if (!side.picture || size === 0) continue;
    resizeLayers(linked.layers[name], size, canvas.clientHeight, ratio);
    const { picture } = side;
    paintStage(linked.layers[name], picture, { ...paintOptions(linked, name), dark, hovered: linked.hovered, moving: linked.moving, dragging: session.dragging, fade: linked.fade });
  }
  linked.painted = performance.now();
  if (linked.onPaint) linked.onPaint();
}

const SCALED_TIMES = [0.25, 0.5, 0.75];

// One length scale for the arrows of A and B, made again where a world is another.
function linkedFieldScale(linked) {
  const pictures = ["a", "b"].map((name) => linked.session.sides[name].picture).filter(({ world }) => !world.paired), fields = pictures.map(({ world }) => world.field);
  if (linked.scaledFields && fields.length === linked.scaledFields.length && fields.every((field, i) => field === linked.scaledFields[i])) return linked.fieldScale;
  linked.scaledFields = fields;
  return fieldScaleOf(pictures.flatMap((picture) => SCALED_TIMES.map((t) => picture.fieldAt(t, ARROW_COLUMNS, ARROW_COLUMNS))));
}

// Whether the page is dark: Gradio's own switch, which follows the reader's setting.
function isDark() {
  return document.body.classList.contains("dark") || document.documentElement.classList.contains("dark");
}

// The options that side `name` ("a" or "b") is painted with, at any size. Full OT knows the velocity of its own pairs alone: it has no density, field or probe to show.
function paintOptions(linked, name) {
  const { view, sides } = linked.session, show = new Set(view.show);
  if (sides[name].world.paired) for (const each of ["density", "field", "probe"]) show.delete(each);
  return {
    time: linked.clock.time, playback: view.playback, show, dark: linked.dark() && view.layout !== "lecture", lecture: view.layout === "lecture", hovered: -1,
    probe: linked.probe || { x: 0, y: 0 }, fieldScale: linked.fieldScale, errorScale: linked.errorScale, heat: Boolean(linked.heat), fade: 1, probeStep: 0.25,
  };
}

