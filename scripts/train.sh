#!/usr/bin/env bash
# Train on all GPUs of this machine, or on its CPUs in one process.
#   bash scripts/train.sh configs/lcoins/paper.yaml DATA output/lcoins [more flags]
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -lt 3 ]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
. scripts/environment.sh
environment requirements.txt
processes=$(python -c 'import torch; print(max(1, torch.cuda.device_count()))')
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # else a restarted process looks for the addresses of the dead
exec torchrun --standalone --nproc_per_node="$processes" --max_restarts=3 run_colorization.py \
    --config "$1" --data_path "$2" --output_dir "$3" --auto_resume "${@:4}"
