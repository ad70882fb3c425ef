#!/bin/bash
#SBATCH --job-name=varangian
#SBATCH --ntasks=9
#SBATCH --requeue
# A server (task 0) and a worker in every other task. RUN is the experiment file, n of which is the
# number of workers; TLS a folder of `varangian ca` with worker-0, worker-1 …; STATE a folder that
# all nodes see. A job that is requeued goes on.
set -euo pipefail
: "${RUN:?the experiment file}" "${TLS:?the folder of certificates}" "${STATE:?the folder for state}"
host=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export RUN TLS STATE host
srun --kill-on-bad-exit=0 bash -c '
    if [ "$SLURM_PROCID" = 0 ]; then
        exec varangian serve "$RUN" --tls "$TLS" --listen 0.0.0.0:7070 --out "$STATE/run" --log text
    fi
    worker=$((SLURM_PROCID - 1))
    exec varangian work --server "$host:7070" --tls "$TLS" --name "worker-$worker" \
        --state "$STATE/worker-$worker.state" --threads "${SLURM_CPUS_PER_TASK:-1}"
'
