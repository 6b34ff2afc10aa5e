"""What the rooms' command lines share: progress and complaints on standard error, and bad input that ends in one line and exit status 2."""

import re
import sys

# STOPPED is EX_TEMPFAIL, which schedulers take for "run it again"; INTERRUPTED the shells' own.
FINISHED, BAD_INPUT, STOPPED, INTERRUPTED = 0, 2, 75, 130

# tyro's words, and those of Python that it passes on, for people who do not program.
PLAINER = (
    (r"^Missing from python -m [\w ]+: ", "what is missing: "),
    (r" \(required\)", ""),
    (r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.+)", r"\1 \2 must be a whole number"),
    (r"Error parsing (\S+): no type matching \{None\}\|INT could be instantiated from \[(.+)\]\.", r"\1 \2 must be a whole number"),
    (r"Error parsing (\S+): no type matching \{None\}\|FLOAT could be instantiated from \[(.+)\]\.", r"\1 \2 must be a number"),
    (r"Error parsing (\S+): could not convert string to float: (.+)", r"\1 \2 must be a number"),
)


def say(line: str) -> None:
    """What is being done goes to standard error, so that standard output holds the result alone."""
    print(line, file=sys.stderr, flush=True)


def fail(message: str) -> int:
    """Says what was wrong with the input, in one line; returns the exit status."""
    say(f"error: {' '.join(message.split())}")
    return BAD_INPUT


def duration(seconds: float) -> str:
    """Seconds as people say them: 0.25 s, 45 s, 12 min, 3.4 h."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def one_line(box: str) -> str:
    """The message inside the box that tyro draws around a complaint, from its title to the next rule; where the output takes no such letters, the box is of dashes."""
    said = []
    for line in box.splitlines()[1:]:
        text = line.strip("│ ")
        if not text or set(text) <= set("─╰╯┄-"):
            if said:
                break
            continue  # the rule below a title in dashes
        said.append(text)
    text = " ".join(said)
    for pattern, plain in PLAINER:
        text = re.sub(pattern, plain, text)
    return f"{text} (--help lists the options)"
