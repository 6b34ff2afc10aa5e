"""python -m trainers checkup: table, JSON and page say the same; the page needs nothing beside it; bad input ends in one line and status 2."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.trainers.checkup.nets import sent, unet
from tests.trainers.sampling.conftest import digits, trained
from trainers import cli
from trainers.checkup import Asked, check_up, load_foreign, page, table
from trainers.checkup.charts import Curve, chart
from trainers.exporting import export

QUICK = ["--n", "3", "--nfe", "1", "2", "4", "8", "--local-steps", "8", "--seed", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint from elsewhere whose name has to be escaped."""
    home = tmp_path_factory.mktemp("elsewhere") / "some & <one>"
    told = {"direction": "data-to-noise", "time_scale": 10, "classes": ["a", "b", "c"], "null_class": 3, "about": "two < three"}
    return sent(unet(num_class_embeds=4), home, **told)


def test_json_file_and_table_have_the_same_numbers(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["checkup", str(folder), *QUICK, "--out", str(tmp_path / "deep" / "out.json")]) == 0
    printed = capsys.readouterr().out
    told = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert cli.main(["checkup", str(folder), *QUICK, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told
    lines = printed.splitlines()
    first = next(k for k, line in enumerate(lines) if line.split()[:2] == ["NFE", "euler"])
    for k, n in enumerate((1, 2, 4, 8)):
        cells = lines[first + 1 + k].split()
        assert cells[0] == str(n)
        for cell, solver in zip(cells[1:], told["solvers"], strict=True):
            if n not in solver["nfe"]:
                assert cell == "-"
                continue
            at = solver["nfe"].index(n)
            assert cell == f"{'' if solver['resolved'][at] else '~'}{solver['relative'][at]:.3g}"
    needed = "  ".join(f"{name} {n if n is not None else 'more than 8'}" for name, n in told["nfe_needed"].items())
    assert needed in lines
    for row, values in (("error", told["local_error"]["relative"]), ("relative", told["guidance"]["relative"])):
        assert [f"{value:.3g}" for value in values] in [line.split()[1:] for line in lines if line.split()[:1] == [row]]
    assert f"straightness {told['straightness']:.4g} " in printed
    assert f"acceleration {told['acceleration']:.4g}," in printed
    assert f"transport cost {told['transport_cost']:.4g}" in printed
    assert f"dopri5 at {told['exact']['tolerance']:g}, {told['exact']['nfe']} evaluations" in printed
    assert "conventions: data-to-noise, time 10 s, predicts velocity" in printed
    assert (told["made"], told["network"], told["conventions"]["classes"]) == ("elsewhere", "UNet2DModel", ["a", "b", "c"])
    eighths = next(line.split()[1:] for line in lines if line.startswith("E|du/dt|^2"))
    values = told["acceleration_along"]["values"]
    assert eighths == [f"{sum(values[8 * k : 8 * k + 8]) / 8:.3g}" for k in range(8)]


def test_the_page_needs_nothing_beside_it_and_has_every_number(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["checkup", str(folder), *QUICK, "--page", str(tmp_path / "page.html"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Reader().feed(text)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in tags}
    assert not [attrs for _, attrs in tags if "href" in attrs or "onload" in attrs]
    assert all(str(attrs["src"]).startswith("data:image/png;base64,") for _, attrs in tags if "src" in attrs)
    assert not re.search(r"https?:|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert [tag for tag, _ in tags].count("svg") == 4  # error, local error, acceleration, guidance
    assert [tag for tag, _ in tags].count("img") == 1 + sum(n is not None for n in told["nfe_needed"].values())
    assert "some &amp; &lt;one&gt;" in text
    assert "two &lt; three" in text
    assert "<one>" not in text
    for solver in told["solvers"]:
        for value, sure in zip(solver["relative"], solver["resolved"], strict=True):
            assert f"<td>{'' if sure else '~'}{value:.3g}</td>" in text
    for name, n in told["nfe_needed"].items():
        assert f"<b>{n if n is not None else '&gt; 8'}</b><span>{name}</span>" in text


def test_a_page_can_do_without_pictures_and_guidance(tmp_path: Path):
    found = check_up(load_foreign(sent(unet(in_channels=4, out_channels=4), tmp_path)), Asked(n=2, nfe=(1, 2), solvers=("euler",)))
    text = page(found)
    assert "<img" not in text
    assert "not gauged; the network is told nothing" in text
    assert "guidance: not gauged" in table(found)


def test_pictures_are_left_out_where_latents_have_no_autoencoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = sent(unet(in_channels=4, out_channels=4), tmp_path / "net")
    assert (
        cli.main(["checkup", str(folder), "--n", "2", "--nfe", "1", "2", "--solvers", "euler", "--page", str(tmp_path / "page.html")]) == 0
    )
    assert "<img" not in (tmp_path / "page.html").read_text()


def test_a_run_and_its_export_are_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = trained(digits("condot"), tmp_path / "run", tmp_path)
    capsys.readouterr()
    assert cli.main(["checkup", str(run), *QUICK, "--condition", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["made"], told["conventions"], told["step"], told["slopes_at_ends"]) == ("here", None, 20, [])
    assert told["guidance"]["n"] == 3
    assert cli.main(["checkup", str(run), *QUICK, "--weights", "model", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights_hash"] != told["weights_hash"]
    export(run, tmp_path / "out")
    assert cli.main(["checkup", str(tmp_path / "out"), *QUICK, "--condition", "3"]) == 0
    assert "made here: mlp" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--n", "1"], "n=1 must be"),
        (["--solvers", "dopri5"], "a check-up needs a fixed-step solver"),
        (["--guidance", "2", "--nfe", "1"], "holds no budget that euler can use exactly, guidance counted"),
        (["--condition", "d"], "condition='d' is unknown"),
        (["--device", "nonsense"], "device='nonsense' cannot be used here"),
    ],
)
def test_bad_input_is_one_line_and_status_2(wrong: list[str], sentence: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["checkup", str(folder), *wrong]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_folder_that_cannot_be_checked_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["checkup", str(tmp_path)]) == 2
    assert "holds no checkpoint" in capsys.readouterr().err
    (sent(unet(), tmp_path / "net") / "conventions.json").unlink()
    assert cli.main(["checkup", str(tmp_path / "net")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_chart_draws_what_its_axes_can_show():
    """On log axes a line of slope -1 is straight: the middle point lies in the middle; what is not above 0 is left out."""
    drawn = chart(
        [Curve("a <b>", (1, 10, 100), (100, 10, 1)), Curve("", (1, 2), (0, 4))], title="t", x_label="x", y_label="y", log_x=True, log_y=True
    )
    (first, second) = re.findall(r'<polyline points="([^"]*)"', drawn)
    (x1, y1), (x2, y2), (x3, y3) = (map(float, point.split(",")) for point in first.split())
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y2 - y1 == pytest.approx(y3 - y2, abs=0.2)
    assert y1 < y3
    assert len(second.split()) == 1
    assert "a &lt;b&gt;" in drawn
    with pytest.raises(ValueError, match="has no point that can be drawn"):
        chart([Curve("a", (1,), (0,))], title="t", x_label="x", y_label="y", log_y=True)
