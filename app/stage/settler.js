// The measures of all of a scene's particles, in blocks, in a worker of the browser: the page goes on drawing meanwhile.
// Asked { id, side, scene, given }, it answers { id, side, measured, exact: { n, t, x }, classes: Int32Array(n), what the exact ends are coloured by }; a newer question of the same side ends an older one,
// and so does { id, side } alone.

const BLOCK_ROWS = 250; // some ten milliseconds a block: how soon a newer question is heard

// The whole of a scene's measures, one block per step: a generator that returns what the page is told.
function* settleScene(scene, given) {
  const world = makeWorld(scene, given), particles = drawParticles(world, scene.count), budgets = ladderBudgets(scene.solver), blocks = [];
  for (let first = 0; first < scene.count; first += BLOCK_ROWS) {
    const rows = particleRows(particles, first, Math.min(scene.count, first + BLOCK_ROWS));
    blocks.push(measureBlock(world, rows, sceneRun(world, rows, { first }), { first, budgets }));
    yield;
  }
  const exact = assembledRun(blocks.map((b) => b.reference));
  return { measured: settle(world, blocks), exact, classes: likeliestClass(colouredBy(world.target), endOf(exact)) };
}

// One run of several over the same times.
function assembledRun(runs) {
  const n = runs.reduce((sum, run) => sum + run.n, 0), { t } = runs[0], x = new Float64Array(t.length * 2 * n);
  for (let k = 0; k < t.length; k++) {
    let at = 2 * n * k;
    for (const run of runs) { x.set(stateOf(run, k), at); at += 2 * run.n; }
  }
  return { n, t, x };
}

// Answers a worker's questions. `scope` is the worker's global object.
function serveSettler(scope, targets) {
  const newest = {};
  scope.onmessage = async ({ data: { id, side, scene, given } }) => {
    newest[side] = id;
    if (!scene) return; // nothing new is wanted yet, only an end of the old
    try {
      const own = given.letters ? { ...targets, [`letters:${scene.letters}`]: given.letters } : targets, work = settleScene(scene, { ...given, targets: own });
      for (let step = work.next(); ; step = work.next()) {
        if (step.done) {
          scope.postMessage({ id, side, ...step.value }, [step.value.exact.x.buffer]);
          return;
        }
        await new Promise((resume) => setTimeout(resume));
        if (newest[side] !== id) return;
      }
    } catch (error) {
      scope.postMessage({ id, side, error: error.message });
    }
  };
}
