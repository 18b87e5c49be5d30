#!/bin/sh
# Set up what is needed, then do what `python run_bench.py` does with the same arguments; without any, the main job.
set -eu
here=$(dirname "$0")
sh "$here/venv.sh"
exec "$here/../.venv/bin/python" "$here/../run_bench.py" "$@"
