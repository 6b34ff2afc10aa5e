// On paper: A and B at five times, light, with ghosts, and everything that says what they are.

const PRINTED_TIMES = [0, 0.25, 0.5, 0.75, 1];

// Makes the sheet before the browser prints, and takes it away afterwards.
function listenToPrinting(page) {
  let sheet = null;
  window.addEventListener("beforeprint", () => { sheet = printedSheet(page); document.body.append(sheet); });
  window.addEventListener("afterprint", () => { sheet?.remove(); sheet = null; });
}

function printedSheet(page) {
  const { session } = page, { a, b } = session.sides, size = 300;
  const rows = ["a", "b"].map((name) => {
    const cells = PRINTED_TIMES.map((time) => {
      const canvas = make("canvas"), layers = makeLayers(canvas);
      resizeLayers(layers, size, size, 2);
      paintStage(layers, session.sides[name].picture, { ...paintOptions(page, name), dark: false, lecture: false, time });
      return make("img", { src: canvas.toDataURL("image/png"), alt: `Stage ${name.toUpperCase()} at t = ${time}` });
    });
    return make("div", { class: "fl-print-row" }, ...cells);
  });
  const line = ({ name, scene, measured, world, run }) => `${name.toUpperCase()}: ${sceneWords(scene, world.target)} to ${scene.target}, ${scene.path}, ${scene.solver} with ${run.nfe} evaluations; ` +
    `solver error ${readable(measured.globalError.rmse)}, wrong class ${readable(100 * measured.wrongClass)} %, bending ${readable(measured.straightness)}.`;
  return make(
    "section", { class: "fl-print" }, make("h1", {}, "Flow Lab"), make("p", {}, document.getElementById("caption").textContent), ...rows, make("p", {}, line(a)), make("p", {}, line(b)),
    make("p", {}, `n = ${a.scene.count.toLocaleString("en")}, seed ${a.scene.seed}, NFE ${a.run.nfe}. Dark lines lead from the solver's point to an open circle at the exact one. ${location.origin}${addressOf(page)}`),
  );
}
