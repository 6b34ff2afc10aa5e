// The stage in a lesson: two linked stages, the sliders that the lesson hands over, and what has been measured, under them.

const LESSON_SLIDERS = { nfe: ["NFE", 1], scale: ["Prior scale", 0.01], prior_mean: ["Prior mean", 0.01], separation: ["Separation", 0.05], batch_size: ["OT batch", 1] }; // label, step

// Mounts a lesson's stages into `root`. setup: the server's; dark(): whether the page is dark; said(measured): the numbers of both sides, each time they have settled.
// Returns { show({ view, boxes }, sliders), end() }.
function mountLesson(root, setup, { dark, said }) {
  const dom = buildLinked(), sliders = make("div", { class: "fl-lesson-sliders" }), numbers = make("p", { class: "fl-status", role: "status" });
  dom.fewer.parentElement.remove(); // the lesson's own slider, where it has one
  root.replaceChildren(make("div", { class: "fl-lesson" }, dom.stages, dom.transport, sliders, numbers));
  const linked = linkStages(dom, setup, { dark }), { session, clock } = linked;
  const inputs = new Map();
  const showSliders = () => inputs.forEach(({ input, words }, name) => { input.value = session.view.b[name]; words.textContent = shortFixed(session.view.b[name]); });
  linked.changed = (what) => {
    root.firstChild.classList.toggle("dark", dark());
    const { a, b } = session.sides;
    if (what === "notes") { numbers.textContent = session.notes.join(". "); return; }
    const shown = session.shownMeasures();
    if (what !== "measures" || !shown) return;
    labelStages(linked, shown.a, shown.b);
    numbers.textContent = lessonWords(session, shown);
    if (a.complete && b.complete) said({ a: saidOf(a), b: saidOf(b) });
  };
  linked.rested = showSliders;
  return {
    show({ view, boxes }, names) {
      session.set(receivedView(view, boxes));
      inputs.clear();
      sliders.replaceChildren(...names.map((name) => lessonSlider(linked, inputs, name)));
      showSliders();
      restLinked(linked);
      if (prefersStillness()) clock.seek(1); else { clock.seek(0); clock.play(); }
    },
    end: () => linked.end(),
  };
}

// A slider that moves a field of both scenes.
function lessonSlider(linked, inputs, name) {
  const [label, step] = LESSON_SLIDERS[name], { least, most } = linked.setup.controls[name], words = make("output", {});
  const input = make("input", { type: "range", min: String(least), max: String(name === "nfe" ? NFE_MOST : most), step: String(step), "aria-label": label });
  input.oninput = () => {
    moveLinked(linked, patched(linked.session.view, name, input.value, "both", linked.session));
    words.textContent = shortFixed(linked.session.view.b[name]);
  };
  input.onchange = () => restLinked(linked);
  inputs.set(name, { input, words });
  return make("label", {}, make("span", {}, label), input, words);
}

// The numbers under a lesson's stages, with their n, seed, evaluations and reference.
function lessonWords({ sides: { a, b } }, { a: ma, b: mb }) {
  const both = (pick) => `A ${readable(pick(ma))}, B ${readable(pick(mb))}`;
  return `Solver error ${both((m) => m.globalError.rmse)}. Bending ${both((m) => m.straightness)}. n = ${Math.min(ma.n, mb.n).toLocaleString("en")}, seed ${a.scene.seed}, ` +
    `${a.run.nfe === b.run.nfe ? a.run.nfe : `${a.run.nfe} and ${b.run.nfe}`} evaluations counted; reference off by at most ${readable(Math.max(ma.globalError.referenceError, mb.globalError.referenceError))}.`;
}

// What Python is told of a side: names as in toy.trace.
function saidOf({ scene, run, measured }) {
  const { globalError, straightness, acceleration, pathEfficiency, transportCost, wrongClass, n } = measured;
  return {
    n, nfe: run.nfe, solver: scene.solver, scale: scene.scale, prior_mean: scene.prior_mean, separation: scene.separation,
    global_error: { rmse: globalError.rmse, median: globalError.median, max: globalError.max, reference_error: globalError.referenceError },
    straightness, acceleration, path_efficiency: pathEfficiency, transport_cost: { coupling: transportCost.coupling, flow: transportCost.flow }, wrong_class: wrongClass,
  };
}
