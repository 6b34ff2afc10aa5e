// What leaves the page: pictures, a film, trajectories, the figure as matplotlib makes it, a program with the same numbers; and the help.

const FILM = { frames: 40, milliseconds: 60, hold: 1500, width: 420 };

function openExport(page) {
  const { a, b } = page.session.sides, says = make("p", { class: "fl-status", role: "status" });
  const act = (name, about, run) => {
    const button = make("button", { type: "button", class: "fl-plain" }, name);
    button.onclick = async () => {
      button.disabled = true;
      says.textContent = `${name} is being made …`;
      try {
        await run();
        says.textContent = `${name} is ready.`;
      } catch (error) {
        says.textContent = `${name}: ${error.message}`;
      } finally {
        button.disabled = false;
      }
    };
    return make("tr", {}, make("td", {}, button), make("td", {}, about));
  };
  const figure = (format) => async () => {
    const view = { ...page.session.view, time: page.clock.time };
    download(`flow-lab.${format}`, new Blob([await askServer("figure", { view, kind: "trajectories", format })]));
  };
  const table = make(
    "table", { class: "fl-choices" }, make("tbody", {},
      act("PNG", "both stages as they are now", async () => download("flow-lab.png", await stagesPng([page.dom.a.canvas, page.dom.b.canvas], getComputedStyle(document.body).getPropertyValue("--fl-paper")))),
      act("SVG", "both stages as shapes, for print", async () => download("flow-lab.svg", pairSvg(page), "image/svg+xml")),
      act("GIF", "a film of both stages, 0 to 1", async () => download("flow-lab.gif", await film(page), "image/gif")),
      act("CSV of A", "every particle's states, beside the exact flow", async () => download("flow-lab-a.csv", sideCsv(a), "text/csv")),
      act("CSV of B", "the same", async () => download("flow-lab-b.csv", sideCsv(b), "text/csv")),
      act("Figure (PNG)", "as matplotlib draws it, with its numbers", figure("png")),
      act("Figure (PDF)", "the same, for a paper", figure("pdf")),
    ),
  );
  openDialog("Export", table, says);
}

// All particles' states; the worker's exact flow has them all once the picture has settled.
function sideCsv(side) {
  if (!side.complete) throw new Error("the exact flow of all particles is still being computed; try again in a second");
  return trajectoriesCsv(side.run, side.exact, side.particles.condition);
}

// Both stages in one SVG, beside each other.
function pairSvg(page) {
  const size = 520, gap = 16, inner = ["a", "b"].map((name, i) => {
    const text = stageSvg(page.session.sides[name].picture, paintOptions(page, name), size, size);
    return text.slice(text.indexOf("<svg")).replace("<svg", `<svg x="${i * (size + gap)}" y="0"`);
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="${2 * size + gap}" height="${size}" viewBox="0 0 ${2 * size + gap} ${size}">\n${inner.join("\n")}\n</svg>\n`;
}

// A film of both stages from t = 0 to 1, held at the end: the bytes of a GIF.
async function film(page) {
  const size = FILM.width, gap = 12, sheet = make("canvas", { width: String(2 * size + gap), height: String(size) }), ctx = sheet.getContext("2d", { willReadFrequently: true });
  const layers = { a: makeLayers(make("canvas")), b: makeLayers(make("canvas")) }, frames = [];
  for (let i = 0; i <= FILM.frames; i++) {
    for (const name of ["a", "b"]) {
      resizeLayers(layers[name], size, size, 1);
      paintStage(layers[name], page.session.sides[name].picture, { ...paintOptions(page, name), time: i / FILM.frames });
    }
    ctx.fillStyle = getComputedStyle(document.body).getPropertyValue("--fl-paper") || "#fff";
    ctx.fillRect(0, 0, sheet.width, sheet.height);
    ctx.drawImage(layers.a.canvas, 0, 0);
    ctx.drawImage(layers.b.canvas, size + gap, 0);
    frames.push(ctx.getImageData(0, 0, sheet.width, sheet.height).data);
    await new Promise((resume) => setTimeout(resume)); // the page goes on meanwhile
  }
  const writer = gifWriter(sheet.width, sheet.height, gifPalette(frames));
  for (const [i, frame] of frames.entries()) {
    writer.add(frame, i === FILM.frames ? FILM.hold : FILM.milliseconds);
    await new Promise((resume) => setTimeout(resume));
  }
  return writer.finish();
}

async function openPython(page) {
  const learned = ["a", "b"].some((name) => page.session.sides[name].learned);
  const code = make("pre", { tabindex: "0" }, "asking …"), copy = make("button", { type: "button", class: "fl-plain" }, "Copy");
  openDialog("The same numbers in Python", make("p", {}, `Run it in the lab's folder: it prints what this page shows${learned ? " with the exact fields, not those of the networks" : ""}, in float64.`), code, copy);
  try {
    code.textContent = await askServer(`python?${queryOf(page.session.view, page.setup)}`);
  } catch (error) {
    code.textContent = error.message;
  }
  copy.onclick = () => navigator.clipboard.writeText(code.textContent).then(() => { copy.textContent = "Copied"; }, () => getSelection().selectAllChildren(code));
}

const KEYS_HELP = [
  ["Space", "play, pause"], ["← →", "time, or the probe when a stage has the focus"], ["1 to 8", "presets"], ["C", "tell both fields the class, or take it back"],
  ["[ ]", "fewer, more evaluations (NFE)"], [", .", "one solver step back, on"],
];
const WORDS_HELP = [
  ["Prior", "the law of x_0, where particles start (dashed)"], ["Target", "the law of the data, where they should end (solid)"],
  ["Field", "the velocity u(x, t) that carries them: exact here, in closed form"], ["Coupling", "how starts and data are paired in training; the field averages over the pairs"],
  ["NFE", "evaluations of the field, counted, not inferred from steps"], ["Ghosts", "dark lines from the solver's point to an open circle at the exact one: the global truncation error"],
  ["Bending", "straightness: 0 is a straight line at constant speed"],
];

function openHelp() {
  const list = (rows) => make("table", { class: "fl-choices" }, make("tbody", {}, ...rows.map(([name, about]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, about)))));
  openDialog("Words and keys", list(WORDS_HELP), make("h3", {}, "Keys"), list(KEYS_HELP));
}
