#!/usr/bin/env bash
# Train a sweep on a Slurm allocation: sbatch --nodes=4 --gpus-per-node=4 slurm.sh <sweep.py[:argument]> <workdir>
#SBATCH --job-name=sweep
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@300
set -euo pipefail
sweep=$1
workdir=$2
source .venv/bin/activate   # Submit from the root of the checkout.

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}'):6379

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --node-ip-address="${address%:*}" --port=6379 --block &
sleep 15
for node in "${nodes[@]:1}"; do
  srun --overlap --nodes=1 --ntasks=1 --nodelist="$node" ray start --address="$address" --block &
done
sleep 15

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  python -m experiments.run --sweep="$sweep" --workdir="$workdir" --executor=ray --address="$address" --gpus=1
