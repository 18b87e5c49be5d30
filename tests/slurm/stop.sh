#!/bin/sh
# Stop what start.sh started, jobs included.
export SLURM_CONF="$1/slurm.conf"
timeout 10 scancel --user="$(id -un)" 2>/dev/null
tries=0
while [ -n "$(timeout 5 squeue --noheader 2>/dev/null)" ] && [ "$tries" -lt 20 ]; do
    tries=$((tries + 1))
    sleep 0.5
done
for name in slurmd slurmctld munged; do
    if [ -f "$1/$name.pid" ]; then
        kill "$(cat "$1/$name.pid")" 2>/dev/null
    fi
done
exit 0
