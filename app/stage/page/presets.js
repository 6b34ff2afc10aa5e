// Presets: two scenes that make one point unmissable, with the sentence that says what to look at. a and b are what differs from the defaults; `b` begins from `a`.
// number: "cost" shows the cost of pairs in the place of the prior alone. sweep: a control that moves by itself once (never with reduced motion): { name, side, values, every } in ms a value.

const PRESETS = [
  {
    name: "The label or the prior?", caption: "Same steps, same seeds. Dark lines: where the solver missed the exact flow.",
    a: {}, b: { prior: "conditional" },
  },
  {
    name: "Straight lines, bent paths", caption: "Half the grey pairs change sides, no particle does: the field averages the pairs, so paths bend. B pairs the modes optimally.",
    a: { target: "two-modes", prior: "mirrored", nfe: 64 }, b: { coupling: "component-ot" },
    show: ["contours", "pairs", "traces", "particles"],
  },
  {
    name: "One step", caption: "One Euler step gives the same eight dots for every prior; after that the cheaper, straighter prior is the worse one.",
    a: { sees: "class", prior: "conditional", prior_covariance: "none", scale: 0.1, nfe: 1 }, b: { prior_covariance: "full", scale: 1 },
    sweep: { name: "nfe", side: "both", values: [1, 2, 4, 8], every: 2200 },
  },
  {
    name: "Shift the prior", caption: "The start moves, the cost falls from 18.7 to 2.7, and not one sample moves: A's end points are the rings on B.",
    a: { sees: "class" }, b: { prior: "conditional", prior_covariance: "none", prior_mean: 0 }, number: "cost", show: ["contours", "traces", "particles", "rings"],
    sweep: { name: "prior_mean", side: "b", values: Array.from({ length: 61 }, (_, i) => 1 - Math.abs(i - 30) / 30).map((v) => Number((1 - v).toFixed(3))), every: 80 },
  },
  {
    name: "Tell it the class", caption: "The same prior N(0, I) on both sides; B's field is told each particle's class. The label alone closes most of the gap.",
    a: {}, b: { sees: "class" },
  },
  {
    name: "Where error lives", caption: "Local error along t, below: it is made early, while particles choose where to go. B's eight steps are denser there, and its error is a quarter less.",
    a: { nfe: 8 }, b: { grid: "shifted" }, chart: "local",
  },
  {
    name: "Cheap is not accurate", caption: "B's prior shrinks: the coupling's cost falls all the way, while below the class's own spread the solver's error rises.",
    a: { sees: "class", prior: "conditional", prior_covariance: "full" }, b: { scale: 0.3 }, number: "cost",
    sweep: { name: "scale", side: "b", values: Array.from({ length: 46 }, (_, i) => Number((2 - 1.8 * (i / 45)).toFixed(3))), every: 90 },
  },
  {
    name: "Path is only speed", caption: "CondOT and Cosine, one coupling: the exact flow takes every particle to the same place. Only the speed along the way, and the solver's error, differ.",
    a: { nfe: 6 }, b: { path: "cosine" }, chart: "speed",
  },
  {
    name: "Coupling", caption: "The same prior: independent pairs on the left, batches of 64 paired optimally on the right. Straighter paths need fewer steps.",
    a: {}, b: { coupling: "batch-ot", batch_size: 64 }, chart: "speed",
  },
];

// The view of a preset: the opening view with its scenes laid over.
function presetView(preset, setup) {
  const opening = receivedView(setup.opening), base = { ...setup.defaults, mixture: null }, a = { ...base, ...preset.a };
  return { ...opening, a, b: { ...a, ...preset.b }, show: preset.show || opening.show, layout: opening.layout };
}
