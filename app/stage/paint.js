// A whole stage from a picture: density, field, contours, pairs, traces, particles, ghosts, handles, labels, bottom to top.
// What does not move with the clock is kept: `still` (outlines, pairs, traces) and `base` (everything below the particles, as pixels).

const DENSITY_COLUMNS = 128;
const PARTICLE_RADIUS = 1.6, PARTICLE_RIM = 0.5, DOT_RADIUS = 1; // CSS pixels
const GROUND_STEPS = 64; // while the clock runs, density and field follow it in steps of 1/64: finer ones cannot be told apart
const COMPACT = 260, COMPACT_TRACES = 32, COMPACT_PARTICLES = 500; // a stage narrower than this in CSS pixels has smaller words, fewer traces and particles, and no names on its outlines
const PAIRED_TRACES = 32; // beside pairs, which more traces would cover
const DOTTED_STEPS = 16; // with more steps, dots of the solver's states run together

// The layers of one stage. canvas: an HTMLCanvasElement that nothing else draws on.
function makeLayers(canvas) {
  const layer = () => canvas.ownerDocument.createElement("canvas");
  return { canvas, ctx: canvas.getContext("2d", { alpha: false, willReadFrequently: true }), still: layer(), under: layer(), kept: new Map(), frame: null };
}

// Gives a stage's layers their size: width and height in CSS pixels, ratio: device pixels for one of these. Does nothing where they have it.
function resizeLayers(layers, width, height, ratio) {
  const across = Math.round(width * ratio), down = Math.round(height * ratio);
  layers.width = width; layers.height = height; layers.ratio = ratio;
  if (layers.canvas.width === across && layers.canvas.height === down && layers.frame) return;
  for (const canvas of [layers.canvas, layers.still, layers.under]) { canvas.width = across; canvas.height = down; }
  layers.frame = layers.ctx.createImageData(across, down);
  layers.pixels = new Uint32Array(layers.frame.data.buffer);
  layers.kept.clear();
}

// What `make` gives, made again only where one of `key` is another than last time.
function keep(layers, name, key, make) {
  const found = layers.kept.get(name);
  if (found && found.key.length === key.length && found.key.every((part, i) => Object.is(part, key[i]))) return found.value;
  const value = make();
  layers.kept.set(name, { key, value });
  return value;
}

// Paints a picture. Options: time, playback ("solver" or "exact"), show (Set of names), dark, lecture, hovered (row or -1), probe ({ x, y } or null);
// fieldScale: the speed whose arrow fills a cell; errorScale: the error at the end of the colours; moving: the clock runs; dragging: a control moves, traces have few points;
// fade in [0, 1]: opacity of particles and ghosts between loops; heat: the learned field's error in place of the density; probeStep: length of the probe's Euler step.
function paintStage(layers, picture, options) {
  const { ctx, width, height, ratio, frame, pixels, canvas } = layers;
  const scene = composition(picture, options, width, height, ratio, (name, key, make) => keep(layers, name, key, make));
  const { view, look } = scene, fade = Math.round(16 * (options.fade ?? 1)) / 16;
  pixels.set(basePixels(layers, scene));
  if (options.show.has("particles") && fade > 0) {
    const discs = keep(layers, "particles", [look, ratio, fade], () => particleDiscs(look, ratio, canvas.width, fade));
    writeDiscs(pixels, canvas.width, canvas.height, discs, view, scene.positions, picture.colour, scene.drawn);
  }
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.putImageData(frame, 0, 0);
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawAbove(ctx, scene, fade);
}

// Everything that canvas and SVG share: where, in what look, and what is shown now.
function composition(picture, options, width, height, ratio, memo) {
  const compact = width < COMPACT;
  const look = memo("look", [Boolean(options.dark), Boolean(options.lecture), compact], () => makeLook(options.dark, options.lecture, compact));
  // Any first rows are stratified by class.
  const few = compact ? COMPACT_TRACES : options.show.has("pairs") && picture.pairs ? PAIRED_TRACES : Infinity;
  const traced = memo("traced", [picture, few], () => picture.traced.subarray(0, Math.min(few, picture.traced.length))), drawn = compact ? Math.min(COMPACT_PARTICLES, picture.n) : picture.n;
  const view = memo("view", [picture.box, width, height, ratio], () => makeViewport(picture.box, width, height, ratio));
  const flow = options.playback === "exact" ? picture.exact : picture.run;
  const positions = memo("positions", [picture.n], () => new Float64Array(2 * picture.n));
  statesAt(flow, options.time, positions, drawn);
  const { source, target } = picture.world, dotted = options.show.has("traces") && options.playback !== "exact" && picture.run.t.length <= DOTTED_STEPS + 1;
  const outlines = options.show.has("contours")
    ? { prior: memo("prior", [source], () => outlinesOf(source)), target: memo("target", [target], () => outlinesOf(target)) }
    : null;
  return { picture, options, traced, drawn, dotted, look, view, flow, positions, outlines, memo };
}

function particleDiscs(look, ratio, width, fade) {
  const fills = look.classColours, rims = fills.map((colour) => darkened(colour, look.rimShade)), scale = ratio * look.stroke;
  return makeDiscs({
    radius: PARTICLE_RADIUS * scale, rim: PARTICLE_RIM * scale, width, fills, rims,
    fillOpacity: fade * look.particleOpacity, rimOpacity: fade * Math.min(1, 1.15 * look.particleOpacity),
  });
}

// Pixels of everything below the particles: Uint32Array(width height).
function basePixels(layers, scene) {
  const { picture, options, look, view, flow, traced } = scene, { show } = options;
  const heat = Boolean(options.heat && picture.errorAt), timed = heat || show.has("density") || show.has("field");
  const time = !timed ? 0 : options.moving ? Math.round(GROUND_STEPS * options.time) / GROUND_STEPS : options.time;
  const drawn = [picture, look, view, show.has("contours"), show.has("pairs"), show.has("traces"), flow, Boolean(options.dragging)];
  const ground = [heat, show.has("density"), show.has("field"), time, options.fieldScale, options.errorScale];
  return keep(layers, "base", [...drawn, ...ground], () => {
    const { under, ratio } = layers, size = [under.width, under.height], ctx = under.getContext("2d", { willReadFrequently: true, alpha: false });
    drawGroundPixels(layers, ctx, scene, time, heat);
    if (timed) {
      ctx.setTransform(1, 0, 0, 1, 0, 0);
      ctx.drawImage(stillLayer(layers, drawn, scene), 0, 0);
    } else {
      drawStill(ctx, scene);
    }
    const base = new Uint32Array(ctx.getImageData(0, 0, ...size).data.buffer);
    if (scene.dotted) {
      const dots = traceDots(picture.run, traced, picture.colour), discs = keep(layers, "dots", [look, ratio], () => makeDiscs({
        radius: DOT_RADIUS * ratio * look.stroke, rim: 0, width: size[0], fills: look.classColours, rims: look.classColours, fillOpacity: 0.9, rimOpacity: 0,
      }));
      writeDiscs(base, ...size, discs, view, dots.points, dots.colour, dots.colour.length);
    }
    return base;
  });
}

// Paper, or the density or error as pixels, and the field over it. Leaves the context in CSS pixels.
function drawGroundPixels(layers, ctx, { options, picture, look, view }, time, heat) {
  const { under, ratio } = layers, { show } = options, columns = DENSITY_COLUMNS, rows = gridRows(view, columns);
  const density = !heat && show.has("density") ? picture.densityAt(time, columns, rows) : null;
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  if (heat || density !== null) {
    const image = keep(layers, "ground", [], () => ctx.createImageData(under.width, under.height)), pixels = new Uint32Array(image.data.buffer);
    pixels.fill(pixelOf(look.paper)); // the box need not fill the stage
    if (heat) writeHeat(pixels, under.width, under.height, view, look, picture.errorAt(time, columns, rows), columns, rows, options.errorScale);
    else writeDensity(pixels, under.width, under.height, view, look, density, columns, rows);
    ctx.putImageData(image, 0, 0);
  } else {
    ctx.fillStyle = look.paper;
    ctx.fillRect(0, 0, under.width, under.height);
  }
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  freshPen(ctx);
  const field = show.has("field") ? picture.fieldAt(time, ARROW_COLUMNS, gridRows(view, ARROW_COLUMNS)) : null;
  if (field !== null) drawArrows(ctx, view, look, field, options.fieldScale);
}

// The canvas with outlines, pairs and traces, for grounds that move under them.
function stillLayer(layers, drawn, scene) {
  const { still, ratio } = layers;
  keep(layers, "still", drawn, () => {
    const ctx = still.getContext("2d", { willReadFrequently: true });
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, still.width, still.height);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawStill(ctx, scene);
  });
  return still;
}

// Rows of a grid over the box whose cells are about square.
function gridRows({ box }, columns) {
  return Math.max(2, Math.round((columns * (box.top - box.bottom)) / (box.right - box.left)));
}

// A pen as a new context has it, but for round joins: what was painted before must not show in a picture.
function freshPen(ctx) {
  ctx.globalAlpha = 1;
  ctx.lineCap = "butt";
  ctx.lineJoin = "round";
  ctx.setLineDash([]);
}

// Outlines, pairs and traces.
function drawStill(ctx, { picture, options, traced, look, view, flow, outlines }) {
  freshPen(ctx);
  if (outlines) drawOutlines(ctx, view, look, outlines);
  if (options.show.has("pairs") && picture.pairs) drawPairs(ctx, view, look, picture.pairs);
  if (options.show.has("traces")) drawTraces(ctx, view, look, flow, traced, picture.colour, Boolean(options.dragging));
}

// Ghosts, rings, what is hovered, the probe and the words.
function drawAbove(ctx, scene, fade) {
  const { picture, options, look, view, flow, positions, outlines, traced, drawn, memo } = scene, { show, time } = options, { run, exact } = picture;
  freshPen(ctx);
  const k = stateBefore(run.t, time + 1e-9), opacity = fade * ghostOpacity(run.t[k], time, k === run.t.length - 1);
  const collapsed = show.has("particles") && fade === 1 ? collapsedClasses(view, positions, picture.colour, drawn) : new Map();
  if (picture.ends) drawRings(ctx, view, look, picture.ends, traced);
  if (show.has("ghosts")) drawGhosts(ctx, view, look, memo("ghosts", [picture, k, traced], () => ghostsAt(run, exact, traced, time)), opacity);
  drawCollapsed(ctx, look, collapsed);
  const row = options.hovered ?? -1;
  if (row >= 0 && row < Math.min(drawn, exact.n)) {
    const at = [positions[2 * row], positions[2 * row + 1]];
    drawHovered(ctx, view, look, flow, row, picture.colour, at, ghostsAt(run, exact, [row], time));
  }
  const told = show.has("probe") && options.probe ? picture.probeAt(options.probe.x, options.probe.y, time) : null; // full OT has no field for any other point
  if (told !== null) drawProbe(ctx, view, look, options.probe, told, (picture.world.fitted ?? picture.world).target.classes, options.probeStep);
  drawDigits(ctx, view, look, picture.world.target, collapsed);
  if (outlines && !look.compact) {
    drawNames(ctx, look, memo("names", [outlines.prior, outlines.target, view, look], () => placeNames(view, look, outlines, picture.world)));
  }
  drawTitle(ctx, view, look, picture);
  drawUnitBar(ctx, view, look);
  if (look.compact) return;
  drawFoot(ctx, view, look, time, options.playback, run.method);
  if (options.heat && picture.errorAt) drawHeatBar(ctx, view, look, options.errorScale);
}
