// A closer look at a settled curve: zoom and hover through Plotly, which the page loads when it is first wanted.

const CLOSER_AXES = {
  error: { x: "evaluations (NFE)", y: "global truncation error", log: true },
  local: { x: "t at the step's start", y: "local truncation error, RMSE", log: false },
  speed: { x: "t", y: "mean |u|² along the exact flow", log: false },
  acceleration: { x: "t", y: "mean |du/dt|² along the exact flow", log: false },
};

// The curves of a chart for one side: [{ name, x, y }].
function curvesOf(measured, chart) {
  const { points } = measured.ladder, { t, rmse, median } = measured.localError;
  return {
    error: [{ name: "median", x: points.map((p) => p.nfe), y: points.map((p) => p.median) }, { name: "RMSE", x: points.map((p) => p.nfe), y: points.map((p) => p.rmse), thin: true }],
    local: [{ name: "RMSE", x: Array.from(t), y: Array.from(rmse) }, { name: "median", x: Array.from(t), y: Array.from(median), thin: true }],
    speed: [{ name: "speed²", x: Array.from(measured.speedAlong.t), y: Array.from(measured.speedAlong.values) }],
    acceleration: [{ name: "acceleration²", x: Array.from(measured.accelerationAlong.t), y: Array.from(measured.accelerationAlong.values) }],
  }[chart];
}

let plotlyLoading = null;

function loadPlotly() {
  plotlyLoading = plotlyLoading || new Promise((done, failed) => {
    const script = make("script", { src: "/stage/plotly.js" });
    script.onload = () => done(window.Plotly);
    script.onerror = () => { plotlyLoading = null; failed(new Error("Plotly could not be loaded from the server; try again")); };
    document.head.append(script);
  });
  return plotlyLoading;
}

async function openCloser(page) {
  const place = make("div", { class: "fl-closer" }, "Plotly is being loaded …"), axes = CLOSER_AXES[page.chart];
  openDialog(CHART_NAMES[page.chart], place);
  try {
    const plotly = await loadPlotly(), style = getComputedStyle(document.body), ink = style.getPropertyValue("--fl-ink"), accent = style.getPropertyValue("--fl-accent");
    const traces = ["a", "b"].flatMap((name) => curvesOf(page.session.shownMeasures()[name], page.chart).map(({ name: what, x, y, thin }) => ({
      x, y, name: `${name.toUpperCase()}, ${what}`, mode: x.length > 20 ? "lines" : "lines+markers", opacity: thin ? 0.5 : 1,
      line: { color: name === "a" ? ink : accent, dash: name === "a" ? "solid" : "dash", width: thin ? 1 : 2 }, marker: { symbol: name === "a" ? "circle" : "diamond-open", size: thin ? 4 : 8 },
    })));
    place.replaceChildren();
    const axis = (title) => ({ title: { text: title }, type: axes.log ? "log" : "linear", gridcolor: style.getPropertyValue("--fl-line"), zeroline: false, exponentformat: "power" });
    await plotly.newPlot(place, traces, {
      xaxis: axis(axes.x), yaxis: axis(axes.y), paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: ink, family: "system-ui, sans-serif" },
      margin: { l: 70, r: 20, t: 10, b: 55 }, legend: { orientation: "h", y: 1.12 }, hovermode: "x unified",
    }, { responsive: true, displaylogo: false });
  } catch (error) {
    place.textContent = error.message;
  }
}
