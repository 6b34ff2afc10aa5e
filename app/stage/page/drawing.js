// A target of one's own: painted with pointer or finger, classes by colour, or loaded from a CSV file; the server fits it by a mixture.

const BRUSH = { reach: 0.35, dots: 6, most: 4000, box: { left: -6, right: 6, bottom: -6, top: 6 }, classes: 8, size: 440 };

function openDrawing(page) {
  const strokes = [], look = makeLook(isDark(), false), canvas = make("canvas", { width: String(BRUSH.size), height: String(BRUSH.size), class: "fl-draw", tabindex: "0", "aria-label": "Drawing board" });
  const says = make("p", { class: "fl-status", role: "status" }, "Paint where data should be; each colour is a class. At least 8 dots."), view = makeViewport(BRUSH.box, BRUSH.size, BRUSH.size, 1);
  const ctx = canvas.getContext("2d"), file = make("input", { type: "file", accept: ".csv,text/csv", "aria-label": "CSV file with columns x, y and perhaps class" });
  let own = 0, painting = false;
  const dots = () => strokes.flat();
  const redraw = () => {
    ctx.fillStyle = look.paper;
    ctx.fillRect(0, 0, BRUSH.size, BRUSH.size);
    for (const { x, y, c } of dots()) {
      ctx.fillStyle = classColour(look, c);
      ctx.beginPath();
      ctx.arc(toPixelX(view, x), toPixelY(view, y), 2.2, 0, 2 * Math.PI);
      ctx.fill();
    }
  };
  const spray = (event) => {
    const place = canvas.getBoundingClientRect(), [x, y] = toData(view, ((event.clientX - place.left) * BRUSH.size) / place.width, ((event.clientY - place.top) * BRUSH.size) / place.height);
    for (let i = 0; i < BRUSH.dots && dots().length < BRUSH.most; i++) {
      const angle = 2 * Math.PI * Math.random(), away = BRUSH.reach * Math.sqrt(Math.random());
      strokes.at(-1).push({ x: x + away * Math.cos(angle), y: y + away * Math.sin(angle), c: own });
    }
    redraw();
  };
  canvas.onpointerdown = (event) => { strokes.push([]); painting = true; canvas.setPointerCapture(event.pointerId); spray(event); };
  canvas.onpointermove = (event) => { if (painting) spray(event); };
  canvas.onpointerup = canvas.onpointercancel = () => { painting = false; };
  const colours = Array.from({ length: BRUSH.classes }, (_, c) => {
    const button = make("button", { type: "button", class: "fl-swatch", "aria-label": `Class ${c}`, "aria-pressed": String(c === 0), style: `--swatch: ${classColour(look, c)}` }, String(c));
    button.onclick = () => { own = c; colours.forEach((each, i) => each.setAttribute("aria-pressed", String(i === c))); };
    return button;
  });
  const button = (name, act) => { const made = make("button", { type: "button", class: "fl-plain" }, name); made.onclick = act; return made; };
  const primary = (name, act) => { const made = button(name, act); made.classList.add("fl-primary"); return made; };
  const use = async (body, type) => {
    says.textContent = "Gaussians are being fitted …";
    try {
      const answer = await fetch("/api/cloud", { method: "POST", headers: { "Content-Type": type }, body }), found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      dialog.close();
      useOwnTarget(page, found);
    } catch (error) {
      says.textContent = error.message;
    }
  };
  file.onchange = async () => { if (file.files.length) use(await file.files[0].text(), "text/csv"); };
  const dialog = openDialog(
    "Draw a target", make("div", { class: "fl-swatches" }, ...colours), canvas,
    make("div", { class: "fl-actions" }, button("Undo a stroke", () => { strokes.pop(); redraw(); }), button("Clear", () => { strokes.length = 0; redraw(); }),
      primary("Use it", () => use(JSON.stringify({ points: dots().map(({ x, y }) => [x, y]), classes: dots().map(({ c }) => c) }), "application/json"))),
    make("label", { class: "fl-file" }, "or load a CSV file (x, y, and perhaps class): ", file), says,
  );
  redraw();
}

// Shows a fitted target on both sides, and says how good the fit is.
async function useOwnTarget(page, found) {
  const { session } = page, mixture = boxed(makeMixture(found.mixture), found.box);
  remember(page);
  session.custom = mixture;
  const place = (scene) => ({ ...scene, target: "custom", mixture, coupling: "independent" }), unused = found.unused.length ? ` Not used: ${found.unused.join(", ")}.` : "";
  await showView(page, { ...session.view, a: place(session.view.a), b: place(session.view.b) }, { caption: "Your own target." });
  tell(page, `${found.rows.toLocaleString("en")} points: ${found.note}.${unused}`);
}
