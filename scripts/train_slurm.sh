#!/usr/bin/env bash
# Train on several machines under SLURM: one torchrun on each, one process for each of its GPUs.
#   sbatch --nodes=2 --gpus-per-node=4 --cpus-per-task=32 scripts/train_slurm.sh configs/lcoins/paper.yaml DATA output/lcoins
# More flags may follow. All machines must see the three paths; --cpus-per-task counts the cores of each for its loaders.
# Ten minutes before its time is over the job saves, ends and queues itself again, to go on from there.
#SBATCH --job-name=lcoins
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
cd "${SLURM_SUBMIT_DIR:-.}"  # SLURM runs a copy of this file from elsewhere
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=${hosts%%$'\n'*}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-540}  # else torchrun allows 30 seconds to save
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then
    export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # srun does not take it over from sbatch
fi
srun --kill-on-bad-exit=1 torchrun \
    --nnodes="$SLURM_NNODES" --nproc_per_node="${SLURM_GPUS_ON_NODE:-1}" --rdzv_id="$SLURM_JOB_ID" \
    --rdzv_backend=c10d --rdzv_endpoint="$first:${RENDEZVOUS_PORT:-29500}" \
    run_colorization.py --config "$1" --data_path "$2" --output_dir "$3" --auto_resume --dist_eval "${@:4}" &
step=$!
ending=
trap 'ending=1; kill -TERM "$step"' TERM
status=0
wait "$step" || status=$?
if [ -n "$ending" ]; then
    wait "$step" || true  # the first wait ended with the signal, not with the step
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
