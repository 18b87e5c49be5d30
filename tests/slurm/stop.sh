#!/bin/sh
# Stop what start.sh started.
for name in slurmd slurmctld munged; do
    if [ -f "$1/$name.pid" ]; then
        kill "$(cat "$1/$name.pid")" 2>/dev/null || true
    fi
done
