"""A check-up as one HTML file: needs nothing beside it, runs no script, follows the reader's light or dark."""

import base64
import html
import io
from pathlib import Path

from torch import Tensor

from lab.measures import Ladder
from trainers.checkup.charts import Curve, chart
from trainers.checkup.instruments import LOCAL, Checkup
from trainers.checkup.report import cell, flow_words, gauge_words, local_words, order_words, protocol, unsure
from trainers.evaluation.subject import Subject
from trainers.grids import grid

SHOWN = 16  # samples in a sheet
STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def page(found: Checkup, subject: Subject | None = None) -> str:
    """The whole document. subject: for pictures of the samples, where they can be drawn."""
    name = html.escape(found.about["name"])
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Check-up of {name}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>Check-up of {name}</h1>",
            *([f"<p>{html.escape(found.about['about'])}</p>"] if found.about["about"] else []),
            *(f'<p class="note">{html.escape(note)}</p>' for note in found.notes),
            "<h2>Evaluations needed</h2>",
            f"<p>The fewest of the network, for each sample, that leave a solver error of {found.asked.error:g} of the samples' spread or less.</p>",
            _needed(found),
            *_errors(found),
            *_local(found),
            *_flow(found),
            *_guidance(found),
            *([] if subject is None else _samples(found, subject)),
            "<h2>How it was measured</h2>",
            *(f'<p class="quiet">{html.escape(line)}</p>' for line in protocol(found)),
            "<p class=\"quiet\">Errors are distances to the end points of the checkpoint's own flow from the same noise: the solver's alone, they do not say how good samples are. "
            "Squared quantities are in squared units of what the network works on.</p>",
            "</body>\n</html>\n",
        ]
    )


def _needed(found: Checkup) -> str:
    shown = (
        f"<div><b>{n if n is not None else f'&gt; {max(found.asked.nfe)}'}</b><span>{html.escape(solver)}</span></div>"
        for solver, n in found.needed.items()
    )
    return f'<div class="needed">{"".join(shown)}</div>'


def _errors(found: Checkup) -> list[str]:
    curves = [
        Curve(ladder.method, ladder.nfe, found.relative(ladder), [not sure for sure in found.resolved(ladder)]) for ladder in found.ladders
    ]
    budgets = sorted({n for ladder in found.ladders for n in ladder.nfe})
    drawn = _figure(
        curves,
        f"Dashed: the wished error. {', '.join(f'{ladder.method}: {order_words(ladder)}' for ladder in found.ladders)}.{_hollow(found)}",
        title="Solver error over evaluations of the network",
        x_label="evaluations of the network for each sample",
        y_label="error, in spreads",
        log_x=True,
        log_y=True,
        x_ticks=budgets,
        level=found.asked.error,
    )
    rows = "".join(f"<tr><td>{n}</td>{''.join(_cell(found, ladder, n) for ladder in found.ladders)}</tr>" for n in budgets)
    head = "".join(f"<th>{html.escape(ladder.method)}</th>" for ladder in found.ladders)
    summary = f"<summary>The numbers{html.escape(unsure(found))}</summary>"
    numbers = f'<details>{summary}<div class="wide"><table><tr><th>evaluations</th>{head}</tr>{rows}</table></div></details>'
    return ["<h2>Solver error</h2><p>Root mean squared distance of the end points to the exact ones.</p>", drawn, numbers]


def _hollow(found: Checkup) -> str:
    return " Open points: no more than the exact ends can tell." if unsure(found) else ""


def _cell(found: Checkup, ladder: Ladder, n: int) -> str:
    if n not in ladder.nfe:
        return "<td>-</td>"
    k = ladder.nfe.index(n)
    return f"<td>{cell(found.relative(ladder)[k], found.resolved(ladder)[k])}</td>"


def _local(found: Checkup) -> list[str]:
    curve = Curve("", found.local.t.tolist(), (found.local.rmse / found.exact.spread).tolist())
    drawn = _figure(
        [curve], f"{local_words(found)}.", title="Local error along t", x_label="t, from prior to data", y_label="error, in spreads"
    )
    return [
        f"<h2>Where along t the error is made</h2><p>{LOCAL.capitalize()}, one step at a time. A grid with shorter steps where this is high does better.</p>",
        drawn,
    ]


def _flow(found: Checkup) -> list[str]:
    t, values = found.acceleration_along
    drawn = _figure(
        [Curve("", t.tolist(), values.tolist())],
        f"E|du/dt|² along the flow on {len(t)} intervals: what Euler's error follows.",
        title="Acceleration along t",
        x_label="t, from prior to data",
        y_label="acceleration",
        log_y=True,
    )
    return ["<h2>How the flow bends</h2>", f"<p>{html.escape(flow_words(found).capitalize())}.</p>", drawn]


def _guidance(found: Checkup) -> list[str]:
    words = html.escape(gauge_words(found))
    if found.gap is None:
        return [f"<h2>Guidance</h2><p>{words}.</p>"]
    curve = Curve("", found.gap.t.tolist(), found.gap.relative.tolist())
    return [
        "<h2>What guidance has to work with</h2>",
        _figure(
            [curve],
            f"{gauge_words(found)}.",
            title="Guidance gauge along t",
            x_label="t, from prior to data",
            y_label="relative difference",
        ),
    ]


def _figure(curves: list[Curve], words: str, *, title: str, **options: object) -> str:
    """A chart with words under it; the words alone where it would have no point (a flow without any error, on a log axis)."""
    try:
        drawn = chart(curves, title=title, **options)  # pyright: ignore[reportArgumentType]  # the options of chart
    except ValueError:
        drawn = '<p class="quiet">Everything is 0 here.</p>'
    return f"<figure>{drawn}<figcaption>{html.escape(words)}</figcaption></figure>"


def _samples(found: Checkup, subject: Subject) -> list[str]:
    sheets = [
        f'<figure><img alt="samples, {html.escape(name)}" src="data:image/png;base64,{_png(subject, ends[:SHOWN])}"><figcaption>{html.escape(name)}</figcaption></figure>'
        for name, ends in found.ends.items()
    ]
    return [
        f"<h2>Samples</h2><p>The same {min(SHOWN, found.asked.n)} starting points: where the exact flow ends, and each solver at the evaluations that it needs.</p>",
        *sheets,
    ]


def _png(subject: Subject, x: Tensor) -> str:
    file = io.BytesIO()
    grid(subject.decode(x.float()), 2 if len(x) > 4 else 1).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
