// What all panels share: conditions or prompts, how many samples, the seed; and the buttons Sample, Hide names, Export.

const COMPARE_COUNTS = [4, 9, 16, 25, 36, 64];
const PROMPT_LENGTH = 300;

function buildWish(page) {
  const sample = make("button", { type: "button", class: "fl-play", id: "compare-sample" }, "Sample"), hide = make("button", { type: "button", class: "fl-plain", id: "compare-hide" }, "Hide names"), out = make("button", { type: "button", class: "fl-plain", id: "compare-export" }, "Export");
  sample.onclick = () => sampleWish(page);
  hide.onclick = () => { if (page.hidden) revealNames(page); else hideNames(page); };
  out.onclick = () => exportCompare(page);
  const count = make("select", { id: "compare-count", "aria-label": "Samples" }, ...COMPARE_COUNTS.map((n) => make("option", { value: String(n) }, String(n))));
  count.onchange = () => { page.wish.n = Number(count.value); showWish(page); };
  const seed = make("input", { type: "number", min: "0", max: "1000000000", step: "1", id: "compare-seed", "aria-label": "Seed" });
  seed.oninput = () => { const value = Number(seed.value); if (Number.isInteger(value) && value >= 0) { page.wish.seed = value; showWish(page); } };
  const classes = make("div", { class: "fl-told", role: "group", "aria-label": "Classes" });
  const prompts = make("textarea", { id: "compare-prompts", rows: "2", "aria-label": "Prompts", placeholder: "a prompt on each line: grinning cat, flag of Japan …", spellcheck: "false" }), wrong = make("p", { class: "fl-wrong", role: "alert" });
  prompts.oninput = () => {
    const lines = prompts.value.split("\n").map((line) => line.trim()).filter(Boolean), long = lines.find((line) => line.length > PROMPT_LENGTH);
    wrong.textContent = long ? `a prompt of ${long.length.toLocaleString("en")} characters is too long; at most ${PROMPT_LENGTH} are read` : lines.length > 64 ? `${lines.length} prompts are too many; at most 64` : "";
    page.wish.prompts = lines;
    showWish(page);
  };
  const told = make("div", { class: "fl-told-row" }, make("span", { class: "fl-label" }, "Classes"), classes), typed = make("div", { class: "fl-told-row" }, make("label", { for: "compare-prompts", class: "fl-label" }, "Prompts"), make("div", { class: "fl-prompts" }, prompts, wrong));
  Object.assign(page.dom, { sample, hide, out, count, seed, classes, prompts, wrong, told, typed });
  return make(
    "section", { class: "fl-wish", "aria-label": "What is sampled" }, told, typed,
    make("div", { class: "fl-wish-row" }, sample, make("label", {}, "samples ", count), make("label", {}, "seed ", seed), hide, out),
  );
}

function showWish(page) {
  const { dom, wish } = page, chosen = wish.panels.map((panel) => modelOf(page, panel.model)).filter(Boolean), ofClasses = chosen.filter((model) => model.condition === "class");
  const common = ofClasses.length ? ofClasses[0].classes.filter((name) => ofClasses.every((model) => model.classes.includes(name))) : [];
  wish.told = wish.told.filter((name) => common.includes(name));
  dom.told.hidden = !ofClasses.length;
  dom.typed.hidden = !chosen.some((model) => model.condition === "text");
  const shown = common.length <= 30 ? common : [];
  if (dom.classes.dataset.names !== JSON.stringify(shown)) {
    dom.classes.dataset.names = JSON.stringify(shown);
    dom.classes.replaceChildren(...shown.map((name) => toldChip(page, name)), make("span", { class: "fl-hint" }));
  }
  dom.classes.querySelectorAll("button").forEach((chip) => chip.setAttribute("aria-pressed", String(wish.told.includes(chip.dataset.name))));
  dom.classes.querySelector(".fl-hint").textContent = ofClasses.length && !common.length ? "these models have no class in common" : wish.told.length ? "in turn" : "drawn as in the training data; choose some to ask for these in turn";
  if (document.activeElement !== dom.prompts) dom.prompts.value = wish.prompts.join("\n");
  dom.count.value = String(wish.n);
  if (document.activeElement !== dom.seed) dom.seed.value = String(wish.seed);
  const stale = isStale(page);
  dom.sample.disabled = Boolean(page.sending) || !wish.panels.length || (!dom.typed.hidden && Boolean(dom.wrong.textContent));
  dom.sample.classList.toggle("fl-waiting", stale);
  dom.sample.title = stale ? "What is chosen differs from what is shown" : "Samples it again";
  dom.hide.textContent = page.hidden ? "Show names" : "Hide names";
  dom.hide.disabled = !page.results || page.results.panels.length < 2;
  dom.out.disabled = !page.results;
  dom.differs.textContent = differenceInWords(page);
}

function toldChip(page, name) {
  const chip = make("button", { type: "button", class: "fl-plain fl-chip-button" }, name);
  chip.dataset.name = name;
  chip.onclick = () => {
    const { wish } = page;
    wish.told = wish.told.includes(name) ? wish.told.filter((each) => each !== name) : [...wish.told, name];
    showWish(page);
  };
  return chip;
}

// Whether the wish is no longer the one whose results are shown; the wished NFE alone moves nothing.
function isStale(page) {
  const plain = (wish) => JSON.stringify([wish.panels, wish.n, wish.seed, wish.told, wish.prompts]);
  return !page.results || plain(page.results.wish) !== plain(page.wish);
}

// One line: what differs between the panels, and where their budgets are not the same.
function differenceInWords(page) {
  if (page.hidden) return "Samples from the same normal numbers. Which do you prefer?";
  const { panels } = (page.results ?? page).wish ?? page.wish, models = panels.map((panel) => modelOf(page, panel.model));
  if (!panels.length || models.some((model) => !model)) return "";
  if (panels.length === 1) return `${models[0].name}: ${models[0].about}.`;
  const parts = [], vary = (values, words) => { if (new Set(values).size > 1) parts.push(`${words} (${values.join(" | ")})`); };
  vary(models.map((model) => model.name), "the model");
  vary(panels.map((panel) => panel.solver), "the solver");
  vary(panels.map((panel) => panel.guidance), "guidance");
  vary(panels.map((panel) => panel.grid), "the grid");
  vary(panels.map((panel) => panel.weights), "weights");
  if (new Set(models.map((model) => model.name)).size === 1) vary(panels.map((panel, k) => panel.step ?? models[k].steps[0]), "the step");
  const said = parts.length ? `Same normal numbers. What differs: ${parts.join(", ")}.` : "The panels are alike.";
  const warn = [];
  if (new Set(models.filter((model) => model.images).map((model) => model.images)).size > 1) warn.push(`unequal training: ${models.map((model) => (model.images ? picturesInWords(model.images) : "unknown")).join(" | ")} pictures seen`);
  const told = page.results?.panels.map((panel) => JSON.stringify(panel.names ?? null)).filter((names) => names !== "null") ?? [];
  if (new Set(models.map((model) => model.condition)).size > 1 || new Set(told).size > 1) warn.push("they are told different things");
  if (new Set(models.map((model) => model.shape.join("x"))).size > 1) warn.push("their latents have other shapes, so that equal numbers mean nothing");
  return [said, warn.length ? `Mind: ${warn.join("; ")}.` : ""].filter(Boolean).join(" ");
}

function picturesInWords(count) {
  return count >= 1e6 ? `${(count / 1e6).toPrecision(3)} million` : count.toLocaleString("en");
}
