// The Explore page: the session, the stages, the controls beside them and everything under them, tied together.

// Mounts the page into `element`. setup: FlowLab.setup; wish(): asks Gradio to take its controls' values from `controlValues`.
// Returns what Gradio's handlers and tests use: { control, released, controlValues, session, view }.
function mountExplore(element, setup, wish) {
  const page = Object.assign(linkStages(buildStages(element), setup), { wish, side: "B", chart: "error", number: "alone", history: [], python: { a: null, b: null } });
  page.changed = (what) => whenChanged(page, what);
  page.rested = () => whenRested(page);
  listenToButtons(page);
  listenToKeys(page);
  fillPresets(page);
  listenToPrinting(page);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paintSoon(page));
  const api = {
    session: page.session, page,
    get view() { return page.session.view; },
    control: (name, value) => moveControl(page, name, value),
    released: () => { if (page.resting !== undefined) restLinked(page); },
    controlValues: () => controlValues(page),
  };
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
      page.number = view.show.includes("rings") ? "cost" : "alone";
      await showView(page, receivedView(view, boxes), { notes, caption: LINKED_CAPTION });
    } catch (error) {
      tell(page, error.message);
    }
    if (!new URLSearchParams(query).has("time") && !prefersStillness()) clock.play();
    else clock.seek(session.view.time);
  } else if (prefersStillness()) clock.seek(1);
  else clock.play();
  later.then(() => session.rest(), (error) => tell(page, error.message));
  showLayout(page);
  page.wish();
  page.opened = true; // the view of the address is shown
}

// Shows a whole view at once: presets, undo, links.
async function showView(page, view, { notes = [], caption = null } = {}) {
  const { session } = page;
  for (const scene of [view.a, view.b]) {
    if (scene.target === "letters" && !session.targets[`letters:${scene.letters}`]) session.addTarget(`letters:${scene.letters}`, await askServer("letters", { letters: scene.letters }));
  }
  page.probe = { x: view.probe_x, y: view.probe_y };
  session.set(view, { notes });
  if (caption !== null) showCaption(page, caption);
  page.wish();
  restLinked(page);
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
  if (page.resting === undefined && name !== "letters") remember(page);
  if (name === "target") { // what the preset's sentence says need not hold there
    showCaption(page, LINKED_CAPTION);
    page.number = "alone";
  }
  const idle = page.side === "A" ? idleWords(view.a, name) : page.side === "B" ? idleWords(view.b, name) : idleWords(view.a, name) && idleWords(view.b, name);
  if (idle && !SHARED_FIELDS.includes(name)) tell(page, idle);
  if (name === "letters") changeLetters(page, value);
  else moveLinked(page, name === "playback" || name === "show" ? { ...view, [name]: value } : patched(view, name, value, page.side, session));
}

async function changeLetters(page, letters) {
  const { session } = page;
  try {
    const view = { ...session.view, a: { ...session.view.a, target: "letters", letters, mixture: null }, b: { ...session.view.b, target: "letters", letters, mixture: null } };
    remember(page);
    await showView(page, view);
  } catch (error) {
    tell(page, error.message);
    page.wish();
  }
}

// At rest: the address, the controls, the server's float64 numbers.
function whenRested(page) {
  const { session } = page;
  history.replaceState(null, "", addressOf(page));
  page.wish();
  showDifferences(page);
  verifySoon(page);
  if (session.notes.length) tell(page, session.notes.join(". "));
}

// The address of the present picture.
function addressOf(page) {
  const { session, setup, clock } = page, at = page.probe || { x: 0, y: 0 };
  const view = { ...session.view, time: clock.playing ? 1 : Number(clock.time.toFixed(4)), probe_x: at.x, probe_y: at.y };
  const query = queryOf(view, setup);
  return query === queryOf(receivedView(setup.opening), setup) ? location.pathname : `${location.pathname}?${query}`;
}

// The address of the present picture as it stands: where nothing plays it names its time, so that it opens still.
function stillAddressOf(page) {
  const address = addressOf(page);
  if (page.clock.playing || /[?&]time=/.test(address)) return address;
  return `${location.pathname}?${address.includes("?") ? address.slice(address.indexOf("?") + 1) : queryOf(page.session.view, page.setup)}&time=${page.clock.time}`;
}

// What the session says has changed.
function whenChanged(page, what) {
  if (what === "notes") tell(page, page.session.notes.join(". "));
  if (what === "measures" && page.session.sides.b.measured) showMeasures(page);
}
