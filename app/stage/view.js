// The state of a whole picture, as toy/scene.py has it: { a: scene, b: scene, time, show, playback, layout, probe_x, probe_y }, and the address that holds it.
// setup is what the server says once: { version, targets, controls, defaults, opening, boxes }.

const VIEW_FIELDS = ["time", "playback", "layout", "probe_x", "probe_y"];
const COMPONENT_BYTES = 49; // weight, mean, three numbers of the covariance as little-endian doubles, and a byte for the class (toy/packing.py)

// The query string of a view: what differs in A from the defaults, in B from A (b-), and of the view itself from the opening. The server reads it back.
function queryOf(view, setup) {
  const query = new URLSearchParams({ v: String(setup.version) }), { opening, defaults } = setup;
  const put = (scene, base, prefix) => {
    for (const name of Object.keys(defaults)) {
      const value = scene[name];
      if (name === "mixture" ? value && !sameMixture(value, base.mixture) : value !== base[name]) {
        query.set(prefix + name.replaceAll("_", "-"), name === "mixture" ? packMixture(value) : String(value));
      }
    }
  };
  put(view.a, defaults, "");
  put(view.b, view.a, "b-");
  for (const name of VIEW_FIELDS) if (view[name] !== opening[name]) query.set(name.replaceAll("_", "-"), String(view[name]));
  if (view.show.join() !== opening.show.join()) query.set("show", view.show.join());
  return query.toString();
}

// Whether two mixtures (or null) have all numbers in common.
function sameMixture(one, other) {
  return one === other || (Boolean(one && other) && ["weights", "means", "covariances", "classes"].every((name) => one[name].join() === other[name].join()));
}

// A mixture as the short text that an address carries, exact to the last bit.
function packMixture({ weights, means, covariances, classes }) {
  const bytes = new DataView(new ArrayBuffer(COMPONENT_BYTES * weights.length));
  weights.forEach((w, k) => {
    const numbers = [w, means[2 * k], means[2 * k + 1], covariances[3 * k], covariances[3 * k + 1], covariances[3 * k + 2]];
    numbers.forEach((value, i) => bytes.setFloat64(COMPONENT_BYTES * k + 8 * i, value, true));
    bytes.setUint8(COMPONENT_BYTES * k + 48, classes[k]);
  });
  const text = Array.from(new Uint8Array(bytes.buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const boxesOfMixtures = new WeakMap();
// The mixture of a target of the reader's own, whose stage has this box; the box is no part of what travels back to the server.
function boxed(mixture, box) {
  if (box) boxesOfMixtures.set(mixture, box);
  return mixture;
}

// A view as the server sends it, its mixtures made; boxes: { a, b }, those of mixtures.
function receivedView(view, boxes = {}) {
  const scene = (name) => ({ ...view[name], mixture: view[name].mixture ? boxed(makeMixture(view[name].mixture), boxes[name]) : null });
  return { ...view, a: scene("a"), b: scene("b"), show: [...view.show] };
}

// What settings ask of one another where a slider can break it: the scene with what can stand, and a sentence for each change that the reader did not make.
function settledScene(scene, targets) {
  const notes = [], out = { ...scene };
  if (!FIXED_STEP.includes(out.solver)) {
    notes.push(`${out.solver} chooses its own evaluations, which this page leaves to "python -m toy measure"; rk4 is shown`);
    out.solver = "rk4";
  }
  const usable = usableNfe(out.solver, out.nfe);
  if (usable !== out.nfe) {
    notes.push(`${out.solver} takes ${evaluationsPerStep(out.solver)} evaluations a step: ${usable} of ${out.nfe} are used`);
    out.nfe = usable;
  }
  if (out.fit_count && tooFewSamples(out, targetMixture(out, targets))) {
    notes.push(`fit_count=${out.fit_count} leaves a part of this target fewer than the ${LEAST_MEMBERS} samples that a covariance needs; exact moments are used`);
    out.fit_count = 0;
  }
  if (out.coupling === "component-ot" && priorMixture(out, targetMixture(out, targets)).weights.length === 1) {
    notes.push("component OT needs a prior of several components; this one is a single Gaussian, so the coupling is independent");
    out.coupling = "independent";
  }
  return { scene: out, notes };
}

const LEAST_MEMBERS = 4; // samples from which a covariance in the plane is taken (toy/demands.py)

// Whether the moments of a prior's part would be taken from too few of the scene's fit_count samples.
function tooFewSamples(scene, target) {
  if (!["conditional", "conditional-mixture"].includes(scene.prior)) return false;
  const members = new Int32Array(scene.prior === "conditional" ? target.classCount : target.weights.length);
  for (const k of schedule(target.weights, scene.fit_count)) members[scene.prior === "conditional" ? target.classes[k] : k] += 1;
  return Math.min(...members) < LEAST_MEMBERS;
}

// What matters only beside other settings: whose values make it matter, and those values (toy/demands.py).
const BELONGS = {
  letters: ["target", ["letters"]], prior_components: ["prior", ["conditional-mixture"]], prior_mean: ["prior", ["conditional", "conditional-mixture"]],
  prior_covariance: ["prior", ["conditional", "conditional-mixture"]], fit_count: ["prior", ["conditional", "conditional-mixture"]],
  batch_size: ["coupling", ["batch-ot", "class-batch-ot"]], sigma_min: ["path", ["cond-ot"]], degree: ["path", ["polynomial"]],
};

// Why a field of a scene changes nothing, beside the others, in a sentence; "" where it matters.
function idleWords(scene, name) {
  const [other, values] = BELONGS[name] || [];
  return other && !values.includes(scene[other]) ? `${name} changes nothing beside ${other}=${scene[other]}: it belongs to ${other}=${values.join(" or ")}` : "";
}

// The names of two scenes' fields that differ and matter.
function differences(a, b) {
  return Object.keys(a).filter((name) => (name === "mixture" ? !sameMixture(a.mixture, b.mixture) : a[name] !== b[name]) && !(idleWords(a, name) && idleWords(b, name)));
}

const SHARED_FIELDS = ["target", "separation", "letters", "sees", "solver", "nfe", "count", "seed"]; // both stages have the same particles and budget, so that they can be compared

// A view with one field changed: on both sides where it is shared, else on the side that controls change.
function patched(view, name, value, side, session) {
  const number = typeof view.a[name] === "number" ? Number(value) : value, change = (scene) => {
    const out = { ...scene, [name]: number };
    if (name === "target") out.mixture = value === "custom" ? session.custom || scene.mixture : null;
    return name === "target" && value === "custom" && !out.mixture ? scene : out;
  };
  const both = SHARED_FIELDS.includes(name) || side === "both";
  return { ...view, a: both || side === "A" ? change(view.a) : view.a, b: both || side === "B" ? change(view.b) : view.b };
}
