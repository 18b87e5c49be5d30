#!/bin/sh
# One seed of every method on digits201, then the leaderboard and the tables of papers, without a network. Arguments go to
# `run`: --seeds 3, for example. OUT is where all of it goes, by default runs/field.
set -eu
cd "$(dirname "$0")/.."
out=${OUT:-runs/field}
sh scripts/run.sh run --benchmark digits201 --strategy '*' --seeds 1 --set sample=4000 --out "$out" "$@"
.venv/bin/python run_bench.py leaderboard "$out" --benchmark digits201 --out "$out/leaderboard"
.venv/bin/python run_bench.py tables "$out" --out "$out/tables"
.venv/bin/python run_bench.py tables "$out" --check
