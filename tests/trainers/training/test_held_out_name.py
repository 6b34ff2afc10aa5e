"""A loss is called held-out only where its data are held out."""

from pathlib import Path

import pytest

from tests.trainers.training.small import loop_for, shrunk
from trainers.recipes import apply, by_name
from trainers.validation import held_out_name

TINY = shrunk(by_name("digits-condot"), **{"training.steps": 2, "training.checkpoint_every": 2})


@pytest.mark.parametrize(
    ("split", "said"), [("val", ", held-out loss "), ("train", ", loss of the average on the training data itself (nothing is held out) ")]
)
def test_where_nothing_is_held_out_the_loss_says_so(split: str, said: str, tmp_path: Path):
    loop, progress = loop_for(apply(TINY, {"data.held_out_split": split}), tmp_path, held_out=True)
    lines: list[str] = []
    loop.say = lines.append
    loop.train(progress)
    assert [said in line for line in lines] == [True]
    assert ("held-out" in lines[0]) == (split == "val")


def test_pairs_are_held_out_by_themselves():
    assert held_out_name(apply(by_name("digits-reflow"), {"data.held_out_split": "train"})) == "held-out loss"
