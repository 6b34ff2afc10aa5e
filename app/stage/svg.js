// A stage as SVG: the drawing functions of the canvas draw into a context that writes elements; what the canvas has as pixels is drawn as shapes.

// The SVG text of a picture at width x height pixels; options as for `paintStage`.
function stageSvg(picture, options, width, height) {
  const scene = composition(picture, options, width, height, 1, (name, key, make) => make()), ctx = svgContext(), { look, view, traced } = scene;
  freshPen(ctx);
  ctx.fillStyle = look.paper;
  ctx.fillRect(0, 0, width, height);
  drawGround(ctx, scene);
  drawStill(ctx, scene);
  if (scene.dotted) {
    const dots = traceDots(picture.run, traced, picture.colour);
    drawDots(ctx, view, look, dots.points, dots.colour, dots.colour.length, { radius: DOT_RADIUS, rim: 0, opacity: 0.9 });
  }
  if (options.show.has("particles")) {
    drawDots(ctx, view, look, scene.positions, picture.colour, scene.drawn, { radius: PARTICLE_RADIUS, rim: PARTICLE_RIM, opacity: look.particleOpacity });
  }
  drawAbove(ctx, scene, 1);
  const title = escapeXml(`Stage ${picture.name}: ${picture.title}, t = ${options.time.toFixed(3)}`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img"><title>${title}</title>` +
    `<defs><clipPath id="stage"><rect width="${width}" height="${height}"/></clipPath></defs><g clip-path="url(#stage)">\n${ctx.elements.join("\n")}\n</g></svg>\n`;
}

// Density as five filled regions or the error as cells, and the field's arrows.
function drawGround(ctx, { picture, options, look, view }) {
  const { show, time } = options, columns = DENSITY_COLUMNS, rows = gridRows(view, columns);
  if (options.heat && picture.errorAt) drawHeatCells(ctx, view, look, picture, options);
  else if (show.has("density")) {
    const grid = picture.densityAt(time, columns, rows);
    const levels = grid === null ? [] : bandLevels(grid), framed = grid === null ? null : framedGrid(grid, columns, rows, levels[0] - 40);
    levels.forEach((level, i) => {
      ctx.fillStyle = look.bands[i];
      ctx.beginPath();
      for (const line of marchingSquares(framed, columns + 2, rows + 2, level)) {
        addLine(ctx, view, line.map((place, at) => (at % 2
          ? view.box.top - ((place - 0.5) * (view.box.top - view.box.bottom)) / rows
          : view.box.left + ((place - 0.5) * (view.box.right - view.box.left)) / columns)));
      }
      ctx.fill();
    });
  }
  const field = show.has("field") ? picture.fieldAt(time, ARROW_COLUMNS, gridRows(view, ARROW_COLUMNS)) : null;
  if (field !== null) drawArrows(ctx, view, look, field, options.fieldScale);
}

// The grid with a frame of `low` around it, so that all its level lines are closed; values below `low` are raised to it.
function framedGrid(grid, columns, rows, low) {
  const out = new Float64Array((columns + 2) * (rows + 2)).fill(low);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[(i + 1) * (columns + 2) + j + 1] = Math.max(low, grid[i * columns + j]);
  return out;
}

function drawHeatCells(ctx, view, look, picture, { time, errorScale }) {
  const columns = 64, rows = gridRows(view, columns), error = picture.errorAt(time, columns, rows), { box } = view, colours = heatPixels(look);
  const wide = (view.scale * (box.right - box.left)) / columns, high = (view.scale * (box.top - box.bottom)) / rows;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      ctx.fillStyle = heatColour(colours, error[i * columns + j], errorScale);
      ctx.fillRect(toPixelX(view, box.left) + j * wide, toPixelY(view, box.top) + i * high, wide + 0.3, high + 0.3);
    }
  }
}

function drawDots(ctx, view, look, points, colour, count, { radius, rim, opacity }) {
  const size = (radius - 0.5 * rim) * look.stroke;
  ctx.globalAlpha = opacity;
  ctx.lineWidth = rim * look.stroke;
  for (let i = 0; i < count; i++) {
    ctx.fillStyle = classColour(look, colour[i]);
    ctx.strokeStyle = darkened(ctx.fillStyle, look.rimShade);
    ctx.dot(toPixelX(view, points[2 * i]), toPixelY(view, points[2 * i + 1]), size, rim > 0);
  }
  ctx.globalAlpha = 1;
}

function escapeXml(text) {
  return String(text).replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
}

// The part of a canvas's 2D context that the stage uses, writing SVG elements. Arcs are whole circles, as everywhere on a stage.
function svgContext() {
  const elements = [], number = (value) => String(Math.round(100 * value) / 100);
  let path = "", dash = [];
  const faint = (ctx) => (ctx.globalAlpha < 1 ? ` opacity="${number(ctx.globalAlpha)}"` : "");
  const strokeOf = (ctx) =>
    `stroke="${ctx.strokeStyle}" stroke-width="${number(ctx.lineWidth)}"` + (ctx.lineCap === "butt" ? "" : ` stroke-linecap="${ctx.lineCap}"`) +
    (ctx.lineJoin === "miter" ? "" : ` stroke-linejoin="${ctx.lineJoin}"`) + (dash.length ? ` stroke-dasharray="${dash.map(number).join(" ")}"` : "");
  const placed = (x, y, w, h) => `x="${number(x)}" y="${number(y)}" width="${number(w)}" height="${number(h)}"`;
  const sizeOf = (ctx) => Number(/([\d.]+)px/.exec(ctx.font)[1]);
  const text = (ctx, words, x, y, paint) => {
    const [weight] = ctx.font.split(" "), anchor = { left: "start", center: "middle", right: "end" }[ctx.textAlign], family = ctx.font.slice(ctx.font.indexOf("px") + 3);
    const down = ctx.textBaseline === "middle" ? 0.36 * sizeOf(ctx) : 0;
    const type = `font-family="${escapeXml(family)}" font-size="${number(sizeOf(ctx))}" font-weight="${weight}" text-anchor="${anchor}"`;
    elements.push(`<text x="${number(x)}" y="${number(y + down)}" ${type} ${paint}>${escapeXml(words)}</text>`);
  };
  return {
    elements, globalAlpha: 1, strokeStyle: "#000000", fillStyle: "#000000", lineWidth: 1, lineCap: "butt", lineJoin: "miter",
    font: "400 12px sans-serif", textAlign: "left", textBaseline: "alphabetic",
    beginPath() { path = ""; },
    moveTo(x, y) { path += `M${number(x)} ${number(y)}`; },
    lineTo(x, y) { path += `L${number(x)} ${number(y)}`; },
    arc(x, y, r) {
      const half = (to) => `A${number(r)} ${number(r)} 0 1 1 ${number(to)} ${number(y)}`;
      path += `M${number(x + r)} ${number(y)}${half(x - r)}${half(x + r)}`;
    },
    setLineDash(pattern) { dash = pattern; },
    stroke() { if (path) elements.push(`<path d="${path}" fill="none" ${strokeOf(this)}${faint(this)}/>`); },
    fill() { if (path) elements.push(`<path d="${path}" fill="${this.fillStyle}" fill-rule="evenodd"${faint(this)}/>`); },
    fillRect(x, y, w, h) { elements.push(`<rect ${placed(x, y, w, h)} fill="${this.fillStyle}"${faint(this)}/>`); },
    strokeRect(x, y, w, h) { elements.push(`<rect ${placed(x, y, w, h)} fill="none" ${strokeOf(this)}${faint(this)}/>`); },
    // A disc in the fill's colour, with a rim in the stroke's if `rimmed`: what stands for a pixel-written one.
    dot(x, y, r, rimmed) {
      const rim = rimmed ? ` stroke="${this.strokeStyle}" stroke-width="${number(this.lineWidth)}"` : "";
      elements.push(`<circle cx="${number(x)}" cy="${number(y)}" r="${number(r)}" fill="${this.fillStyle}"${rim}${faint(this)}/>`);
    },
    strokeText(words, x, y) { text(this, words, x, y, `fill="none" ${strokeOf(this)}`); },
    fillText(words, x, y) { text(this, words, x, y, `fill="${this.fillStyle}"`); },
    measureText(words) { return { width: 0.58 * sizeOf(this) * words.length }; }, // no font is at hand; wide enough for the usual ones
  };
}
