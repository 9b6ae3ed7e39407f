#!/usr/bin/env bash
# Train the small L-CAD on generated scenes, its four stages: OUTPUT/lcad.safetensors. No data needed.
#   bash scripts/checkpoints/train_lcad.sh [OUTPUT [more flags]]      # output/lcad_scenes
# The text is read by the encoder of checkpoints/scenes.safetensors. Started again, it goes on where it stopped.
# PROCESSES (2): one for each core, which is faster than one with a thread on each; 1, 2, 4, 8 or 16.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/environment.sh
environment requirements.txt
output=${1:-output/lcad_scenes}
processes=${PROCESSES:-2}
case $processes in
    1 | 2 | 4 | 8 | 16) ;;
    *)
        echo "PROCESSES=$processes: does not divide the 16 pictures of an update; pass 1, 2, 4, 8 or 16" >&2
        exit 1
        ;;
esac
stage() { # its name, pictures an update, and how it starts
    OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} torchrun --standalone --nproc_per_node="$processes" run_colorization.py \
        --config "configs/lcad/scenes_$1.yaml" --output_dir "$output/$1" --auto_resume --save_every 200 \
        --batch_size $(($2 / processes)) "${@:3}"
}
after() { # its name, pictures an update, and the stage before
    stage "$1" "$2" --finetune "$output/$3/checkpoint-last.pth" "${@:4}"
}
stage autoencoder 16 "${@:2}"
after prior 32 autoencoder "${@:2}"
after compression 16 prior "${@:2}"
after latent 32 compression "${@:2}"
python scripts/export.py "$output/latent/checkpoint-last.pth" "$output/lcad.safetensors"
