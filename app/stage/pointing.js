// The pointer on a stage: what lies under it is thickened on both, and the probe is dragged.

function listenToStages(linked) {
  for (const name of ["a", "b"]) {
    const { canvas } = linked.dom[name], place = (event) => {
      const box = canvas.getBoundingClientRect(), picture = linked.session.sides[name].picture;
      const view = makeViewport(picture.box, box.width, box.height, 1);
      return { at: toData(view, event.clientX - box.left, event.clientY - box.top), view, picture };
    };
    let dragging = false;
    canvas.onpointermove = (event) => {
      const { at, view, picture } = place(event);
      if (dragging) { moveProbe(linked, at[0], at[1]); return; }
      const flow = linked.session.view.playback === "exact" ? picture.exact : picture.run, points = statesAt(flow, linked.clock.time, new Float64Array(2 * flow.n));
      const row = nearestRow(points, picture.traced, at[0], at[1], 12 / view.scale);
      if (row !== linked.hovered) { linked.hovered = row; paintSoon(linked); }
    };
    canvas.onpointerleave = () => { linked.hovered = -1; paintSoon(linked); };
    canvas.onpointerdown = (event) => {
      if (!linked.session.view.show.includes("probe")) { if (event.pointerType === "touch") linked.dom.stages.classList.toggle(`fl-enlarge-${name}`); return; }
      const { at, view } = place(event), ring = linked.probe || { x: 0, y: 0 };
      if (Math.hypot(at[0] - ring.x, at[1] - ring.y) > 30 / view.scale) return; // touch is the page's own unless it begins on the probe
      dragging = true;
      canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
    };
    canvas.ontouchstart = (event) => { if (dragging) event.preventDefault(); };
    canvas.onpointerup = canvas.onpointercancel = () => { if (dragging) linked.probed(); dragging = false; };
  }
}
