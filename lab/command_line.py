"""What the rooms' command lines share: progress and complaints on standard error, and bad input that ends in one line and exit status 2."""

import sys

FINISHED, BAD_INPUT, INTERRUPTED = 0, 2, 130  # the last is the shells' own


def say(line: str) -> None:
    """What is being done goes to standard error, so that standard output holds the result alone."""
    print(line, file=sys.stderr, flush=True)


def fail(message: str) -> int:
    """Says what was wrong with the input, in one line; returns the exit status."""
    say(f"error: {' '.join(message.split())}")
    return BAD_INPUT


def one_line(box: str) -> str:
    """The message inside the box that tyro draws around a complaint, up to its first rule."""
    said = []
    for line in box.splitlines()[1:]:
        text = line.strip("│ ")
        if not text or set(text) <= {"─", "╰", "╯", "┄"}:
            break
        said.append(text)
    return " ".join(said) + " (--help lists the options)"
