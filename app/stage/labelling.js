// What the canvases say in words, to whoever does not see them.

function labelStages(linked, ma, mb) {
  for (const [name, measured] of [["a", ma], ["b", mb]]) {
    const side = linked.session.sides[name], { scene } = side;
    const words = `Stage ${name.toUpperCase()}: ${sceneWords(scene, side.world.target)} to ${scene.target}, ${scene.solver} with ${side.run.nfe} evaluations, the field sees the ${scene.sees}. ` +
      `Solver error ${readable(measured.globalError.rmse)}, wrong class ${shortNumber(100 * measured.wrongClass)} %, bending ${readable(measured.straightness)}.`;
    linked.dom[name].canvas.setAttribute("aria-label", words);
  }
}
