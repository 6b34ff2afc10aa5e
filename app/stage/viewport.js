// From the data's box to the pixels of a stage, and back. Both axes have one scale; the box is centred where its shape is not the stage's.

// box { left, right, bottom, top } in data units; width, height in CSS pixels; ratio: device pixels for one of these.
function makeViewport(box, width, height, ratio) {
  const scale = Math.min(width / (box.right - box.left), height / (box.top - box.bottom));
  const shiftX = 0.5 * (width - scale * (box.left + box.right)), shiftY = 0.5 * (height + scale * (box.bottom + box.top));
  return { box, width, height, ratio, scale, shiftX, shiftY };
}

// CSS pixels of a data coordinate.
function toPixelX(view, x) {
  return view.scale * x + view.shiftX;
}

function toPixelY(view, y) {
  return view.shiftY - view.scale * y;
}

// Data coordinates [x, y] of CSS pixels.
function toData(view, px, py) {
  return [(px - view.shiftX) / view.scale, (view.shiftY - py) / view.scale];
}

// The box in whole device pixels { left, top, width, height }: where grids over the box are blitted.
function boxInDevicePixels({ box, ratio, ...view }) {
  const left = Math.round(ratio * toPixelX(view, box.left)), top = Math.round(ratio * toPixelY(view, box.top));
  return { left, top, width: Math.round(ratio * toPixelX(view, box.right)) - left, height: Math.round(ratio * toPixelY(view, box.bottom)) - top };
}
