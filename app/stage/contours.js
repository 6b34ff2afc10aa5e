// Outlines of a law: the smallest regions that hold 50 % and 90 % of it. Prior dashed, target solid.

const OUTLINE_SHARES = [0.9, 0.5];
const OUTLINE_POINTS = 96, OUTLINE_GRID = 241, OUTLINE_REACH = 6; // points of an ellipse; cells of a density; standard deviations that a component is followed for

// A list of { share, lines: [Float64Array interleaved data coordinates] }. An ellipse for every component where each class has one (of the class's own share);
// else the level lines of the whole mixture's density that hold these shares.
function outlinesOf(mixture) {
  return mixture.weights.length === mixture.classCount ? componentEllipses(mixture) : densityRegions(mixture);
}

// Ellipses (x - m) S^-1 (x - m) = -2 log(1 - share), one for each component.
function componentEllipses({ means, covariances, weights }) {
  return OUTLINE_SHARES.map((share) => {
    const radius = Math.sqrt(-2 * Math.log(1 - share));
    const lines = Array.from(weights, (_, k) => {
      const l11 = Math.sqrt(covariances[3 * k]), l21 = covariances[3 * k + 1] / l11, l22 = Math.sqrt(Math.max(0, covariances[3 * k + 2] - l21 * l21));
      const line = new Float64Array(2 * (OUTLINE_POINTS + 1));
      for (let i = 0; i <= OUTLINE_POINTS; i++) {
        const u = radius * Math.cos((2 * Math.PI * i) / OUTLINE_POINTS), v = radius * Math.sin((2 * Math.PI * i) / OUTLINE_POINTS);
        line[2 * i] = means[2 * k] + l11 * u;
        line[2 * i + 1] = means[2 * k + 1] + l21 * u + l22 * v;
      }
      return line;
    });
    return { share, lines };
  });
}

// Level lines of the mixture's density, on a grid over its own extent.
function densityRegions(mixture) {
  const box = extentOf(mixture), density = densityGrid(mixture, box, OUTLINE_GRID, OUTLINE_GRID);
  const levels = levelsHolding(density, OUTLINE_SHARES), logs = density.map((value) => Math.log(value + 1e-300)); // Gaussians are nearly straight in the log
  const stepX = (box.right - box.left) / (OUTLINE_GRID - 1), stepY = (box.top - box.bottom) / (OUTLINE_GRID - 1);
  return OUTLINE_SHARES.map((share, i) => ({
    share,
    lines: marchingSquares(logs, OUTLINE_GRID, OUTLINE_GRID, Math.log(levels[i])).map((line) =>
      line.map((place, at) => (at % 2 ? box.top - stepY * place : box.left + stepX * place))),
  }));
}

// A box that holds every component to four standard deviations.
function extentOf({ means, covariances, weights }) {
  const box = { left: Infinity, right: -Infinity, bottom: Infinity, top: -Infinity };
  for (let k = 0; k < weights.length; k++) {
    if (weights[k] <= 0) continue;
    const wide = 4 * Math.sqrt(covariances[3 * k]), high = 4 * Math.sqrt(covariances[3 * k + 2]);
    box.left = Math.min(box.left, means[2 * k] - wide); box.right = Math.max(box.right, means[2 * k] + wide);
    box.bottom = Math.min(box.bottom, means[2 * k + 1] - high); box.top = Math.max(box.top, means[2 * k + 1] + high);
  }
  return box;
}

// Density of a mixture at the points of an even grid whose outermost points lie on the box, row 0 at the top: Float64Array(columns rows).
function densityGrid({ weights, means, covariances }, box, columns, rows) {
  const out = new Float64Array(columns * rows), stepX = (box.right - box.left) / (columns - 1), stepY = (box.top - box.bottom) / (rows - 1);
  for (let k = 0; k < weights.length; k++) {
    const xx = covariances[3 * k], xy = covariances[3 * k + 1], yy = covariances[3 * k + 2], det = xx * yy - xy * xy;
    const peak = weights[k] / (2 * Math.PI * Math.sqrt(det)), wide = OUTLINE_REACH * Math.sqrt(xx), high = OUTLINE_REACH * Math.sqrt(yy);
    const within = (place, last) => Math.max(0, Math.min(last, place));
    const j0 = within(Math.ceil((means[2 * k] - wide - box.left) / stepX), columns), j1 = within(Math.floor((means[2 * k] + wide - box.left) / stepX) + 1, columns);
    const i0 = within(Math.ceil((box.top - means[2 * k + 1] - high) / stepY), rows), i1 = within(Math.floor((box.top - means[2 * k + 1] + high) / stepY) + 1, rows);
    for (let i = i0; i < i1; i++) {
      const y = box.top - stepY * i - means[2 * k + 1];
      for (let j = j0; j < j1; j++) {
        const x = box.left + stepX * j - means[2 * k];
        out[i * columns + j] += peak * Math.exp((-0.5 * (yy * x * x - 2 * xy * x * y + xx * y * y)) / det);
      }
    }
  }
  return out;
}

// The densities above which these shares of the grid's whole lie.
function levelsHolding(density, shares) {
  const falling = Float64Array.from(density).sort().reverse(), whole = falling.reduce((sum, value) => sum + value, 0);
  return shares.map((share) => {
    let held = 0, i = 0;
    while (i < falling.length - 1 && held + falling[i] < share * whole) held += falling[i++];
    return falling[i];
  });
}

// Draws the outlines of both laws: { prior, target } as `outlinesOf` gives them.
function drawOutlines(ctx, view, look, { prior, target }) {
  const width = 1.1 * look.stroke;
  drawOutline(ctx, view, target, look.line, width, []);
  drawOutline(ctx, view, prior, look.ink, width, [5 * look.stroke, 4 * look.stroke]);
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

function drawOutline(ctx, view, outline, colour, width, dash) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.setLineDash(dash);
  for (const { share, lines } of outline) {
    ctx.globalAlpha = share > 0.7 ? 0.9 : 0.6;
    ctx.beginPath();
    for (const line of lines) addLine(ctx, view, line);
    ctx.stroke();
  }
}

// Adds a polyline (interleaved data coordinates) to the present path.
function addLine(ctx, view, line) {
  ctx.moveTo(toPixelX(view, line[0]), toPixelY(view, line[1]));
  for (let i = 2; i < line.length; i += 2) ctx.lineTo(toPixelX(view, line[i]), toPixelY(view, line[i + 1]));
}
