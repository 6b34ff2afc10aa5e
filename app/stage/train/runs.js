// The list of runs: state, progress, loss, speed, what is left. Chosen ones are overlaid in the curves; the one looked at is shown below.

const RUN_STATES = { queued: "waiting", running: "training", paused: "paused", stopped: "stopped", finished: "finished", failed: "failed", interrupted: "interrupted", damaged: "damaged" };

function buildRuns(page) {
  const limit = make("select", { id: "train-limit", "aria-label": "Trainings at once" }, ...[1, 2, 3, 4, 8].map((number) => make("option", { value: String(number) }, String(number))));
  limit.onchange = async () => {
    try { await askServer("limit", { number: Number(limit.value) }); } catch (error) { tell(page, error.message); }
    refreshRuns(page);
  };
  const list = make("div", { class: "fl-runs", role: "list" });
  page.runList = { list, limit, rows: new Map() };
  return make("section", { "aria-label": "Runs" }, make("div", { class: "fl-runs-head" }, make("h2", {}, "Runs"), make("label", {}, "at once ", limit)), list);
}

function showRuns(page) {
  const { list, limit, rows } = page.runList, { runs } = page;
  if (document.activeElement !== limit) {
    if (![...limit.options].some((option) => option.value === String(page.limit))) limit.append(make("option", { value: String(page.limit) }, String(page.limit)));
    limit.value = String(page.limit);
  }
  if (!runs.length) {
    rows.clear();
    list.replaceChildren(make("p", { class: "fl-hint" }, "Nothing has been trained yet. The button above trains a network on 8 × 8 digits while you watch."));
    return;
  }
  for (const name of rows.keys()) if (!runs.some((run) => run.name === name)) rows.delete(name);
  const shown = runs.map((run) => {
    const row = rows.get(run.name) ?? buildRunRow(page, run.name);
    rows.set(run.name, row);
    updateRunRow(page, row, run);
    return row.root;
  });
  if (shown.length !== list.children.length || shown.some((row, i) => list.children[i] !== row)) list.replaceChildren(...shown);
}

function buildRunRow(page, name) {
  const tick = make("input", { type: "checkbox", "aria-label": `Overlay ${name}` }), open = make("button", { type: "button", class: "fl-run-name" }, name);
  const state = make("span", { class: "fl-run-state" }), bar = make("progress", { max: "1", value: "0", "aria-label": `Progress of ${name}` }), words = make("span", { class: "fl-run-words" });
  tick.onchange = () => { if (tick.checked) page.ticked.add(name); else page.ticked.delete(name); refreshRun(page); };
  open.onclick = () => { page.shown = name; refreshRuns(page); };
  return { root: make("div", { class: "fl-run", role: "listitem" }, tick, open, state, bar, words), tick, open, state, bar, words };
}

function updateRunRow(page, row, run) {
  const parts = [`${run.step.toLocaleString("en")} of ${run.steps.toLocaleString("en")}`];
  if (run.loss !== null) parts.push(`loss ${run.loss.toFixed(4)}`);
  if (run.state === "running" && run.images_per_second) parts.push(`${Math.round(run.images_per_second).toLocaleString("en")} pictures/s`);
  if (run.eta !== null) parts.push(`${secondsInWords(run.eta)} left`);
  if (run.state === "queued") parts.push(run.before ? `${run.before} before it` : "next");
  row.words.textContent = parts.join(" · ");
  row.state.textContent = RUN_STATES[run.state] ?? run.state;
  row.state.dataset.state = run.state;
  row.bar.value = run.steps ? run.step / run.steps : 0;
  row.tick.checked = page.ticked.has(run.name);
  row.open.setAttribute("aria-current", String(page.shown === run.name));
  row.root.classList.toggle("fl-run-shown", page.shown === run.name);
}
