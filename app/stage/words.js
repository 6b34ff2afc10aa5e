// Words on a stage, with a halo of paper so that they can be read over particles.

// options: size in pixels, weight, colour, align ("left", "center", "right"), baseline, halo (width in pixels; 0: none).
function drawWords(ctx, look, text, x, y, { size = look.text, weight = 400, colour = look.quiet, align = "left", baseline = "alphabetic", halo = 3 } = {}) {
  ctx.font = `${weight} ${size}px ${STAGE_FONT}`;
  ctx.textAlign = align;
  ctx.textBaseline = baseline;
  if (halo > 0) {
    ctx.lineJoin = "round";
    ctx.lineWidth = halo;
    ctx.strokeStyle = look.paper;
    ctx.strokeText(text, x, y);
  }
  ctx.fillStyle = colour;
  ctx.fillText(text, x, y);
}

// The text, shortened with an ellipsis until `width` pixels hold it in the present font.
function shortened(ctx, text, width) {
  if (ctx.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 0 && ctx.measureText(text.slice(0, end).trimEnd() + "…").width > width) end--;
  return end === 0 ? "" : text.slice(0, end).trimEnd() + "…";
}

// A number for a reader: three digits, 0 where nothing but rounding is left, powers of ten where it is small.
function shortNumber(value) {
  const size = Math.abs(value);
  if (!(size >= 1e-9)) return "0";
  if (size < 1e-3 || size >= 1e5) {
    const [digits, power] = value.toExponential(1).split("e");
    return `${digits.replace(/\.0$/, "")}e${Number(power)}`;
  }
  return String(Number(value.toPrecision(size < 1 ? 2 : 3)));
}

// A share in [0, 1] as a percentage without decimals; "< 1 %" for what is there but small.
function percent(share) {
  return share > 0 && share < 0.01 ? "< 1 %" : `${Math.round(100 * share)} %`;
}

// A number for a reader: three digits, 0 where nothing but rounding is left.
function readable(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return shortNumber(value);
}
