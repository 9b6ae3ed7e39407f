#!/usr/bin/env bash
# Train the small InstColorization on photographs, its three stages, the first at 64 pixels before 112, the third twice:
# OUTPUT/instcolorization.safetensors.
#   bash scripts/checkpoints/train_instcolorization.sh DATA [OUTPUT [more flags]]      # output/inst
# DATA: train/ and val/ with photographs, and their boxes_{train,val}.json (scripts/detect_boxes.py). Started
# again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -lt 1 ]; then
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
fi
. scripts/environment.sh
environment requirements.txt
output=${2:-output/inst}
stage() { # its config, its name, and how it starts
    python run_colorization.py --config "configs/instcolorization/$1.yaml" --data_path "$data" --auto_resume \
        --save_every 100 --output_dir "$output/$2" "${@:3}"
}
data=$1
stage photos64 full64 "${@:3}"
stage photos full --finetune "$output/full64/checkpoint-last.pth" "${@:3}"
stage photos_instance instance --finetune "$output/full/checkpoint-last.pth" "${@:3}"
stage photos_fusion fusion --finetune "$output/instance/checkpoint-last.pth" "${@:3}"
stage photos_fusion fusion2 --finetune "$output/fusion/checkpoint-last.pth" --seed 1 "${@:3}"
python scripts/export.py "$output/fusion2/checkpoint-last.pth" "$output/instcolorization.safetensors"
