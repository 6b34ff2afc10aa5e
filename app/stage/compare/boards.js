// The table over all methods that ship: 1-NN accuracy by evaluations, with intervals over seeds; what the seeds cannot tell from the best is marked as a tie.

const BOARD_COLUMNS = ["prior", "1", "2", "4", "8", "16", "32", "adaptive"];

async function showBoards(page) {
  const { boards } = await askServer("table").catch(() => ({})); // a page without the table is whole
  if (boards) page.qualityDom.all.replaceChildren(...boards.map(boardTable));
}

function boardTable({ base, lines, real, count, ties }) {
  const cell = (score, tied) => (score ? make(tied ? "b" : "span", {}, `${shortReal(score.value)}${score.half === null ? "" : ` ± ${Number(score.half.toPrecision(2))}`}`) : "–");
  const head = ["", "seeds", ...BOARD_COLUMNS.map((at) => (at === "prior" ? "prior alone" : at)), "straightness", "acceleration", "training", "passes"];
  const body = lines.map((line) => make(
    "tr", {}, make("th", { scope: "row" }, line.name), make("td", {}, String(line.seeds)), ...BOARD_COLUMNS.map((at) => make("td", {}, cell(line.scores.one_nn?.[at], ties.one_nn[at].includes(line.name)))),
    make("td", {}, line.flow.straightness ? shortReal(line.flow.straightness.value) : "–"), make("td", {}, line.flow.acceleration ? shortReal(line.flow.acceleration.value) : "–"), make("td", {}, `${Math.round(line.seconds)} s`), make("td", {}, `${line.passes.toPrecision(3)} M`),
  ));
  const last = make("tr", {}, make("th", { scope: "row" }, "real against real"), make("td", {}), make("td", {}, cell(real.one_nn, false)), ...BOARD_COLUMNS.slice(1).map(() => make("td", {})), ...[1, 2, 3, 4].map(() => make("td", {})));
  return make(
    "details", { class: "fl-more" }, make("summary", {}, `All methods on ${base}: 1-NN two-sample accuracy by evaluations`),
    make("div", { class: "fl-wide" }, make("table", {}, make("thead", {}, make("tr", {}, ...head.map((words) => make("th", { scope: "col" }, words)))), make("tbody", {}, ...body, last))),
    make("p", { class: "fl-hint" }, `Against ${count} held-out pictures; .5 is ideal. ± is half a 95 % interval: that of the pictures, or that over the seeds where it is larger. Bold: the best of a column and what cannot be told from it. Passes: millions of forward passes of the network, three for a training picture; a reflow's teacher and pairs are counted in.`),
  );
}
