#!/bin/sh
#SBATCH --job-name=fcclf --nodes=4 --ntasks-per-node=1 --cpus-per-task=8 --time=01:00:00
#SBATCH --signal=TERM@60 --requeue
# Four nodes that run the same command line; Slurm's task number tells each which task it is. The first is the client.
PORT=2222
CLUSTER=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/\$/:$PORT/" | paste -sd,)
export CLUSTER
srun --kill-on-bad-exit=1 sh -c 'exec fcclf train table data.csv --shards 8 --cluster "$CLUSTER" \
    --task-index "$SLURM_PROCID" --expose --wait-for-workers 120'
