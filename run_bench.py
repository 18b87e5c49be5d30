"""The door: `python run_bench.py` runs the default study; `python run_bench.py --help` says what else there is."""

import sys

from bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
