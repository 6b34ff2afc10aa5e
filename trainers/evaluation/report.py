"""The table that people read."""

from typing import Any

from trainers.evaluation.protocol import Evaluation, Row
from trainers.evaluation.scores import Score

COLUMNS = {
    "one_nn": "1-NN (.5 is ideal)",
    "frechet": "Frechet",
    "kernel": "kernel x 1000",
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "clip": "CLIP",
    "memorisation_ratio": "copies (1: none)",
    "latents_frechet": "latents' Frechet*",
}
SCALE = {"kernel": 1000.0}


def table(evaluation: Evaluation) -> str:
    """Protocol, a row for each set of pictures, what the flow is like, and the notes."""
    rows = evaluation.rows
    shown = [name for name in COLUMNS if any(name in row.scores for row in rows)]
    head = ["", "NFE", *(COLUMNS[name] for name in shown)]
    errors = any(row.solver_error for row in rows)
    if errors:
        head.append("solver error")
    lines = [head, *([row.name, _evaluations(row), *_cells(row, shown), *([_error(row)] if errors else [])] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    printed = [
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    return "\n".join([*_heading(evaluation.protocol), "", *printed, "", *_flow(evaluation), *_notes(evaluation, shown)])


def _heading(protocol: dict[str, Any]) -> list[str]:
    features = protocol["features"]
    guidance = protocol["guidance"]["scale"]
    return [
        f"{protocol['recipe']} at step {protocol['step']}, weights {protocol['weights']} ({protocol['weights_hash'][:12]}); n = {protocol['n']}, seed {protocol['seed']}, "
        f"guidance {'off' if guidance == 1 else f'{guidance:g}'}",
        f"against {protocol['data']}, split {protocol['split']}; {features['dimension']} features of {features['name']} ({features['hash'][:12]}); "
        f"resize: {features['resize']}",
        f"{protocol['labels_law']}",
    ]


def _evaluations(row: Row) -> str:
    return "-" if row.nfe is None else f"{row.nfe:.4g}"


def _cells(row: Row, shown: list[str]) -> list[str]:
    return [_cell(row.scores.get(name), SCALE.get(name, 1.0)) for name in shown]


def _cell(score: Score | None, scale: float) -> str:
    if score is None:
        return "-"
    value = f"{scale * score.value:.4g}"
    return value if score.error is None else f"{value} ± {scale * score.error:.2g}"


def _error(row: Row) -> str:
    if row.solver_error is None:
        return "-"
    value, unsure = row.solver_error["rmse"], row.solver_error["reference_error"]
    return f"{value:.3g}" if row.solver_error["resolved"] else f"{value:.2g} ± {unsure:.1g}"


def _flow(evaluation: Evaluation) -> list[str]:
    lines = []
    if (flow := evaluation.flow) is not None:
        efficiency = "" if flow.path_efficiency is None else f", path efficiency {flow.path_efficiency:.3f}"
        lines.append(
            f"flow in latents (n = {len(flow.ends)}, dopri5 at {flow.tolerance:g}, {flow.nfe} evaluations): straightness {flow.straightness:.4g}, "
            f"acceleration {flow.acceleration:.4g} over {flow.intervals} intervals, transport cost {flow.transport_cost:.4g}{efficiency}; end points off by {flow.error:.1g}"
        )
    if (found := evaluation.likelihood) is not None:
        error = "" if found.error is None else f" ± {found.error:.2g}"
        bits = "" if found.bits is None else f", {found.bits:.3f} bits per dimension of the pixels"
        lines.append(
            f"likelihood (n = {found.n}, {found.divergence}, "
            f"dopri5 at {found.tolerance:g}, {found.nfe} evaluations): {found.nats:.4f}{error} nats per dimension of the latent{bits}"
            f"; {found.integration_error:.1g} from those at {10 * found.tolerance:g}; {found.note}"
        )
    return lines


def _notes(evaluation: Evaluation, shown: list[str]) -> list[str]:
    lines = [f"note: {note}" for note in evaluation.notes]
    if "latents_frechet" in shown:
        lines.append("* never to be ranked by: a Gaussian prior that was fitted to the latents wins it without any flow")
    for row in evaluation.rows[-1:]:
        for close in row.closest[:3]:
            lines.append(
                f"closest to a training picture in {row.name}: sample {close['sample']}, {close['name']} (distance {close['distance']:.4g})"
            )
    return lines
