// The probe: what the velocity at one point is made of. The marginal velocity is the mean of the pairs that pass through the point, by their weight.

const PROBE_LEAST = 0.005;
const PROBE_RADIUS = 9; // pixels; the page makes a larger place around it answer to fingers

// probe { x, y } in data units; told = { u, v, shares: [{ share, x0, x1, k }], rest } as the picture's probeAt gives it; classes: of the components k.
// step: the arrow is how far one Euler step of this length leads. Components of less than half a percent are not drawn.
function drawProbe(ctx, view, look, probe, told, classes, step = 0.25) {
  const x = toPixelX(view, probe.x), y = toPixelY(view, probe.y), radius = PROBE_RADIUS * Math.sqrt(look.stroke);
  const lightest = told.shares.filter(({ share }) => share >= PROBE_LEAST).sort((a, b) => a.share - b.share); // the heaviest on top
  ctx.lineCap = "round";
  for (const { share, x0, x1, k } of lightest) {
    ctx.globalAlpha = 0.75;
    ctx.strokeStyle = classColour(look, classes[k]);
    ctx.lineWidth = look.stroke * (0.75 + 6 * share);
    ctx.beginPath();
    ctx.moveTo(toPixelX(view, x0[0]), toPixelY(view, x0[1]));
    ctx.lineTo(toPixelX(view, x1[0]), toPixelY(view, x1[1]));
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
  ctx.lineCap = "butt";
  drawVelocity(ctx, view, look, x, y, radius, told, step);
  for (const [width, colour] of [[5, look.paper], [2, look.ink]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = width * look.stroke;
    ctx.beginPath();
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
    ctx.stroke();
  }
  drawShares(ctx, view, look, x, y, radius, told);
}

function drawVelocity(ctx, view, look, x, y, radius, { u, v }, step) {
  const speed = Math.hypot(u, v), length = speed * step * view.scale;
  if (!(length > radius + 2)) return;
  const dx = u / speed, dy = -v / speed, head = Math.min(9 * look.stroke, 0.5 * length);
  ctx.lineCap = ctx.lineJoin = "round";
  for (const [width, colour] of [[6, look.paper], [3, look.accent]]) {
    ctx.strokeStyle = colour;
    ctx.lineWidth = width * look.stroke;
    ctx.beginPath();
    addArrow(ctx, x + radius * dx, y + radius * dy, dx, dy, length - radius, Math.min(head, length - radius));
    ctx.stroke();
  }
  ctx.lineCap = "butt";
}

// Percentages at the data's end of each line, pushed apart where they would meet, and "rest" beside the ring.
function drawShares(ctx, view, look, x, y, radius, { shares, rest }) {
  const size = look.text, taken = [{ x, y }];
  const words = shares.map(({ share, x1 }) => ({ share, text: percent(share), x: toPixelX(view, x1[0]), y: toPixelY(view, x1[1]) })).filter(({ share }) => share >= PROBE_LEAST);
  if (rest >= PROBE_LEAST) words.push({ text: `rest ${percent(rest)}`, x: x + radius + 6, y: y + radius + 6, beside: true });
  for (const word of words) {
    const away = Math.sign(word.x - x) || 1, side = word.beside ? 0 : away * 8;
    let px = Math.min(view.width - 34, Math.max(34, word.x + side)), py = Math.min(view.height - 8, Math.max(size + 4, word.y - (word.beside ? 0 : 8)));
    for (let tries = 0; tries < 8 && taken.some((other) => Math.abs(other.x - px) < 34 && Math.abs(other.y - py) < size + 2); tries++) py += size + 3;
    taken.push({ x: px, y: py });
    drawWords(ctx, look, word.text, px, py, { size, weight: word.beside ? 400 : 700, colour: look.ink, align: word.beside || away > 0 ? "left" : "right" });
  }
}
