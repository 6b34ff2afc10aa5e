"""How long `python -m toy measure` takes to answer, from a cold interpreter: `python -m tests.bench.command_line`."""

import subprocess
import sys
import time

from tests.faults import ROOT

BAR = 4.0  # seconds


def seconds(*arguments: str) -> float:
    """Wall time of one call of the command line."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "toy", *arguments], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    for arguments in (("measure",), ("measure", "--solver", "heun", "--nfe", "8", "--ladder"), ("measure", "--target", "digits")):
        found = sorted(seconds(*arguments) for _ in range(3))
        print(f"python -m toy {' '.join(arguments)}: best {found[0]:.2f} s, median {found[1]:.2f} s of 3 (bar for measure: {BAR:g} s)")


if __name__ == "__main__":
    main()
