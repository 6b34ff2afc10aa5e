// What a reader does: buttons, keys, presets and their sweeps.

function listenToButtons(page) {
  const { dom } = page, on = (id, act) => { const button = document.getElementById(`do-${id}`); if (button) button.onclick = act; };
  dom.time.onchange = () => history.replaceState(null, "", addressOf(page));
  page.probed = () => history.replaceState(null, "", addressOf(page));
  dom.fewer.onclick = () => stepNfe(page, -1);
  dom.more.onclick = () => stepNfe(page, 1);
  dom.tell.onclick = () => tellClass(page);
  on("undo", () => undo(page));
  on("reset", () => { remember(page); startPreset(page, PRESETS[0]); });
  on("share", () => share(page));
  on("export", () => openExport(page));
  on("python", () => openPython(page));
  on("draw", () => openDrawing(page));
  on("learn", () => openLearning(page));
  on("lecture", () => toggleLecture(page));
  on("help", () => openHelp());
  on("controls", () => toggleRail(page));
}

// The lecture view and back; the address keeps it.
function toggleLecture(page) {
  const { session } = page, layout = session.view.layout === "lecture" ? "page" : "lecture";
  session.set({ ...session.view, layout });
  showLayout(page);
  restLinked(page);
}

// Words, lines and what is shown around the stages, as the view's layout wants them.
function showLayout(page) {
  const lecture = page.session.view.layout === "lecture";
  document.body.classList.toggle("fl-lecture", lecture);
  document.getElementById("do-lecture").setAttribute("aria-pressed", String(lecture));
  if (page.session.shownMeasures()) showChart(page);
}

// Where the page is narrow the controls are a drawer.
function toggleRail(page) {
  const open = document.body.classList.toggle("fl-rail-open");
  document.getElementById("do-controls").setAttribute("aria-expanded", String(open));
  if (page.session.shownMeasures()) showChart(page); // the chart has the width that is left
  if (open && matchMedia("(max-width: 700px)").matches) document.querySelector(".fl-stages").scrollIntoView({ block: "start" }); // above the sheet
}

// Tells both fields each particle's class, or takes it back.
function tellClass(page) {
  remember(page);
  const { view } = page.session, sees = view.a.sees === "class" && view.b.sees === "class" ? "position" : "class";
  showView(page, { ...view, a: { ...view.a, sees }, b: { ...view.b, sees } });
}

// The button says what it does next.
function nameTell(page) {
  const { a, b } = page.session.view, known = a.sees === "class" && b.sees === "class";
  page.dom.tell.textContent = known ? "Take the class back" : "Tell both fields the class";
  page.dom.tell.hidden = page.session.sides.a.world.target.classCount < 2;
}

// Keeps the present view, so that Undo can come back to it: the reader takes over, so nothing sweeps on.
function remember(page) {
  stopSweep(page);
  markPreset(page, null);
  page.history.push({ view: page.session.view, caption: document.getElementById("caption").textContent, preset: page.preset, chart: page.chart, number: page.number });
  if (page.history.length > 100) page.history.shift();
}

function undo(page) {
  const before = page.history.pop();
  stopSweep(page);
  if (!before) { tell(page, "Nothing to undo."); return; }
  Object.assign(page, { chart: before.chart, number: before.number });
  markPreset(page, before.preset);
  showView(page, before.view, { caption: before.caption });
}

async function share(page) {
  const { session } = page, address = location.origin + stillAddressOf(page);
  history.replaceState(null, "", address);
  try {
    await navigator.clipboard.writeText(address);
    const learned = ["a", "b"].some((name) => session.sides[name].learned);
    tell(page, learned ? "The link is copied. Networks are not in it: it restores these scenes with their exact fields." : "The link is copied: it alone restores this picture.");
  } catch {
    tell(page, `This link restores the picture: ${address}`); // the browser does not let a page write to the clipboard
  }
}

function fillPresets(page) {
  const row = document.querySelector(".fl-presets");
  PRESETS.forEach((preset, i) => {
    const button = make("button", { type: "button", title: i < 8 ? `Key ${i + 1}` : "" }, preset.name);
    button.onclick = () => { remember(page); startPreset(page, preset); };
    row.append(button);
  });
}

// Shows a preset, its chart and its rings, plays, and moves what it sweeps.
async function startPreset(page, preset) {
  const { session, clock } = page;
  stopSweep(page);
  Object.assign(page, { chart: preset.chart || "error", number: preset.number || "alone" });
  markPreset(page, preset);
  const layout = session.view.layout;
  await showView(page, { ...presetView(preset, page.setup), layout }, { caption: preset.caption });
  if (prefersStillness()) clock.seek(1);
  else if (preset.sweep) startSweep(page, preset.sweep);
  else { clock.seek(0); clock.play(); }
}

// Which preset is shown; none once the reader has changed something.
function markPreset(page, preset) {
  page.preset = preset;
  document.querySelectorAll(".fl-presets button").forEach((button) => button.setAttribute("aria-pressed", String(button.textContent === preset?.name)));
}

function startSweep(page, { name, side, values, every }) {
  let i = 0;
  page.clock.seek(1);
  const step = () => {
    if (i === values.length) { stopSweep(page); restLinked(page); return; }
    const letter = side === "both" ? "both" : side.toUpperCase(), view = patched(page.session.view, name, values[i++], letter, page.session);
    page.session.set(view, { dragging: every < 500 });
    if (every >= 500) restLinked(page); else page.wish();
    page.sweep = setTimeout(step, every);
  };
  page.sweep = setTimeout(step, 700);
}

// A sweep ends where the reader takes over.
function stopSweep(page) {
  clearTimeout(page.sweep);
  page.sweep = undefined;
}

const PROBE_STEP = 0.1; // data units an arrow key moves the probe

function listenToKeys(page) {
  document.addEventListener("keydown", (event) => {
    const { target, key } = event, { clock, session } = page;
    const typing = target.closest?.("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, dialog, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const onControl = target.closest?.("input, button, [role=tab], a"), onStage = target.closest?.("canvas") && session.view.show.includes("probe");
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    const act = () => {
      if (key === " " && !onControl) return clock.playing ? clock.pause() : clock.play();
      if (arrow && onStage) {
        const at = page.probe || { x: 0, y: 0 };
        return moveProbe(page, at.x + PROBE_STEP * arrow[0], at.y + PROBE_STEP * arrow[1]);
      }
      if (arrow && !onControl && arrow[0]) return clock.seek(clock.time + 0.01 * arrow[0]);
      if (/^[1-8]$/.test(key) && PRESETS[key - 1]) { remember(page); return startPreset(page, PRESETS[key - 1]); }
      if (key === "c" || key === "C") return tellClass(page);
      if (key === "[" || key === "]") return stepNfe(page, key === "]" ? 1 : -1);
      if (key === "," || key === ".") return stepState(page, key === "." ? 1 : -1);
      return false;
    };
    if (act() !== false) event.preventDefault();
  });
}

// The next or the last budget that the solver can use.
function stepNfe(page, direction) {
  const { session } = page, { view } = session, each = evaluationsPerStep(view.a.solver), nfe = Math.min(Math.max(NFE_MOST, view.a.nfe), Math.max(each, view.a.nfe + direction * each));
  remember(page);
  session.set(patched(view, "nfe", nfe, "both", session));
  restLinked(page);
}

// One step of A's solver on or back.
function stepState(page, direction) {
  const { t } = page.session.sides.a.run, k = stateBefore(t, page.clock.time + 1e-9), exact = Math.abs(t[k] - page.clock.time) < 1e-6;
  page.clock.seek(t[Math.min(t.length - 1, Math.max(0, direction > 0 ? k + 1 : exact ? k - 1 : k))]);
}

// What Gradio's controls should show, in the order of app/pages/controls.py.
function controlValues(page) {
  const { a, b } = page.session.view, own = page.side === "A" ? a : b, { view } = page.session;
  return CONTROL_ORDER.map((name) => {
    if (name === "side") return page.side;
    if (name === "playback" || name === "show") return view[name];
    return SHARED_FIELDS.includes(name) ? a[name] : own[name];
  });
}

const CONTROL_ORDER = [
  "target", "sees", "side", "prior", "scale", "solver", "nfe", "prior_mean", "prior_covariance", "prior_components", "coupling", "batch_size", "path", "sigma_min", "degree", "grid",
  "separation", "letters", "count", "seed", "playback", "show",
];
