"""What the command line says to whoever mistypes."""

import pytest

from trainers.cli import COMMANDS, main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trane"], ("command='trane' is unknown; did you mean 'train'?", *COMMANDS, "--help")),
        ([], ("Expected one of", "--help")),
        (["plan"], ("RECIPE", "python -m trainers recipes", "--help")),
        (["plan", "digits-condot", "--bogus", "3"], ("--bogus", "--help")),
        (["data"], ("PATH", "--help")),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_that_says_what_there_is(arguments: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    for word in words:
        assert word in said
