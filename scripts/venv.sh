#!/bin/sh
# Make .venv from requirements.lock, or reuse the one that was made from the same lock. Needs python3 (3.11 or newer).
set -eu
cd "$(dirname "$0")/.."
wanted=$(cat requirements.lock pyproject.toml | cksum)
if [ "$(cat .venv/made-from 2>/dev/null)" != "$wanted" ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "scripts/venv.sh: Python 3.11 or newer is needed, python3 is $(python3 --version 2>&1)" >&2
        exit 2
    }
    echo "making .venv (once; PyTorch is large)" >&2
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
    echo "$wanted" >.venv/made-from
fi
