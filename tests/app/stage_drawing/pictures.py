"""A small picture as JavaScript text: two classes, six particles, two steps; and the options that it is painted with."""

from typing import Any

PICTURE = """(() => {
  const target = L.makeMixture({ weights: [0.5, 0.5], means: [-2, 0, 2, 0], covariances: [0.2, 0, 0.4, 0.2, 0, 0.4], classes: [0, 1] });
  const source = L.makeMixture({ weights: [1], means: [0, 0], covariances: [1, 0, 1] }), n = 6;
  const cells = (length, f) => Float32Array.from({ length }, (_, i) => f(i));
  const state = (k) => Array.from({ length: 2 * n }, (_, i) => Math.sin(3 * i + k) + (i % 2 ? 0 : k * (i < n ? -1 : 1)));
  const flow = { n, t: Float64Array.of(0, 0.5, 1), x: Float64Array.from([0, 1, 2].flatMap(state)), nfe: 2, method: "euler" };
  return {
    name: "A", title: "N(0, I) & <more>", stale: "", box: { left: -4, right: 4, bottom: -4, top: 4 },
    world: { source, target, fitted: null }, run: flow, exact: { ...flow, x: flow.x.map((v) => v + 0.3) }, n,
    colour: Int32Array.of(0, 0, 0, 1, 1, 1), traced: Int32Array.of(0, 1, 2, 3), pairs: Float64Array.of(0, 0, 2, 0, 1, 1, -2, 0), ends: null, errorAt: null,
    densityAt: (t, columns, rows) => cells(columns * rows, (i) => -0.02 * ((i % columns - columns / 2) ** 2 + (Math.floor(i / columns) - rows / 2) ** 2)),
    fieldAt: (t, columns, rows) => ({
      x: cells(columns * rows, (i) => -3.75 + 0.5 * (i % columns)), y: cells(columns * rows, (i) => 3.75 - 0.5 * Math.floor(i / columns)),
      u: cells(columns * rows, () => 1), v: cells(columns * rows, () => 0.5), weight: cells(columns * rows, () => 1),
    }),
    probeAt: () => ({ u: 1, v: 1, shares: [{ share: 0.9, x0: [0, 0], x1: [2, 0], k: 1 }], rest: 0.1 }),
  };
})()"""

OPTIONS: dict[str, Any] = {"time": 1, "playback": "solver", "dark": False, "hovered": -1, "probe": {"x": 0.5, "y": 0.5}, "fieldScale": 2}
