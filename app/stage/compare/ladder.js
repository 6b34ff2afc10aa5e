// The NFE slider: zero steps, the ladder of evaluations, the exact flow. It moves through what was sampled, without a question to the server.

const COMPARE_LADDER = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64], EXACT = "exact", LADDER_STOPS = [0, ...COMPARE_LADDER, EXACT];

function buildLadder(page) {
  const slider = make("input", { type: "range", min: "0", max: String(LADDER_STOPS.length - 1), step: "1", "aria-label": "NFE", class: "fl-time", id: "compare-nfe" }), words = make("output", { class: "fl-ladder-words", for: "compare-nfe" });
  const stops = make("div", { class: "fl-ladder-stops", "aria-hidden": "true" }, ...LADDER_STOPS.map((stop) => make("span", {}, stop === EXACT ? "exact" : String(stop)))), progress = make("p", { class: "fl-hint", role: "status", id: "compare-progress" });
  slider.oninput = () => moveLadder(page, LADDER_STOPS[Number(slider.value)]);
  page.ladderDom = { slider, words, stops, progress };
  return make("section", { class: "fl-ladder", "aria-label": "Evaluations" }, make("div", { class: "fl-ladder-row" }, make("span", { class: "fl-label" }, "NFE"), make("div", { class: "fl-ladder-rail" }, slider, stops), words), progress);
}

function moveLadder(page, stop) {
  page.shown = stop;
  if (stop !== EXACT && stop > 0) page.wish.nfe = stop;
  showLadder(page);
}

function showLadder(page) {
  const { slider, words, stops, progress } = page.ladderDom, { results } = page;
  slider.value = String(LADDER_STOPS.indexOf(page.shown));
  words.textContent = page.shown === EXACT ? "the exact flow" : page.shown === 0 ? "zero steps" : `NFE ${page.shown}`;
  slider.setAttribute("aria-valuetext", words.textContent);
  [...stops.children].forEach((mark, i) => {
    const there = results?.panels.filter((panel) => panel.rungs.has(LADDER_STOPS[i])).length ?? 0;
    mark.dataset.there = !there ? "none" : there === results.panels.length ? "all" : "some";
    mark.classList.toggle("fl-here", LADDER_STOPS[i] === page.shown);
  });
  const wanted = results ? results.panels.reduce((sum, panel) => sum + (panel.loaded ? panel.loaded.budgets.length + 1 : 0), 0) : 0, made = results ? results.panels.reduce((sum, panel) => sum + [...panel.rungs.keys(), ...panel.failures.keys()].filter((nfe) => nfe !== EXACT).length, 0) : 0;
  progress.textContent = !results ? "" : {
    precomputed: "Precomputed: these pictures came with the lab. Choose others and press Sample.",
    sampling: !wanted ? "The checkpoints are being loaded …" : made < wanted ? `${made} of ${wanted} sheets are there; the nearest came first` : "All sheets are there; the exact flow is being followed …",
    done: `All is sampled${results.seconds ? `, in ${shortReal(results.seconds)} s` : ""}.`,
  }[results.state] ?? "What was sampled stays.";
  paintPanels(page);
}

// [ and ]: fewer and more evaluations, wherever no text is typed.
function ladderKeys(page, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select")) return;
  const move = { "[": -1, "]": 1 }[event.key];
  if (move) moveLadder(page, LADDER_STOPS[Math.min(LADDER_STOPS.length - 1, Math.max(0, LADDER_STOPS.indexOf(page.shown) + move))]);
}
