#!/bin/sh
# Build the wheel, install it with its declared dependencies into a fresh environment, and run the default job there,
# from an empty folder: what a user of the package does. Arguments go to the program; without any it is the default job.
set -eu
cd "$(dirname "$0")/.."
lock=$PWD/requirements.lock
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$place" .
"$place/env/bin/pip" install --quiet --disable-pip-version-check --constraint "$lock" "$place"/*.whl
mkdir "$place/empty"
cd "$place/empty"
MNGNAS_BENCH_OFFLINE=1 "$place/env/bin/mngnas-bench" "$@"
