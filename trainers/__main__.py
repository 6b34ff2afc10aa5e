"""The trainers from the command line: python -m trainers data | cache | prior | train | sample | pairs | evaluate | export | recipes | plan | jobs."""

import sys

from trainers.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
