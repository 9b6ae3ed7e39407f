#!/usr/bin/env bash
# Train checkpoints/photos.safetensors again: encoders cut down, network, OUTPUT/photos.safetensors.
#   bash scripts/train_photos.sh DATA VIT MINILM [OUTPUT [more flags]]      # output/photos; an hour and a half on one CPU core
# DATA: captioned photographs (docs/DATA.md); VIT: a file of timm's vit_small_patch14_dinov2; MINILM: the folder of
# all-MiniLM-L6-v2, in Hugging Face's layout. Started again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -lt 3 ]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
. scripts/environment.sh
environment requirements.txt
data=$1 output=${4:-output/photos}
image=$output/encoders/image.safetensors text=$output/encoders/text
[ -e "$image" ] || python scripts/compact_encoders.py image "$2" --layers 8 --patch 8 --output "$image"
[ -e "$text" ] || python scripts/compact_encoders.py text "$3" --layers 4 --vocabulary 8192 --output "$text" \
    --captions "$data/cap-img-pairs_train.json"
python run_colorization.py --config configs/photos.yaml --data_path "$data" --output_dir "$output" --auto_resume \
    --image_encoder_weights "$image" --text_encoder_weights "$text" "${@:5}"
python scripts/export.py "$output/checkpoint-last.pth" "$output/photos.safetensors"
