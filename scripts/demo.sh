#!/usr/bin/env bash
# Make the environment, train the small model for a few minutes on photographs that come with scikit-image, test it
# on them, print the table, and say where the page and the contact sheet are. Nothing is downloaded but the requirements.
#   bash scripts/demo.sh [output folder]
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-output/demo}
. scripts/environment.sh
environment requirements.txt
python scripts/prepare_samples.py "$output/data"
python run_colorization.py --config configs/demo.yaml --data_path "$output/data" --output_dir "$output"
python run_colorization.py --config configs/demo.yaml --data_path "$output/data" --output_dir "$output/test" \
    --finetune "$output/checkpoint-last.pth" --test
python scripts/contact_sheet.py "$output/test" --columns 4 --output "$output/sheet.png"
