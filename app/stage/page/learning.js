// Networks that learn on the present scenes while one watches: A and B side by side with the same budget, in a process of the server's; snapshots come back as grids.

const LEARN_STEPS = { iterations: 500, width: 16, depth: 1 }; // the options that a reader may set; their ranges are the server's

// The grid of a snapshot's bytes (app/tasks/grids.py says how they lie).
function receivedGrid(buffer) {
  const length = new DataView(buffer).getUint32(0, true), header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return {
    values: new Float32Array(buffer, 4 + length), t: Float64Array.from(header.t), boxes: Float64Array.from(header.boxes.flat()), classes: header.classes, nx: header.nx, ny: header.ny,
    perAngle: header.path !== null, k: header.k, iteration: header.iteration,
  };
}

// This visitor's name to the server, made up once: trainings of others are other people's.
function learningSession() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function openLearning(page) {
  if (page.learning) { page.learning.panel.scrollIntoView({ block: "nearest" }); return; }
  const fields = Object.fromEntries(Object.entries(LEARN_STEPS).map(([name, step]) => {
    const { most, defaults } = page.setup.learning;
    return [name, make("input", { type: "number", min: step, max: most[name], step, value: defaults[name], id: `learn-${name}` })];
  }));
  const button = (name, act) => { const made = make("button", { type: "button", class: "fl-plain" }, name); made.onclick = act; return made; };
  const says = make("p", { class: "fl-status", role: "status" }, "A and B: one network each, the same budget. It trains on pairs of the scene's coupling."), charts = make("div", { class: "fl-learn-charts" });
  const snapshot = make("input", { type: "range", min: "0", max: "0", step: "1", value: "0", "aria-label": "Snapshot", disabled: "" });
  const learning = { fields, says, charts, snapshot, kept: [], losses: [], looks: new Map(), session: page.learningName || (page.learningName = learningSession()), id: null, follow: true };
  const start = button("Train", () => beginLearning(page)), pause = button("Pause", () => pauseLearning(page)), stop = button("Stop", () => commandLearning(page, "stop")), leave = button("Exact field", () => endLearning(page));
  const heat = make("input", { type: "checkbox", id: "learn-heat" });
  heat.onchange = () => { page.heat = heat.checked; updateErrorScale(page); paintSoon(page); };
  pause.disabled = stop.disabled = true;
  Object.assign(learning, { start, pause, stop });
  snapshot.oninput = () => { learning.follow = Number(snapshot.value) === learning.kept.length - 1; showSnapshot(page, learning.kept[Number(snapshot.value)]); };
  learning.panel = make(
    "section", { class: "fl-learn", "aria-label": "Learn" }, make("h3", {}, "Learn"),
    make("div", { class: "fl-learn-row" }, ...Object.entries(fields).map(([name, input]) => make("label", {}, `${name} `, input)), start, pause, stop, leave,
      make("label", {}, heat, " show |learned − exact| on the stages")),
    make("label", { class: "fl-learn-row" }, "Snapshot ", snapshot), says, charts,
  );
  page.dom.message.after(learning.panel);
  page.learning = learning;
  learning.panel.scrollIntoView({ block: "nearest" });
}

async function beginLearning(page) {
  const { learning, session } = page, waiting = ["a", "b"].find((name) => session.sides[name].waiting);
  if (waiting) { learning.says.textContent = `${waiting.toUpperCase()}'s coupling is not there yet; train when it is.`; return; }
  const options = Object.fromEntries(Object.entries(learning.fields).map(([name, input]) => [name, Number(input.value)]));
  learning.start.disabled = true;
  learning.says.textContent = "A process is being started …";
  try {
    const begun = await askServer("learn", { scenes: [session.view.a, session.view.b], options, session: learning.session });
    Object.assign(learning, { id: begun.id, seed: begun.seed, kept: [], losses: [], looks: new Map(), grids: new Map(), reports: {}, follow: true, scenes: { a: session.view.a, b: session.view.b }, givens: { a: session.sides.a.given, b: session.sides.b.given } });
    learning.pause.disabled = learning.stop.disabled = false;
    if (begun.notes.length) tell(page, begun.notes.join(". "));
    listenToTraining(page, begun.id);
  } catch (error) {
    learning.says.textContent = error.message;
    learning.start.disabled = false;
  }
}

// What the training says, event by event.
function listenToTraining(page, id) {
  const { learning } = page, source = new EventSource(`/api/learn/${id}/events`), on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  const over = (words) => {
    source.close();
    learning.says.textContent = words;
    learning.start.disabled = false;
    learning.pause.disabled = learning.stop.disabled = true;
    learning.pause.textContent = "Pause";
  };
  const where = ({ iteration, budget, seconds }) => `iteration ${iteration.toLocaleString("en")} of ${budget.toLocaleString("en")}, ${seconds.toFixed(0)} s of training`;
  learning.source = source;
  source.onerror = () => {
    if (page.learning !== learning) return;
    if (source.readyState === EventSource.CLOSED) over("The server no longer knows this training; what has been learned so far stays on the page.");
    else learning.says.textContent = "The server does not answer; what has been learned so far stays on the page. Trying again …";
  };
  on("preparing", () => { learning.says.textContent = "Preparing the scenes …"; });
  on("started", ({ parameters, seed }) => { learning.says.textContent = `Networks of ${parameters.toLocaleString("en")} parameters, seed ${seed}.`; });
  on("progress", (said) => { if (page.learning !== learning) return; learning.losses.push(said); learning.says.textContent = where(said); showLearningCharts(page); });
  on("snapshot", (said) => takeSnapshot(page, learning, said));
  on("paused", (said) => { learning.pause.textContent = "Resume"; learning.says.textContent = `Paused at ${where(said)}.`; });
  on("resumed", () => { learning.pause.textContent = "Pause"; });
  on("measuring", ({ side }) => { learning.says.textContent = `Measuring ${side.toUpperCase()} …`; });
  on("report", (said) => { if (page.learning !== learning) return; learning.reports[said.side] = said; showLearningCharts(page); });
  on("end", (said) => over(`${said.why === "done" ? "Done" : said.why === "stopped" ? "Stopped" : said.why}: ${where(said)}.`));
  on("failed", (said) => over(said.error));
  on("lost", (said) => over(said.error || "The training's process is gone; what has been learned so far stays on the page."));
}

async function takeSnapshot(page, learning, said) {
  if (page.learning !== learning) return;
  const { k, kept } = said;
  learning.looks.set(k, said);
  learning.kept = kept;
  for (const old of learning.looks.keys()) if (!kept.includes(old)) { learning.looks.delete(old); learning.grids.delete(old); }
  learning.snapshot.disabled = false;
  learning.snapshot.max = String(kept.length - 1);
  if (learning.follow) { learning.snapshot.value = learning.snapshot.max; await showSnapshot(page, k); }
}

// Puts a snapshot's fields in the place of the exact ones.
async function showSnapshot(page, k) {
  const { learning, session } = page, { id } = learning;
  learning.wanted = k;
  if (!learning.grids.has(k)) {
    try {
      const sides = await Promise.all(["a", "b"].map((side) => askServer(`learn/${id}/snapshot/${k}/${side}`)));
      learning.grids.set(k, sides.map(receivedGrid));
    } catch (error) {
      learning.says.textContent = error.message;
      return;
    }
  }
  if (page.learning !== learning || learning.id !== id || learning.wanted !== k) return; // the reader has gone on
  ["a", "b"].forEach((side, i) => session.learn(side, learning.grids.get(k)[i], learning.scenes[side], learning.givens[side]));
  learning.shown = k;
  updateErrorScale(page);
  session.rest();
  session.measure();
  showLearningCharts(page);
}

// One scale of the error's colours for A and B: the larger of the two fields' RMS errors, doubled.
function updateErrorScale(page) {
  const look = page.learning?.looks.get(page.learning.shown);
  if (look) page.errorScale = 2 * Math.max(...look.sides.map((side) => side.field_rms || 0)) || 1;
}

async function pauseLearning(page) {
  await commandLearning(page, page.learning.pause.textContent === "Pause" ? "pause" : "resume");
}

async function commandLearning(page, word) {
  try {
    await askServer(`learn/${page.learning.id}/${word}`, {});
  } catch (error) {
    page.learning.says.textContent = error.message;
  }
}

// What was measured of a side's network when its training had ended, while that network is the one shown; else nothing.
function reportShown({ learning }, name) {
  return learning && learning.shown === learning.kept.at(-1) ? learning.reports?.[name] : undefined;
}

// Back to the exact field; a training that still runs is ended.
function endLearning(page) {
  const { learning, session } = page;
  if (learning.source && learning.source.readyState !== EventSource.CLOSED) { commandLearning(page, "stop"); learning.source.close(); }
  learning.panel.remove();
  page.learning = null;
  page.heat = false;
  for (const side of ["a", "b"]) session.learn(side, null, null);
  session.rest();
  session.measure();
}

// Loss against its floor, the field's error by t, and in the end the shares of the error.
function showLearningCharts(page) {
  const { learning } = page, look = learning.looks.get(learning.shown), line = (i, pick) => learning.losses.map((said) => [said.iteration, pick(said.sides[i])]).filter(([, y]) => y !== null);
  const width = Math.min(420, Math.max(260, learning.charts.clientWidth / 3 - 18)), charts = [
    drawLossChart({ width, a: line(0, (s) => s.loss), b: line(1, (s) => s.loss), floorA: learning.losses.at(-1)?.sides[0].floor, floorB: learning.losses.at(-1)?.sides[1].floor }),
    look ? drawFieldErrorChart({ width, a: look.sides[0], b: look.sides[1] }) : null,
    learning.reports?.a ? drawSharesChart({ width, title: "Shares of the error, trained to the end", a: learning.reports.a.shares, b: learning.reports.b?.shares }) : null,
  ];
  learning.charts.replaceChildren(...charts.filter(Boolean));
}
