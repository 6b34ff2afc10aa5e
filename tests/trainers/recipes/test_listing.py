"""`recipes`: the presets, a line each."""

import json

import pytest

from trainers.cli import main
from trainers.commands.recipes import listed, table
from trainers.networks import parameters
from trainers.planning import meta_network
from trainers.recipes import by_name, presets


def test_every_preset_has_a_line_with_its_parts_and_the_size_of_its_network():
    found = listed()
    lines = table(found).splitlines()
    assert [line.split()[0] for line in lines] == ["recipe", *presets()]
    for row, line in zip(found, lines[1:], strict=True):
        recipe = by_name(row["recipe"])
        for part in (recipe.data.reader, recipe.prior.kind, recipe.coupling.kind, recipe.path.kind, recipe.loss.target):
            assert part in line
    sizes = {row["recipe"]: row["parameters"] for row in found}
    assert sizes["digits-condot"] == parameters(meta_network(by_name("digits-condot"), (1, 8, 8), 10))
    assert sizes["cpd-imagenet64"] == parameters(meta_network(by_name("cpd-imagenet64"), (4, 8, 8), 1000))
    assert sizes["cpd-coco"] == parameters(meta_network(by_name("cpd-coco"), (4, 32, 32), text_width=512))
    assert len(set(lines)) == len(lines)


def test_words_choose(capsys: pytest.CaptureFixture[str]):
    assert main(["recipes", "EMOJI", "loom", "class", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["recipe"] for row in found] == ["emoji-loom", "emoji-class-loom"]
    assert "LOOM-CFM" in found[0]["about"]
    assert main(["recipes", "nonsense"]) == 2
    assert "none of the" in capsys.readouterr().err
