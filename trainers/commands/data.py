"""`python -m trainers data`: what lies at a path."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import tyro

SHOWN = 5  # broken pictures by name


@dataclass(frozen=True)
class Data:
    """Look at a data set: recognise its layout, decode all of it, count, and compare with the official counts. Nothing is changed."""

    path: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """Folder, .tar, .npz, .h5 or captions_*.json; or one of the words emoji and digits."""
    json: bool = False
    """Print one JSON object."""

    def go(self) -> None:
        import json
        from pathlib import Path

        from trainers.data import inspect

        report = inspect(Path(self.path).expanduser())
        print(json.dumps(asdict(report), ensure_ascii=False) if self.json else table(asdict(report)))


def table(report: dict[str, Any]) -> str:
    """A report in lines: for each split its figures, then the complaints."""
    lines = [f"{report['source']}: reader {report['reader']}"]
    for split, found in report["splits"].items():
        lines += ["", split, *(f"  {name:<14}{text}" for name, text in _figures(found))]
    if report["complaints"]:
        lines += ["", "notes", *(f"  {line}" for line in report["complaints"])]
    return "\n".join(lines)


def _figures(found: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for name, value in found.items():
        if name in ("fewest", "most"):
            continue
        if name == "classes" and "fewest" in found:
            least, most = found["fewest"], found["most"]
            each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            text = f"{value:,} ({each} pictures each)" if most > 1 else f"{value:,} (one picture each)"
        elif name == "broken":
            text = f"{len(value):,}" + "".join(f"\n{'':16}{each['name']}: {each['why']}" for each in value[:SHOWN])
            text += f"\n{'':16}and {len(value) - SHOWN:,} more (--json names all)" if len(value) > SHOWN else ""
        elif name == "official":
            text = f"the whole of {value['name']}" if value["matches"] else f"not the whole of {value['name']} (see notes)"
        elif name == "per picture":
            text = ", ".join(f"{key} captions: {count:,} pictures" for key, count in value.items())
        elif isinstance(value, dict):
            text = ", ".join(f"{key}: {count:,}" for key, count in value.items())
        else:
            text = f"{value:,}" if isinstance(value, int) else str(value)
        lines.append((name, text))
    return lines
