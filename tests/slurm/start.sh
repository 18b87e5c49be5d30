#!/bin/sh
# Start a SLURM of one node on this machine, without systemd and without touching an installed one: munged, slurmctld and
# slurmd with everything of theirs in DIR. Prints nothing; SLURM_CONF=DIR/slurm.conf is the way to it. Needs root, and
# Debian's packages slurm-wlm and munge.
#   sh tests/slurm/start.sh DIR        sh tests/slurm/stop.sh DIR
set -eu
dir=$1
host=$(hostname -s)
mkdir -p "$dir/state" "$dir/spool" "$dir/munge"
chmod 755 "$dir"
chmod 700 "$dir/munge"
dd if=/dev/urandom of="$dir/munge/key" bs=1024 count=1 2>/dev/null
chmod 600 "$dir/munge/key"
/usr/sbin/munged --force --key-file="$dir/munge/key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munge/seed" --num-threads=2
: >"$dir/cgroup.conf"
cat >"$dir/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURMCTLD_PORT:-26817}
SlurmdPort=${SLURMD_PORT:-26818}
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
JobRequeue=1
KillWait=2
MinJobAge=10
ReturnToService=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 RealMemory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) CPUs=${SLURM_TEST_CPUS:-2} State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
END
export SLURM_CONF="$dir/slurm.conf"
/usr/sbin/slurmctld -f "$dir/slurm.conf"
/usr/sbin/slurmd -f "$dir/slurm.conf"
tries=0
until sinfo --noheader --format=%T 2>/dev/null | grep -q idle; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ]; then
        echo "SLURM does not start: $(tail -n 3 "$dir/slurmctld.log" "$dir/slurmd.log" 2>/dev/null)" >&2
        exit 1
    fi
    sleep 0.5
done
