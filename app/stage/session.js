// What a page of two linked stages holds: the view, a world and its particles on each side, and what has been measured. It touches no page: it is told what changes and tells
// `changed` what to show; `post` asks the settling worker, `ask` the server.

const DRAG_ROWS = 200, TRACED_ROWS = 96, PAIRS_DRAWN = 32;
const DRAG_BUDGET = 1_600_000; // particles x pairs x evaluations of one stage while a control moves: some 16 ms at 10 ns each
const MEASURE_BUDGET = 6_000_000; // the same for the measures of the first rows: 96 of them where 200 would take too long
// What a fit is independent of (toy/world.py's NOT_IN_A_FIT): these stay live while its scene waits for a new one. Full OT pairs the shown points, so their number is not among them.
const LIVE_FIELDS = ["path", "sigma_min", "degree", "solver", "grid", "nfe", "tolerance"];
const LEARNED_LIVE = ["solver", "grid", "nfe", "tolerance", "count", "seed"]; // what a network's field does not depend on
const WORLD_FREE = ["solver", "grid", "nfe", "tolerance", "count"];

// setup: what the server says once. post(message): to the settling worker, whose answers come to `settled`. ask(path, body) -> Promise of the server's answer.
// changed(what): "picture", "measures", "view" or "notes".
function makeSession(setup, { post, ask, changed }) {
  const targets = Object.fromEntries(Object.entries(setup.targets).map(([name, mixture]) => [name === "letters" ? "letters:FLOW" : name, makeMixture(mixture)]));
  const session = {
    targets, setup, view: receivedView(setup.opening), sides: { a: emptySide("a"), b: emptySide("b") }, dragging: false, notes: [], question: 0, worlds: 0,
    // Replaces scenes or fields of the view; `dragging` while a control moves. Notes what could not stand.
    set(view, { dragging = false, notes = [] } = {}) {
      const a = settledScene(view.a, targets), b = settledScene(view.b, targets), inB = b.notes.filter((note) => !a.notes.includes(note));
      session.view = { ...view, a: a.scene, b: b.scene };
      session.dragging = dragging;
      if (dragging) for (const side of ["a", "b"]) { if (session.sides[side].asked) post({ side, id: (session.sides[side].question = ++session.question) }); session.sides[side].asked = false; }
      session.notes = [...notes, ...a.notes, ...inB.map((note) => `in B, ${note}`)];
      for (const side of ["a", "b"]) update(side, session.view[side]);
      changed("picture");
    },
    // The measures of the first rows, at once: A or B or both.
    measure(which = ["a", "b"]) {
      for (const name of which) measureFirstRows(session.sides[name]);
      changed("measures");
    },
    // At rest: all particles are drawn, and the worker measures all of them; fits and pairings that a side waits for are asked for.
    rest() {
      session.dragging = false;
      for (const name of ["a", "b"]) {
        const side = session.sides[name];
        update(name, session.view[name]);
        if (side.waiting) fetchGiven(side, session.view[name]);
        if (side.complete || side.asked) continue;
        side.question = ++session.question;
        side.asked = true;
        const { fitted, order, grid } = givenOf(side), letters = side.scene.target === "letters" ? targets[`letters:${side.scene.letters}`] : null;
        post({ id: side.question, side: name, scene: side.scene, given: { fitted, order, grid, letters } });
      }
      changed("picture");
    },
    // The worker's answer.
    settled({ id, side: name, measured, exact, classes, error }) {
      const side = session.sides[name];
      if (id !== side.question) return; // of a scene that is no longer shown
      side.asked = false;
      if (error) {
        session.notes = [error];
        changed("notes");
        return;
      }
      side.measured = measured;
      side.exact = exact;
      side.colour = toldClass(side.world) ? side.particles.condition : classes;
      side.complete = true;
      side.picture = pictureOf(session, side);
      changed("picture");
      changed("measures");
    },
    // A learned field for a side, the scene that it was learned on and the fit or pairing which that has; or null for the exact one again.
    learn(name, grid, scene, { fitted = null, order = null } = {}) {
      const side = session.sides[name];
      Object.assign(side, { learned: grid && { fitted, order, grid }, learnedScene: scene, worldKey: null });
      update(name, session.view[name]);
      changed("picture");
    },
    // What both sides can be compared by: the measures of all particles where both have them, else those of as many first ones.
    shownMeasures() {
      const { a, b } = session.sides;
      if (!a.measured || !b.measured) return null;
      if (a.measured.n === b.measured.n || !a.firstMeasured || !b.firstMeasured) return { a: a.measured, b: b.measured };
      return { a: a.firstMeasured.values, b: b.firstMeasured.values };
    },
    // A mixture of letters that the server has drawn.
    addTarget(name, mixture) { targets[name] = boxed(makeMixture(mixture), mixture.box); },
  };

  function update(name, wanted) {
    const side = session.sides[name], needs = neededGiven(wanted), key = needs && givenKey(wanted);
    side.waiting = needs !== null && side.givenKey !== key;
    // Until the new fit is there the last one is shown, with what does not depend on it up to date.
    const held = side.learnedScene && { ...side.learnedScene, ...pick(wanted, LEARNED_LIVE) };
    const scene = held ? held : side.waiting ? { ...(side.fittedScene || { ...wanted, coupling: "independent" }), ...pick(wanted, LIVE_FIELDS) } : wanted;
    if (!side.waiting && needs === null) Object.assign(side, { givenKey: null, fittedScene: null, given: { fitted: null, order: null } });
    const worldKey = sceneKey(scene, WORLD_FREE);
    if (worldKey !== side.worldKey || (side.world.paired && scene.count !== side.scene.count)) {
      side.world = makeWorld(scene, { targets, ...givenOf(side) });
      side.worldKey = worldKey;
      side.worldNumber = ++session.worlds;
    } else {
      side.world = { ...side.world, scene };
    }
    const particleKey = `${side.worldNumber} ${scene.count}`;
    if (particleKey !== side.particleKey) {
      side.particles = drawParticles(side.world, scene.count);
      side.particleKey = particleKey;
      side.first = side.exact = null;
    }
    const runKey = `${particleKey} ${scene.solver} ${scene.grid} ${scene.nfe}`;
    if (runKey !== side.runKey) side.complete = side.asked = false;
    const rows = session.dragging && !side.complete ? affordableRows(side.world, scene, DRAG_BUDGET) : scene.count;
    side.scene = scene;
    if (runKey !== side.runKey || rows > side.run.n) {
      side.run = sceneRun(side.world, particleRows(side.particles, 0, rows));
      side.runKey = runKey;
    }
    if (!side.first || side.first.worldKey !== particleKey) firstExact(side, particleKey);
    if (!side.colour || side.colour.length !== scene.count) side.colour = side.particles.condition;
    if (toldClass(side.world)) side.colour = side.particles.condition;
    const unlearned = held && sceneKey(held, []) !== sceneKey(wanted, []);
    side.stale = unlearned ? "learned on another scene: train again, or take the exact field" : side.waiting ? staleWords(wanted, side, side.refused === key) : "";
    side.picture = pictureOf(session, side);
  }

  // The exact flow of the first rows, which ghosts and traces are drawn from before all are measured; colours of these rows follow it.
  function firstExact(side, worldKey) {
    const rows = Math.min(TRACED_ROWS, side.scene.count), own = particleRows(side.particles, 0, rows), { world } = side;
    const grid = refinedTimes(Float64Array.of(0, world.lastTime), REFERENCE_STEPS / 2, world.path);
    const run = exactRun(trueFlowOf(world, own.condition), world.path, startOf(world, own.x0), grid);
    side.first = { worldKey, run };
    side.exact = run;
    if (!toldClass(world)) {
      const colour = side.colour && side.colour.length === side.scene.count ? Int32Array.from(side.colour) : Int32Array.from(side.particles.condition);
      colour.set(likeliestClass(colouredBy(world.target), endOf(run)));
      side.colour = colour;
    }
  }

  // The measures of a side's first rows, unless they are known; what a side shows until the worker has measured all, or beside another that has only these.
  function measureFirstRows(side) {
    if (side.firstMeasured?.key === side.runKey) return;
    const { world, scene } = side, budgets = ladderBudgets(scene.solver), evaluations = 6 * REFERENCE_STEPS + budgets.reduce((a, b) => a + b, 0);
    const cost = pairsEach(world) * evaluations, count = Math.min(scene.count, DRAG_ROWS * cost > MEASURE_BUDGET ? TRACED_ROWS : DRAG_ROWS);
    const own = particleRows(side.particles, 0, count), ladderKey = `${side.particleKey} ${scene.solver} ${scene.grid} ${count}`;
    const ladder = side.ladder && side.ladder.key === ladderKey ? side.ladder.values : null;
    const block = measureBlock(world, own, sceneRun(world, own), { budgets, ladder });
    side.ladder = { key: ladderKey, values: block.ladder };
    side.firstMeasured = { key: side.runKey, values: settle(world, [block]) };
    if (side.complete) return;
    side.measured = side.firstMeasured.values;
    side.exact = block.reference;
    side.picture = pictureOf(session, side);
  }

  async function fetchGiven(side, wanted) {
    const key = givenKey(wanted), needs = neededGiven(wanted);
    if (side.asking === key || side.refused === key) return;
    side.asking = key;
    try {
      const answer = await ask(needs === "fitted" ? "fit" : "pairing", { scene: wanted });
      if (side.asking !== key || givenKey(session.view[side.name]) !== key) return; // another scene is wanted by now
      const given = needs === "fitted" ? { fitted: receivedFit(answer), order: null } : { fitted: null, order: new Int32Array(answer) };
      Object.assign(side, { given, givenKey: key, fittedScene: wanted, worldKey: null });
      session.rest();
      session.measure();
    } catch (error) {
      if (side.asking !== key) return;
      if (error.refused) side.refused = key; // asked again it would be refused again
      session.notes = [`${side.name.toUpperCase()}: ${error.message}`];
      update(side.name, session.view[side.name]);
      changed("notes");
    } finally {
      if (side.asking === key) side.asking = null;
    }
  }

  session.set(session.view);
  return session;
}

// Whether particles have the colour of the class that the field is told.
function toldClass({ seesClass, target }) {
  return seesClass && target.classCount > 1;
}

function emptySide(name) {
  return { name, world: null, particles: null, run: null, exact: null, first: null, measured: null, colour: null, picture: null, given: { fitted: null, order: null }, givenKey: null, refused: null, learned: null, learnedScene: null, complete: false, stale: "", question: 0 };
}

function pick(object, names) {
  return Object.fromEntries(names.map((name) => [name, object[name]]));
}

const mixtureNames = new WeakMap();
let mixtureCount = 0;
// A text that is the same for scenes that agree in all fields but `free`.
function sceneKey(scene, free) {
  return Object.keys(scene).filter((name) => !free.includes(name)).map((name) => {
    if (name !== "mixture" || !scene.mixture) return scene[name];
    if (!mixtureNames.has(scene.mixture)) mixtureNames.set(scene.mixture, ++mixtureCount);
    return `#${mixtureNames.get(scene.mixture)}`;
  }).join("|");
}

// What a side's world is made of beside its scene: { fitted, order, grid }, those of the training where a learned field is shown.
function givenOf(side) {
  return side.learned ?? { ...side.given, grid: null };
}

// What a scene's coupling needs of the server: "fitted", "order" or null.
function neededGiven(scene) {
  return FITTED_COUPLINGS.includes(scene.coupling) ? "fitted" : scene.coupling === "full-ot" ? "order" : null;
}

function givenKey(scene) {
  return sceneKey(scene, scene.coupling === "full-ot" ? LIVE_FIELDS : [...LIVE_FIELDS, "count"]);
}

// A fit as the server sends it.
function receivedFit(answer) {
  return { ...answer, source: makeMixture(answer.source), target: makeMixture(answer.target), cross: Float64Array.from(answer.cross.flat()) };
}

// Pairs of components that one evaluation of one particle goes through, on average.
function pairsEach(world) {
  if (world.paired) return 1;
  return world.seesClass ? world.field.P / world.target.classCount : world.field.P;
}

// How many particles a budget of particles x pairs x evaluations allows, at least those that are traced.
function affordableRows(world, scene, budget) {
  return Math.min(scene.count, Math.max(DRAG_ROWS, Math.floor(budget / (pairsEach(world) * scene.nfe))));
}

function staleWords(wanted, side, refused) {
  const what = wanted.coupling === "full-ot" ? "pairing" : "fit";
  if (refused) return `${side.fittedScene ? `last ${what}` : "independent coupling"} shown: this ${what} cannot be made`;
  return side.fittedScene ? `last ${what} shown; the new one comes on release` : `independent coupling shown until the ${what} is made`;
}

// What one stage draws: the same object as before where nothing that it shows is another, so that its layers are kept.
function pictureOf(session, side) {
  const { view, sides } = session, rings = view.show.includes("rings"), shown = [side.runKey, side.run, side.exact, side.colour, side.stale, view.playback, view.show.includes("pairs"), rings && side.name === "b" ? sides.a.run : null, side.world.field];
  if (side.shown && shown.every((part, i) => part === side.shown[i])) return side.picture;
  side.shown = shown;
  return freshPicture(session, side);
}

function freshPicture(session, side) {
  const { world, run, scene, name } = side, box = boxOf(session, scene), exact = side.exact;
  const n = session.view.playback === "exact" ? Math.min(run.n, exact.n) : run.n;
  const traced = Int32Array.from({ length: Math.min(TRACED_ROWS, n, exact.n) }, (_, i) => i);
  return {
    name: name.toUpperCase(), title: sceneWords(scene, world.target), box, world, run, exact, n, traced, colour: side.colour, stale: side.stale, ends: session.view.show.includes("rings") && name === "b" ? endOf(session.sides.a.run) : null,
    pairs: session.view.show.includes("pairs") ? drawnPairs(world) : null,
    densityAt: (t, columns, rows) => (world.paired ? null : densityOver(world, box, t, columns, rows)),
    fieldAt: (t, columns, rows) => (world.paired ? null : fieldGrid(world, box, t, columns, rows)),
    probeAt: (x, y, t) => (world.paired ? null : probeOf(world, x, y, t)),
    errorAt: world.grid ? (t, columns, rows) => errorGrid(world, box, t, columns, rows) : null,
  };
}

// The stage's box: that of a target of the reader's own, or of the named target.
function boxOf({ targets, setup }, scene) {
  const own = scene.target === "custom" ? scene.mixture : targets[`letters:${scene.letters}`];
  return (["custom", "letters"].includes(scene.target) && boxesOfMixtures.get(own)) || setup.boxes[scene.target];
}
