"""The trainers from the command line: python -m trainers COMMAND; --help lists them."""

import sys

from trainers.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
