// Classes whose particles have all come to one point, as after one Euler step: a few pixels under a digit, so they are drawn as a disc and the digit stands beside it.

const COLLAPSED_WITHIN = 3, COLLAPSED_RADIUS = 5; // CSS pixels
const COLLAPSED_LEAST = 8; // particles of a class, below which a single point says nothing

// Where `count` particles (positions: interleaved, data units; colour: a class each) of a class lie within three pixels of one another: Map of class to [x, y] in CSS pixels.
function collapsedClasses(view, positions, colour, count) {
  const boxes = new Map();
  for (let i = 0; i < count; i++) {
    const x = toPixelX(view, positions[2 * i]), y = toPixelY(view, positions[2 * i + 1]), box = boxes.get(colour[i]);
    if (!box) { boxes.set(colour[i], { left: x, right: x, top: y, bottom: y, n: 1 }); continue; }
    box.n += 1;
    if (x < box.left) box.left = x; else if (x > box.right) box.right = x;
    if (y < box.top) box.top = y; else if (y > box.bottom) box.bottom = y;
  }
  const found = new Map();
  for (const [c, { left, right, top, bottom, n }] of boxes) {
    if (n >= COLLAPSED_LEAST && right - left < COLLAPSED_WITHIN && bottom - top < COLLAPSED_WITHIN) found.set(c, [(left + right) / 2, (top + bottom) / 2]);
  }
  return found;
}

function drawCollapsed(ctx, look, collapsed) {
  ctx.lineWidth = 1.5 * look.stroke;
  for (const [c, [x, y]] of collapsed) {
    ctx.fillStyle = classColour(look, c);
    ctx.strokeStyle = darkened(ctx.fillStyle, look.rimShade);
    ctx.beginPath();
    ctx.arc(x, y, COLLAPSED_RADIUS * look.stroke, 0, 2 * Math.PI);
    ctx.fill();
    ctx.stroke();
  }
}
