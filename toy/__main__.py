"""The analytic world from the command line: python -m toy measure | figure | train. Options carry the names of scenes, links and pages."""

import gc
import sys

# Importing torch and POT makes objects by the hundred thousand and no garbage; looking for some takes a fourth of `measure`'s time. `main` turns it on for long work.
gc.disable()

from toy.commands import main  # noqa: E402

if __name__ == "__main__":
    status = main(sys.argv[1:])
    gc.freeze()  # nor is there any worth looking for at the end
    sys.exit(status)
