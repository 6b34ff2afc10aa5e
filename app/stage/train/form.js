// The form of the Train page, made of the recipes' own schema: data, method, budget in sight, every other value folded; what it would cost here before it starts.

const TRAIN_IN_SIGHT = ["training.steps", "training.batch", "optimiser.learning_rate", "training.seed"];
const TRAIN_PLAN_WAIT = 700; // ms of rest before the cost is counted anew

function buildTrainForm(page) {
  const { recipes } = page, form = { changed: new Map(), inputs: new Map(), planned: 0 };
  page.form = form;
  form.data = make("div", { class: "fl-pills", role: "radiogroup", "aria-label": "Data" });
  for (const [name, words] of Object.entries(recipes.data)) {
    const input = make("input", { type: "radio", name: "train-data", value: name, id: `train-data-${name}` });
    input.onchange = () => chooseTrainRecipe(page, name, form.method.value);
    form.data.append(make("label", { class: "fl-pill" }, input, make("span", {}, words)));
  }
  form.method = make("select", { id: "train-method", "aria-label": "Method" });
  form.method.onchange = () => chooseTrainRecipe(page, form.dataName, form.method.value);
  form.about = make("p", { class: "fl-hint" });
  form.name = make("input", { type: "text", id: "train-name", maxlength: "64", spellcheck: "false", autocomplete: "off", placeholder: "as the recipe" });
  form.nameSays = make("p", { class: "fl-wrong", role: "alert" });
  form.name.oninput = () => { form.nameSays.textContent = !form.name.value || /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(form.name.value) ? "" : "letters, digits, dots, dashes and underscores, beginning with a letter or digit"; };
  form.budget = make("div", { class: "fl-budget" });
  form.rest = make("details", { class: "fl-rest" }, make("summary", {}, "Everything else"));
  form.rest.ontoggle = () => { if (form.rest.open && !form.rest.querySelector(".fl-part")) fillTrainRest(page); };
  form.seen = make("p", { class: "fl-hint", id: "train-seen" });
  form.cost = make("div", { class: "fl-cost", "aria-live": "polite" });
  form.notes = make("ul", { class: "fl-notes" });
  form.start = make("button", { type: "button", class: "fl-plain fl-primary", id: "train-start" }, "Start");
  form.start.onclick = () => startTraining(page, form.recipe, Object.fromEntries(form.changed), form.name.value.trim());
  form.says = make("p", { class: "fl-wrong", role: "alert", id: "train-says" });
  const row = (words, id, ...parts) => make("div", { class: "fl-field" }, make("label", id ? { for: id } : {}, words), ...parts);
  form.root = make(
    "section", { class: "fl-form", "aria-label": "New training" },
    make("h2", {}, "New training"), row("Data", null, form.data), row("Method", "train-method", form.method, form.about), form.budget,
    row("Name of the run", "train-name", form.name, form.nameSays), form.rest, make("h3", {}, "What it will cost on this machine"), form.cost, form.notes, form.start, form.says,
  );
  const first = recipes.recipes[recipes.first];
  chooseTrainRecipe(page, first.data, first.method);
  return form.root;
}

// Another data set or method: its own values; what the reader has changed stays where the field is still there.
function chooseTrainRecipe(page, data, method) {
  const { form, recipes } = page, names = Object.keys(recipes.methods).filter((name) => recipes.recipes[`${data}-${name}`]);
  const chosen = names.includes(method) ? method : names[0];
  form.dataName = data;
  form.recipe = `${data}-${chosen}`;
  form.method.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
  form.method.value = chosen;
  document.getElementById(`train-data-${data}`)?.setAttribute("checked", "");
  form.data.querySelectorAll("input").forEach((input) => { input.checked = input.value === data; });
  form.about.textContent = recipes.recipes[form.recipe].about;
  form.inputs.clear();
  form.budget.replaceChildren(...TRAIN_IN_SIGHT.map((name) => trainField(page, name)), form.seen);
  form.rest.querySelectorAll(".fl-part").forEach((part) => part.remove());
  if (form.rest.open) fillTrainRest(page);
  showTrainSeen(page);
  planTraining(page);
}

function trainSchema(page, name) {
  for (const section of page.recipes.sections) for (const field of section.fields) if (field.name === name) return field;
  throw new Error(`the schema has no ${name}`);
}

function fillTrainRest(page) {
  for (const section of page.recipes.sections) {
    const fields = section.fields.filter((field) => !TRAIN_IN_SIGHT.includes(field.name)).map((field) => trainField(page, field.name));
    page.form.rest.append(make("details", { class: "fl-part" }, make("summary", {}, section.name), make("p", { class: "fl-hint" }, section.about), ...fields));
  }
}

// A field with its label, its input, what it means, and what is wrong with it.
function trainField(page, name) {
  const { form } = page, field = trainSchema(page, name), own = page.recipes.recipes[form.recipe].values[name], value = form.changed.get(name) ?? own, id = `train-${name.replace(".", "-")}`;
  const options = field.kind === "truth" ? ["true", "false"] : field.choices;
  const input = options ? make("select", { id }, ...options.map((option) => make("option", { value: option }, option))) : make("input", { id, type: "text", autocomplete: "off", spellcheck: "false", inputmode: field.kind === "text" ? "text" : "decimal" });
  input.value = value;
  const wrong = make("p", { class: "fl-wrong", role: "alert", id: `${id}-wrong` }), words = name.split(".")[1].replaceAll("_", " ");
  input.setAttribute("aria-describedby", wrong.id);
  const check = () => {
    const text = input.value.trim();
    wrong.textContent = trainFault(field, text);
    input.setAttribute("aria-invalid", String(Boolean(wrong.textContent)));
    if (text === own) form.changed.delete(name); else form.changed.set(name, text);
    label.classList.toggle("fl-changed", text !== own);
    showTrainSeen(page);
    planTraining(page);
  };
  input.oninput = check;
  const label = make("label", { for: id, title: name }, words);
  label.classList.toggle("fl-changed", value !== own);
  form.inputs.set(name, { input, wrong });
  return make("div", { class: "fl-field" }, label, input, ...(field.about ? [make("p", { class: "fl-hint" }, field.about)] : []), wrong);
}

// What is wrong with a value, in words; "" where nothing is. The server looks at it again.
function trainFault({ kind, optional, least, most }, text) {
  if (optional && (text === "" || text === "none")) return "";
  if (kind !== "number" && kind !== "whole") return text === "" ? "must not be empty" : "";
  const number = Number(text);
  if (text === "" || !Number.isFinite(number)) return "must be a number";
  if (kind === "whole" && !Number.isInteger(number)) return "must be a whole number";
  return least !== null && (number < least || number > most) ? `must lie in ${shortNumber(least)} to ${shortNumber(most)}` : "";
}

function shortNumber(value) {
  return Math.abs(value) >= 1e6 ? value.toExponential(0).replace("e+", "e") : String(value);
}

function showTrainSeen(page) {
  const number = (name) => Number(page.form.changed.get(name) ?? page.recipes.recipes[page.form.recipe].values[name]), seen = number("training.steps") * number("training.batch"), says = page.form.seen;
  says.textContent = Number.isFinite(seen) ? `${seen.toLocaleString("en")} pictures will be seen` : "";
}

// The cost of what the form holds, once it has rested; a late answer for an earlier form is dropped.
function planTraining(page) {
  const { form } = page, ticket = ++form.planned, faulty = [...form.inputs.values()].some(({ wrong }) => wrong.textContent);
  clearTimeout(form.planning);
  form.start.disabled = faulty;
  form.says.textContent = "";
  if (faulty) { form.cost.textContent = "Mend what is marked first."; return; }
  form.cost.textContent = "Counting, and timing a few steps …";
  form.planning = setTimeout(async () => {
    try {
      const found = await askServer("plan", { recipe: form.recipe, settings: Object.fromEntries(form.changed) });
      if (ticket === form.planned) showTrainPlan(page, found);
    } catch (error) {
      if (ticket === form.planned) faultOfTraining(page, error);
    }
  }, TRAIN_PLAN_WAIT);
}

function showTrainPlan({ form }, found) {
  const rows = [
    ["Network", `${(found.parameters / 1e6).toPrecision(3)} M parameters`], ["Memory", `${bytesInWords(found.memory)} and activations`], ["Speed", `${Math.round(found.images_per_second).toLocaleString("en")} pictures a second`],
    ["Time", `about ${secondsInWords(3600 * found.hours)}`], ["A checkpoint", bytesInWords(found.checkpoint)],
  ];
  form.cost.replaceChildren(make("dl", {}, ...rows.flatMap(([name, words]) => [make("dt", {}, name), make("dd", {}, words)])));
  form.notes.replaceChildren(...found.notes.map((note) => make("li", {}, note)));
}

// A refusal: at the field that it names, else under the button.
function faultOfTraining({ form }, error) {
  form.cost.textContent = "";
  form.notes.replaceChildren();
  for (const [name, { input, wrong }] of form.inputs) {
    if (error.message.includes(name)) { input.closest("details.fl-part")?.setAttribute("open", ""); wrong.textContent = error.message; input.setAttribute("aria-invalid", "true"); return; }
  }
  form.says.textContent = error.message;
}

function bytesInWords(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toPrecision(3)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`;
}

function secondsInWords(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toPrecision(2)} hours` : `${Math.round(seconds / 86400)} days`;
}
