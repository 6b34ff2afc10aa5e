// Scenes in a few words, as toy/report.py says them.

const COUPLING_WORDS = {
  independent: () => "", "component-ot": () => "component OT", "full-ot": () => "full OT",
  "batch-ot": (s) => `batch OT of ${s.batch_size}`, "class-batch-ot": (s) => `batch OT of ${s.batch_size} per class`,
};

// The prior in a few words; `target` says how many components a class can have.
function priorWords(scene, target) {
  const scaled = scene.scale === 1 ? "" : ` × ${shortFixed(scene.scale)}`;
  if (scene.prior === "gaussian") return scene.scale === 1 ? "N(0, I)" : `N(0, ${shortFixed(scene.scale)}² I)`;
  if (scene.prior === "ring" || scene.prior === "mirrored") return `${scene.prior} prior${scaled}`;
  const shape = { none: "I", full: "full cov." }[scene.prior_covariance] || `${scene.prior_covariance} cov.`;
  if (scene.prior === "conditional") {
    const mean = scene.prior_mean === 0 ? "origin" : scene.prior_mean === 1 ? "class mean" : `${shortFixed(scene.prior_mean)} × class mean`;
    return `${mean}, ${shape}${scaled}`;
  }
  const sizes = new Int32Array(target.classCount);
  target.classes.forEach((c) => { sizes[c] += 1; });
  const count = Math.min(scene.prior_components, Math.max(...sizes)), moved = scene.prior_mean === 1 ? "" : `, means × ${shortFixed(scene.prior_mean)}`;
  return `${count} ${count > 1 ? "Gaussians" : "Gaussian"} per class${moved}, ${shape}${scaled}`;
}

// Prior and coupling: what is particular about a scene where all else is the same.
function sceneWords(scene, target) {
  return [priorWords(scene, target), COUPLING_WORDS[scene.coupling](scene)].filter(Boolean).join(", ");
}

// A number of at most three digits, without an exponent.
function shortFixed(value) {
  return String(Number(value.toPrecision(3)));
}
