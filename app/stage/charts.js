// The charts of the Explore page. Each `...ChartMarkup` is text, each `draw...Chart` the same as an element. A side that is missing is left out.

const EXACT_ERROR = 1e-10; // errors at or below it are rounding (lab/measures.py)

function chartSides(data) {
  return ["a", "b"].filter((side) => data[side]).map((side) => [side, data[side]]);
}

// Rows of a chart's table: one for each x that any side has; cells(side's data) -> Map of x to words.
function chartRows(data, xOf, valueOf) {
  const maps = ["a", "b"].map((side) => new Map(data[side] ? Array.from(xOf(data[side]), (x, i) => [Number(x.toPrecision(6)), valueOf(data[side], i)]) : []));
  const every = [...new Set(maps.flatMap((map) => [...map.keys()]))].sort((one, other) => one - other);
  return every.map((x) => [tickWords(x), ...maps.map((map) => map.get(x) ?? "")]);
}

// Error against NFE, log-log: a, b = { points: [{ nfe, rmse, median }], referenceError, order: number or null }; nfe: the present budget; learned: the error is solver's and model's. Median marked, RMSE thin.
function errorChartMarkup({ a, b, nfe, learned = false, width }) {
  const data = { a, b }, series = chartSides(data).flatMap(([side, { points, order }]) => {
    const x = points.map((point) => point.nfe);
    return [
      { side, x, y: points.map((point) => point.rmse), thin: true },
      { side, x, y: points.map((point) => point.median), label: order === null || order === undefined ? "" : `order ${order.toFixed(1)}` },
    ];
  });
  const guides = nfe ? [{ x: nfe }] : [];
  const both = ({ points }, i) => `${shortNumber(points[i].median)} (${shortNumber(points[i].rmse)})`;
  const rows = chartRows(data, ({ points }) => points.map((point) => point.nfe), both);
  const what = learned ? "Error of solver and model" : "Solver error";
  return lineChart({
    title: `${what} against evaluations: median (RMSE)`, xName: "evaluations (NFE)", yName: `${what}: median, thin: RMSE`,
    log: { x: true, y: true }, xTicks: [1, 2, 4, 8, 16, 32, 64], xRange: [1, 64], series, guides, width,
    floor: EXACT_ERROR, floorNote: "exact here by symmetry", head: ["NFE", "A", "B"], rows,
  });
}

// At most 16 of an array's values, evenly: what a table can hold.
function sparse(values) {
  const stride = Math.ceil(values.length / 16);
  return Array.from(values).filter((_, i) => i % stride === 0);
}

// A quantity along t: a, b = { t, y }, arrays of one length.
function alongTimeMarkup({ a, b, width }, title, yName) {
  const data = { a, b }, series = chartSides(data).map(([side, { t, y }]) => ({ side, x: t, y }));
  const thinned = Object.fromEntries(chartSides(data).map(([side, { t, y }]) => [side, { t: sparse(t), y: sparse(y) }]));
  return lineChart({
    title, xName: "time t", yName, xRange: [0, 1], xTicks: [0, 0.25, 0.5, 0.75, 1], series, width,
    head: ["t", "A", "B"], rows: chartRows(thinned, (line) => line.t, (line, i) => shortNumber(line.y[i])),
  });
}

// Local truncation error of each step: a, b = { t, rmse }.
function localErrorChartMarkup({ a, b, width }) {
  const line = (side) => side && { t: side.t, y: side.rmse };
  return alongTimeMarkup({ a: line(a), b: line(b), width }, "Local truncation error of each step, RMSE, by the time it begins at", "Error of each step alone (RMSE)");
}

// Mean squared speed along the exact flow: a, b = { t, values }.
function speedChartMarkup({ a, b, width }) {
  const line = (side) => side && { t: side.t, y: side.values };
  return alongTimeMarkup({ a: line(a), b: line(b), width }, "Mean squared speed of the exact flow along t", "Speed of the exact flow, E|u|²");
}

// Acceleration along the exact flow, what Euler's error follows: a, b = { t, values }.
function accelerationChartMarkup({ a, b, width }) {
  const line = (side) => side && { t: side.t, y: side.values };
  return alongTimeMarkup({ a: line(a), b: line(b), width }, "Mean squared acceleration of the exact flow along t", "Acceleration of the exact flow, E|du/dt|²");
}

// Error of a learned field by t: a, b = { t, rms }, empty arrays where there is no exact field to compare with.
function fieldErrorChartMarkup({ a, b, width }) {
  const line = (side) => side && side.t.length > 0 && { t: side.t, y: side.rms };
  return alongTimeMarkup({ a: line(a), b: line(b), width }, "RMS error of the learned field along t", "Error of the field (RMS)");
}

const SHARE_NAMES = { start: "start", solver: "solver", model: "model", grid: "grid", estimate: "estimate", coupling: "coupling" };

// Shares of the error: a, b = { start, solver, model, grid, estimate, coupling }, each a number, null or missing.
function sharesChartMarkup({ a, b, title = "Shares of the error", width }) {
  const groups = Object.entries(SHARE_NAMES).map(([key, name]) => ({ name, a: a?.[key] ?? null, b: b?.[key] ?? null }));
  return barChart({ title, unit: "data units", groups, width });
}

// Training loss against the floor that no network gets below: a, b = [[iteration, loss]]; floorA, floorB: numbers or missing.
function lossChartMarkup({ a, b, floorA, floorB, width }) {
  const given = [["a", a, floorA], ["b", b, floorB]], floors = given.filter(([, , floor]) => isNumber(floor)), data = {};
  for (const [side, points] of given) if (points?.length) data[side] = { x: points.map(([x]) => x), y: points.map(([, y]) => y) };
  const floorWords = (side) => { const found = floors.find(([own]) => own === side); return found ? shortNumber(found[2]) : ""; };
  const thinned = Object.fromEntries(Object.entries(data).map(([side, { x, y }]) => [side, { x: sparse(x), y: sparse(y) }]));
  const values = [...floors.map(([, , floor]) => floor), ...Object.values(data).flatMap(({ y }) => y)], yLeast = values.length ? 0.95 * Math.min(...values) : 0; // what happens above the floor is what matters
  return lineChart({
    title: "Training loss by iteration, and its floor", xName: "iteration", yName: "Loss; dotted: its floor", yLeast,
    series: Object.entries(data).map(([side, { x, y }]) => ({ side, x, y, label: floorWords(side) && `floor ${floorWords(side)}` })),
    guides: floors.map(([side, , y]) => ({ y, side })), width,
    head: ["iteration", "A", "B"], rows: [...chartRows(thinned, (line) => line.x, (line, i) => shortNumber(line.y[i])), ["floor", floorWords("a"), floorWords("b")]],
  });
}

const drawErrorChart = (data) => chartElement(errorChartMarkup(data));
const drawLocalErrorChart = (data) => chartElement(localErrorChartMarkup(data));
const drawSpeedChart = (data) => chartElement(speedChartMarkup(data));
const drawAccelerationChart = (data) => chartElement(accelerationChartMarkup(data));
const drawFieldErrorChart = (data) => chartElement(fieldErrorChartMarkup(data));
const drawSharesChart = (data) => chartElement(sharesChartMarkup(data));
const drawLossChart = (data) => chartElement(lossChartMarkup(data));
