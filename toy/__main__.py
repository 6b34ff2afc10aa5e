"""The analytic world from the command line: python -m toy measure | figure. Options carry the names of scenes, links and pages."""

import sys

from toy.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
