// The chart under the stages: one at a time, chosen by tabs; a closer look (zoom, hover) through Plotly, which is loaded on first use.

const CHART_NAMES = { error: "Error and NFE", local: "Local error", speed: "Speed", acceleration: "Acceleration", shares: "Shares" };

function showChart(page) {
  if (!page.session.shownMeasures()) return;
  const { chart, chartTabs } = page.dom;
  if (!chartTabs.firstChild) {
    for (const [name, words] of Object.entries(CHART_NAMES)) {
      const tab = make("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "chart" }, words);
      tab.onclick = () => { page.chart = name; showChart(page); };
      chartTabs.append(tab);
    }
    const closer = make("button", { type: "button", id: "closer", class: "fl-plain" }, "Look closer");
    closer.onclick = () => openCloser(page);
    chartTabs.after(closer);
  }
  document.getElementById("closer").hidden = page.chart === "shares"; // bars have nothing to look closer at
  for (const name of Object.keys(CHART_NAMES)) document.getElementById(`tab-${name}`).setAttribute("aria-selected", String(name === page.chart));
  chart.setAttribute("aria-labelledby", `tab-${page.chart}`);
  chart.replaceChildren(chartNamed(page, page.chart, Math.max(280, chart.clientWidth)));
}

// The present chart as an element, for both sides.
function chartNamed(page, name, width) {
  const { a, b } = page.session.shownMeasures();
  return {
    error: () => drawErrorChart({ a: a.ladder, b: b.ladder, nfe: page.session.view.a.nfe, learned: ["a", "b"].some((name) => page.session.sides[name].world.grid), width }),
    local: () => drawLocalErrorChart({ a: a.localError, b: b.localError, width }),
    speed: () => drawSpeedChart({ a: a.speedAlong, b: b.speedAlong, width }),
    acceleration: () => drawAccelerationChart({ a: a.accelerationAlong, b: b.accelerationAlong, width }),
    shares: () => drawSharesChart({ a: sharesOf(page, "a"), b: sharesOf(page, "b"), width }),
  }[name]();
}

// Where a side's error comes from: the solver's share is the browser's own, the others Python's, a moment after rest; a learned field's from its training.
function sharesOf(page, name) {
  const { world, measured } = page.session.sides[name], proof = page.python[name];
  if (world.grid) return reportShown(page, name)?.shares ?? {};
  return { ...(proof ? proof.shares : {}), solver: measured.globalError.rmse };
}
