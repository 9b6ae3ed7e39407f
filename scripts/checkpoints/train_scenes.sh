#!/usr/bin/env bash
# Train checkpoints/scenes.safetensors again: encoders, then three rounds of the network. No data needed.
#   bash scripts/checkpoints/train_scenes.sh [OUTPUT [more flags]]      # output/scenes; four hours on two CPU cores
# Started again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/environment.sh
environment requirements.txt
output=${1:-output/scenes}
encoders=$output/encoders
python scripts/checkpoints/pretrain_encoders.py --output_dir "$encoders" --parts image_encoder.safetensors text_encoder
python run_colorization.py --config configs/lcoins/scenes.yaml --output_dir "$output/first" --auto_resume \
    --image_encoder_weights "$encoders/image_encoder.safetensors" --text_encoder_weights "$encoders/text_encoder" "${@:2}"
python run_colorization.py --config configs/lcoins/scenes_longer.yaml --output_dir "$output/second" --auto_resume \
    --finetune "$output/first/checkpoint-last.pth" "${@:2}"
python run_colorization.py --config configs/lcoins/scenes_longer.yaml --output_dir "$output/third" --auto_resume \
    --finetune "$output/second/checkpoint-last.pth" --epochs 2 --lr 5e-4 --seed 2 "${@:2}"
python scripts/export.py "$output/third/checkpoint-last.pth" "$output/scenes.safetensors"
