#!/usr/bin/env bash
# Make the environment; colour photographs under changed sentences with the photographs checkpoint of this repository;
# test the scenes checkpoint on its four splits (a minute); train the small model for a few minutes on photographs that
# come with scikit-image, and test it on them. Prints the tables, and where the pages and sheets are. Nothing is downloaded
# but the requirements.
#   bash scripts/demo.sh [output folder]
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-output/demo}
. scripts/environment.sh
environment requirements.txt
python scripts/colorize.py webapp/examples/camera.jpg --output "$output/photos" --existing overwrite --captions-variants \
    "a man with a camera on green grass under a blue sky" "a man with a camera on brown grass under a pink sky" \
    "a man in a red coat with a camera"
python scripts/colorize.py webapp/examples/astronaut.jpg --output "$output/photos" --existing overwrite \
    --captions-variants "a smiling woman in an orange suit" "a smiling woman in a green suit" \
    "a smiling woman in a blue suit"
python run_colorization.py --config configs/scenes.yaml --finetune checkpoints/scenes.safetensors --test \
    --output_dir "$output/scenes"
python scripts/prepare_samples.py "$output/data"
python run_colorization.py --config configs/demo.yaml --data_path "$output/data" --output_dir "$output"
python run_colorization.py --config configs/demo.yaml --data_path "$output/data" --output_dir "$output/test" \
    --finetune "$output/checkpoint-last.pth" --test
python scripts/contact_sheet.py "$output/test" --columns 4 --output "$output/sheet.png"
