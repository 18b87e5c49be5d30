#!/bin/sh
# Set up what is needed, then check style and types and run the tests; arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
sh scripts/venv.sh
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
