#!/usr/bin/env bash
# Train the small L-CAD on generated scenes, its four stages and the last again: OUTPUT/lcad.safetensors. No data needed.
#   bash scripts/checkpoints/train_lcad.sh [OUTPUT [more flags]]      # output/lcad_scenes
# The text is read by the encoder of checkpoints/scenes.safetensors. Started again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/environment.sh
environment requirements.txt
output=${1:-output/lcad_scenes}
stage() { # its name, and how it starts
    python run_colorization.py --config "configs/lcad/scenes_$1.yaml" --output_dir "$output/$1" --auto_resume \
        --save_every 200 "${@:2}"
}
after() { # its name, and that of the stage before
    stage "$1" --finetune "$output/$2/checkpoint-last.pth" "${@:3}"
}
stage autoencoder "${@:2}"
after prior autoencoder "${@:2}"
after compression prior "${@:2}"
after latent compression "${@:2}"
python run_colorization.py --config configs/lcad/scenes_latent.yaml --output_dir "$output/longer" --auto_resume --save_every 200 \
    --finetune "$output/latent/checkpoint-last.pth" --epochs 4 --scene_curriculum 0 --seed 1 "${@:2}"
python scripts/export.py "$output/longer/checkpoint-last.pth" "$output/lcad.safetensors"
