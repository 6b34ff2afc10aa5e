"""Faults planted in what draws: app/stage/, from discs to charts and files."""

from tests.faults import Fault


def drawn(file: str, old: str, new: str, test: str) -> Fault:
    return Fault(f"app/stage/{file}", old, new, f"tests/app/stage_drawing/{test}")


FAULTS: tuple[Fault, ...] = (
    drawn("gif.js", "if (next === 1 << bits) bits += 1;", "if (next === (1 << bits) - 1) bits += 1;", "test_files.py"),
    drawn("gif.js", "shown = present;", "shown = shown ?? present;", "test_files.py"),
    drawn("gif.js", "x >= right) right = x + 1", "x >= right) right = x", "test_files.py"),
    drawn("marching.js", '10: [["TR", "BL"], ["TL", "BR"]]', '10: [["TL", "BR"], ["TR", "BL"]]', "test_marching.py"),
    drawn("marching.js", '[], ["LT"], ["TR"]', '[], ["TL"], ["TR"]', "test_marching.py"),
    drawn("contours.js", "-2 * Math.log(1 - share)", "-2 * Math.log(share)", "test_marching.py"),
    drawn("contours.js", "l21 * u + l22 * v", "l22 * v", "test_marching.py"),
    drawn("contours.js", "mixture.weights.length === mixture.classCount", "true", "test_marching.py"),
    drawn("density.js", "mass[bin] *= Math.exp(-(bin + 0.5) * width)", "mass[bin] *= 1", "test_marching.py"),
    drawn("density.js", "count) / length - 0.5))", "count) / length))", "test_paint.py"),
    drawn("discs.js", "+ 0x800080", "", "test_discs.py"),
    drawn("discs.js", "if (px < 0 || py < 0 || px >= width || py >= height) continue;", "", "test_discs.py"),
    drawn("discs.js", "view.ratio * view.shiftX - 0.5", "view.ratio * view.shiftX", "test_discs.py"),
    drawn("states.js", "times[middle] <= time", "times[middle] < time", "test_states.py"),
    drawn("states.js", "share * (x[next + i] - x[from + i])", "0.5 * (x[next + i] - x[from + i])", "test_states.py"),
    drawn("ghosts.js", "statesAt(exact, run.t[k],", "statesAt(exact, time,", "test_states.py"),
    drawn("ghosts.js", "ghosts.k === 0 || ", "", "test_paint.py"),
    drawn("traces.js", "k = Math.min(steps, k + stride)", "k = k + stride > steps ? steps : k + stride + 1", "test_states.py"),
    drawn("traces.js", "if (k === steps) return;", "if (k + stride > steps) return;", "test_states.py"),
    drawn("paint.js", "  freshPen(ctx);\n  if (outlines) drawOutlines", "  if (outlines) drawOutlines", "test_paint.py"),
    drawn("paint.js", "  freshPen(ctx);\n  const k = stateBefore", "  const k = stateBefore", "test_paint.py"),
    drawn("clock.js", "Math.min(100, present - last)", "(present - last)", "test_clock.py"),
    drawn("clock.js", "if (hidden) stop(); else start();", "", "test_clock.py"),
    drawn("colours.js", '"#E69F00", "#56B4E9"', '"#56B4E9", "#E69F00"', "test_colours.py"),
    drawn("chart_frame.js", "log ? Math.log : (value) => value", "(value) => value", "test_charts.py"),
    drawn("chart_frame.js", "escapeXml(cell)}</th>", "cell}</th>", "test_charts.py"),
    drawn("svg.js", '[&<>"]/g', "[]/g", "test_files.py"),
    drawn("csv.js", "truth[k][2 * row]", "truth[0][2 * row]", "test_files.py"),
    drawn("line_chart.js", "Math.max(line.y[i], yLow)", "line.y[i]", "test_charts.py"),
    drawn("viewport.js", "view.shiftY - view.scale * y", "view.shiftY + view.scale * y", "test_paint.py"),
    drawn("labels.js", "sum += 1e3", "sum += 0", "test_paint.py"),
)
