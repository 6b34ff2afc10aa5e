// A scene made real: its mixtures, its coupling, its field and its particles (toy/world.py).

const SOURCE_STREAM = 0, TARGET_STREAM = 1; // what the numbers of a seed are used for
const FITTED_COUPLINGS = ["batch-ot", "class-batch-ot"];

// The law of the data: a named target out of `targets` (name -> mixture) or the scene's own, modes moved apart by its separation.
function targetMixture(scene, targets) {
  const base = scene.target === "custom" ? scene.mixture : targets[scene.target === "letters" ? `letters:${scene.letters}` : scene.target];
  if (!base) throw new Error(`target=${scene.target} is not known here`);
  return separated(base, scene.separation);
}

// A scene's world. given: { targets, fitted, order, grid }: targets by name; for batch OT its fit { source, target, cross: Float64Array(4L), cost };
// for full OT the order (count) that pairs the scene's own particles; a grid where the field is learned. Throws an Error where what the coupling needs is missing.
function makeWorld(scene, given) {
  const target = targetMixture(scene, given.targets), source = priorMixture(scene, target), path = makePath(scene), conditional = isConditional(scene);
  const seesClass = scene.sees === "class";
  const world = { scene, source, target, path, conditional, seesClass, field: null, paired: null, grid: given.grid || null, cost: 0, fitted: null };
  const fitted = FITTED_COUPLINGS.includes(scene.coupling);
  if (fitted) {
    if (!given.fitted) throw new Error(`coupling=${scene.coupling} needs its fit`);
    const own = given.fitted, cross = own.cross, L = own.source.weights.length;
    const diagonal = new Float64Array(L * L);
    own.source.weights.forEach((w, l) => { diagonal[l * L + l] = w; });
    world.fitted = own;
    world.field = makeField(own.source, own.target, pairsOfPlan(diagonal, own.source, own.target, (l) => Array.from(cross.subarray(4 * l, 4 * l + 4))), path);
    world.cost = own.cost;
  } else if (scene.coupling === "component-ot") {
    const pairs = componentOtPairs(source, target, seesClass && conditional);
    world.field = makeField(source, target, pairs, path);
    world.cost = blockTransportCost(pairs, source, target);
  } else {
    const pairs = pairsOfPlan(conditional ? classPlan(source, target) : independentPlan(source, target), source, target, null);
    world.field = makeField(source, target, pairs, path);
    world.cost = blockTransportCost(pairs, source, target);
  }
  if (scene.coupling === "full-ot") {
    if (!given.order) throw new Error("coupling=full-ot needs the order of its pairs");
    world.paired = pairedPoints(world, given.order);
    world.cost = meanSquaredDistance(world.paired.x0, world.paired.x1);
  }
  // VP and VE end at 1 - 1e-5, unless means and cross-covariances are zero: then the velocity is bounded up to 1.
  const bounded = path.lastTime === 1 || (scene.coupling === "independent" && world.source.means.every((m) => m === 0));
  world.lastTime = bounded ? 1 : path.lastTime;
  return world;
}

// Full OT's points: the scene's own x_0 and its data, in the order (count) that pairs them; class of each pair.
function pairedPoints(world, order) {
  const shown = drawParticles(world, world.scene.count), data = drawData(world.target, shown.condition, world.scene.seed, TARGET_STREAM);
  const x1 = new Float64Array(data.length), condition = new Int32Array(order.length);
  for (let i = 0; i < order.length; i++) {
    x1[2 * i] = data[2 * order[i]];
    x1[2 * i + 1] = data[2 * order[i] + 1];
    condition[i] = shown.condition[order[i]];
  }
  return { x0: shown.x0, x1, condition };
}

// The first `count` particles: classes by `schedule` of the target's class weights, within each class the prior's components by `schedule` of theirs, x_0 = m_j + chol(S_j) z_i.
// { count, x0: Float64Array(2n), condition: Int32Array(n), component: Int32Array(n) }. The same seed gives the same classes and normal numbers under every prior.
function drawParticles(world, count) {
  const { source, target, conditional, scene } = world, shares = classWeights(target);
  const condition = schedule(shares, count), component = new Int32Array(count);
  for (let c = 0; c < target.classCount; c++) {
    const own = conditional ? source.weights.map((w, j) => (source.classes[j] === c ? w / shares[c] : 0)) : source.weights;
    placeComponents(component, condition, c, own);
  }
  return { count, x0: fromNormals(source, normalPairs(scene.seed, count, SOURCE_STREAM), component), condition, component };
}

// Fresh data (2n) of the given classes (n), components within each class by `schedule`.
function drawData(target, condition, seed, stream) {
  const component = new Int32Array(condition.length), shares = classWeights(target);
  for (let c = 0; c < target.classCount; c++) {
    placeComponents(component, condition, c, target.weights.map((w, k) => (target.classes[k] === c ? w / shares[c] : 0)));
  }
  return fromNormals(target, normalPairs(seed, condition.length, stream), component);
}

// Components by `schedule` of the weights at the places of class c.
function placeComponents(component, condition, c, weights) {
  const places = [];
  for (let i = 0; i < condition.length; i++) if (condition[i] === c) places.push(i);
  if (places.length === 0) return;
  const chosen = schedule(weights, places.length);
  places.forEach((at, i) => { component[at] = chosen[i]; });
}

// Where a sampler begins: sigma(0) x_0 (2n), which is x_0 on clean starts.
function startOf(world, x0) {
  return world.path.cleanStart ? x0 : x0.map((v) => v * world.path.sigma(0));
}

// What the field is told of particles of these classes: the classes where it sees the class, else null.
function toldClasses(world, condition) {
  return world.seesClass ? condition : null;
}

// The flow that a solver integrates for the world's particles first to first + n - 1 of these classes (n): learned where there is a grid, else the truth.
function flowOf(world, condition, first = 0) {
  return world.grid ? gridFlowOf(world.grid, world.path, toldClasses(world, condition)) : trueFlowOf(world, condition, first);
}

// The true flow of the world's coupling for those particles: the closed form, or full OT's own pairs.
function trueFlowOf(world, condition, first = 0) {
  if (!world.paired) return exactFlowOf(world.field, toldClasses(world, condition));
  const end = 2 * (first + condition.length);
  return pairedFlowOf(world.paired.x0.subarray(2 * first, end), world.paired.x1.subarray(2 * first, end), world.path);
}

// Mean of |x_1 - x_0|^2 over pairs (2n each).
function meanSquaredDistance(x0, x1) {
  let total = 0;
  for (let i = 0; i < x0.length; i++) total += (x1[i] - x0[i]) ** 2;
  return total / (x0.length / 2);
}
