// The table over all methods that ship: a score by evaluations, with intervals over seeds; what the seeds cannot tell from the best is marked as a tie.

const BOARD_COLUMNS = ["prior", "1", "2", "4", "8", "16", "32", "adaptive"];
const BOARD_MEASURES = { one_nn: ["1-NN two-sample accuracy", 1, ".5 is ideal"], kernel: ["kernel distance × 1000", 1000, "0 is ideal"], precision: ["precision", 1, "1 is ideal"], recall: ["recall", 1, "1 is ideal"], coverage: ["coverage", 1, "1 is ideal"], latents_frechet: ["Frechet distance of the latents", 1, "not to be ranked by: a Gaussian prior that was fitted to the latents wins it without any flow"] };

async function showBoards(page) {
  const { boards } = await askServer("table").catch(() => ({})); // a page without the table is whole
  if (boards) page.qualityDom.all.replaceChildren(...boards.map(boardOf));
}

// All methods on one data set, and the choice of what they are scored by.
function boardOf(board) {
  const choice = make("select", { "aria-label": `Score of all methods on ${board.base}` }, ...Object.entries(BOARD_MEASURES).map(([measure, [words]]) => make("option", { value: measure }, words)));
  const table = make("div", { class: "fl-wide" }), hint = make("p", { class: "fl-hint" });
  const show = () => {
    table.replaceChildren(boardTable(board, choice.value));
    hint.textContent = `Against ${board.count} held-out pictures; ${BOARD_MEASURES[choice.value][2]}. ± is half a 95 % interval: that of the pictures, or that over the seeds where it is larger. Bold: the best of a column and what cannot be told from it. Passes: millions of forward passes of the network, three for a training picture; a reflow's teacher and pairs are counted in.`;
  };
  choice.onchange = show;
  show();
  return make("details", { class: "fl-more" }, make("summary", {}, `All methods on ${board.base}, by evaluations`), make("p", {}, choice), table, hint);
}

function boardTable({ lines, real, ties }, measure) {
  const scale = BOARD_MEASURES[measure][1];
  const cell = (score, tied) => (score ? make(tied ? "b" : "span", {}, `${shortReal(scale * score.value)}${score.half === null ? "" : ` ± ${Number((scale * score.half).toPrecision(2))}`}`) : "–");
  const head = ["", "seeds", ...BOARD_COLUMNS.map((at) => (at === "prior" ? "prior alone" : at)), "straightness", "acceleration", "training", "passes"];
  const body = lines.map((line) => make(
    "tr", {}, make("th", { scope: "row" }, line.name), make("td", {}, String(line.seeds)), ...BOARD_COLUMNS.map((at) => make("td", {}, cell(line.scores[measure]?.[at], Boolean(ties[measure]?.[at].includes(line.name))))),
    ...["straightness", "acceleration"].map((kind) => make("td", {}, line.flow[kind] ? shortReal(line.flow[kind].value) : "–")), make("td", {}, `${Math.round(line.seconds)} s`), make("td", {}, `${line.passes.toPrecision(3)} M`),
  ));
  const last = make("tr", {}, make("th", { scope: "row" }, "real against real"), make("td", {}), make("td", {}, cell(real[measure], false)), ...BOARD_COLUMNS.slice(1).map(() => make("td", {})), ...[1, 2, 3, 4].map(() => make("td", {})));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head.map((words) => make("th", { scope: "col" }, words)))), make("tbody", {}, ...body, last));
}
