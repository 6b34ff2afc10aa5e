// What is shown, as one PNG that carries its settings in its own text.

async function exportCompare(page) {
  const { results, panelDom } = page, gap = 24, head = 56, canvases = (page.hidden ? page.order : panelDom.map((_, k) => k)).filter((k) => !isPanelStale(page, k)).map((k) => [k, panelDom[k].canvas]);
  if (!canvases.length) { tell(page, "nothing of what is chosen has been sampled yet; press Sample first"); return; }
  const width = canvases.reduce((sum, [, canvas]) => sum + canvas.width + gap, gap), height = head + Math.max(...canvases.map(([, canvas]) => canvas.height)) + gap, sheet = make("canvas", { width: String(width), height: String(height) }), ctx = sheet.getContext("2d", { alpha: false });
  ctx.fillStyle = "#fff";
  ctx.fillRect(0, 0, width, height);
  ctx.font = "600 20px system-ui, sans-serif";
  let left = gap;
  for (const [k, canvas] of canvases) {
    const { model, solver } = results.wish.panels[k], nfe = rungOf(results.panels[k], page.shown), budget = nfe === null ? "not sampled yet" : nfe === EXACT ? "exact" : `NFE ${results.panels[k].rungs.get(nfe).evaluations}`;
    const name = page.hidden ? String(page.order.indexOf(k) + 1) : `${model.split("/")[1]} · ${solver}`;
    ctx.fillStyle = "#111";
    ctx.fillText(`${name} · ${budget}`, left, 36, canvas.width);
    ctx.drawImage(canvas, left, head);
    left += canvas.width + gap;
  }
  const blob = await new Promise((done) => sheet.toBlob(done, "image/png"));
  if (!blob) { tell(page, `the browser could not make a PNG of ${width} × ${height} pixels; try a smaller window`); return; }
  const settings = { ...results.wish, nfe: page.shown, panels: results.wish.panels.map((panel, k) => ({ ...panel, step: results.panels[k].loaded?.step, weights_hash: results.panels[k].loaded?.weights_hash, nfe: rungOf(results.panels[k], page.shown) })) };
  const bytes = pngWithText(new Uint8Array(await blob.arrayBuffer()), { Software: "Flow Lab", Settings: JSON.stringify(page.hidden ? { ...settings, panels: "hidden" } : settings) });
  download("flow-lab-compare.png", new Blob([bytes], { type: "image/png" }));
}
