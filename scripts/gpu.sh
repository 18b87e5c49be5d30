#!/bin/sh
# All that only a GPU can show, in one go: its tests, its speed, and a full-size study. For a machine with CUDA.
#   sh scripts/gpu.sh [OUT]     OUT: the study's directory, default runs/gpu
set -eu
cd "$(dirname "$0")/.."
sh scripts/venv.sh
out=${1:-runs/gpu}
mkdir -p "$out"
.venv/bin/python -m pytest -m gpu
.venv/bin/python run_bench.py speed --device cuda | tee "$out/speed.md"
.venv/bin/python run_bench.py run --benchmark nb201 --dataset cifar10 --strategy fairnas --seeds 1 --preset gpu \
    --set training.passes=97750 --device cuda --out "$out/250-epochs"
