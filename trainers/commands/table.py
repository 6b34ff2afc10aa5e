"""python -m trainers table"""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """The table over all methods that `ship` has trained and scored: scores by evaluations with intervals over seeds, flow, time and compute, in Markdown."""

    scores: Path = Path("assets/scores")
    """Where `ship` keeps its scorecards."""
    out: Path | None = None
    """JSON file for the same, which the Compare page shows (assets/checkpoints/table.json); what it holds of data sets without scorecards stays."""
    json: bool = False
    """Print JSON."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.files import read_json, write_json
        from trainers.recipes.shipped import ALL
        from trainers.scoreboard import boards, markdown
        from trainers.scorecards import cards

        found = boards(cards(self.scores, tuple(ALL)))
        own = [board.summary() for board in found]
        before = read_json(self.out)["boards"] if self.out is not None and self.out.exists() else []
        kept = [board for board in before if board["base"] not in [each["base"] for each in own]]
        plain = {"version": 1, "boards": [*kept, *own]}
        print(json.dumps(plain) if self.json else "\n\n".join(markdown(board) for board in found))
        if self.out is not None:
            write_json(self.out, plain)
            say(f"written to {self.out}")
