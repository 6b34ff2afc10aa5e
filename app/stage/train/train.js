// The Train page: a form that starts runs, the list of them, and one looked at. The server's folder of runs is the truth; the page asks again every two seconds.

const TRAIN_EVERY = 2000; // ms between questions, while the page is in sight

function mountTrain(root) {
  const page = { runs: [], limit: 1, shown: null, ticked: new Set(), details: new Map(), curve: "loss", followFilm: true, filmOf: null, recipes: null, wishes: 0 };
  const first = make("button", { type: "button", class: "fl-play fl-watch", id: "train-watch" }, "Watch digits train");
  const lead = make("div", { class: "fl-lead" }, first, make("p", {}, "About a minute: a network of a million parameters goes from noise to 8 × 8 digits. Every run here goes on when this page, or the server, is closed."));
  first.onclick = () => startTraining(page, page.recipes.first, {}, "");
  first.disabled = true;
  const message = make("div", { class: "fl-message", role: "status", id: "message", hidden: "" });
  page.dom = { message };
  const aside = make("div", { class: "fl-aside" }, make("p", { class: "fl-hint" }, "The recipes are being read …"));
  root.replaceChildren(lead, message, make("div", { class: "fl-train" }, aside, make("div", { class: "fl-train-main" }, buildRuns(page), buildRun(page))));
  readRecipes(page, aside, first);
  const again = async () => {
    if (!document.hidden) await refreshRuns(page);
    page.timer = setTimeout(again, TRAIN_EVERY);
  };
  again();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshRuns(page); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (page.shown) showCurves(page); });
  return page;
}

async function readRecipes(page, aside, first) {
  try {
    page.recipes = await askServer("recipes");
  } catch (error) {
    const retry = make("button", { type: "button", class: "fl-plain" }, "Try again");
    retry.onclick = () => readRecipes(page, aside, first);
    aside.replaceChildren(make("p", { class: "fl-wrong" }, error.message), retry);
    return;
  }
  aside.replaceChildren(buildTrainForm(page));
  first.disabled = false;
}

async function startTraining(page, recipe, settings, name) {
  const buttons = [page.form.start, document.getElementById("train-watch")];
  buttons.forEach((button) => { button.disabled = true; });
  try {
    const { run, notes } = await askServer("jobs", { recipe, settings, ...(name ? { name } : {}) });
    page.shown = run.name;
    page.followFilm = true;
    tell(page, notes.join(" "));
  } catch (error) {
    faultOfTraining(page, error);
    tell(page, error.message);
  }
  buttons.forEach((button) => { button.disabled = false; });
  refreshRuns(page);
}

// Asks for all runs, then for the one looked at and those ticked; an answer that comes after a later question is dropped.
async function refreshRuns(page) {
  const wish = ++page.wishes;
  try {
    const { runs, limit } = await askServer("jobs");
    if (wish !== page.wishes) return;
    Object.assign(page, { runs, limit });
    if (page.lost) { page.lost = false; tell(page, ""); }
    if (!runs.some((run) => run.name === page.shown)) page.shown = runs[0]?.name ?? null;
    showRuns(page);
    await refreshRun(page, wish);
  } catch (error) {
    if (wish === page.wishes) { page.lost = true; tell(page, `${error.message}. Runs go on without it; the page asks again.`); }
  }
}

async function refreshRun(page, wish = ++page.wishes) {
  const rows = page.runs.filter((run) => run.name === page.shown || page.ticked.has(run.name));
  // A run that is over, and stands as it stood when it was last asked for, is not asked for again.
  const stale = rows.filter((run) => ["running", "queued"].includes(run.state) || page.details.get(run.name)?.row !== JSON.stringify(run));
  const found = await Promise.all(stale.map((run) => askServer(`jobs/${run.name}`)));
  if (wish !== page.wishes) return;
  stale.forEach((run, i) => page.details.set(run.name, { ...found[i], row: JSON.stringify(run) }));
  showRun(page);
}
