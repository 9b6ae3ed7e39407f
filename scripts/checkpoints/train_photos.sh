#!/usr/bin/env bash
# Train checkpoints/photos.safetensors again: encoders cut down, three rounds of the network, OUTPUT/photos.safetensors.
#   bash scripts/checkpoints/train_photos.sh DATA PHOTOS VIT MINILM [OUTPUT [more flags]]      # output/photos
# DATA: captioned photographs (docs/DATA.md); PHOTOS: a folder of photographs without captions; VIT: a file of timm's
# vit_small_patch14_dinov2; MINILM: the folder of all-MiniLM-L6-v2, in Hugging Face's layout. About seven hours on two CPU
# cores, most of it the first round, which a GPU does in minutes. Started again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -lt 4 ]; then
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
fi
. scripts/environment.sh
environment requirements.txt
data=$1 photos=$2 output=${5:-output/photos}
image=$output/encoders/image.safetensors text=$output/encoders/text
[ -e "$image" ] || python scripts/checkpoints/compact_encoders.py image "$3" --layers 8 --patch 8 --output "$image"
[ -e "$text" ] || python scripts/checkpoints/compact_encoders.py text "$4" --layers 4 --vocabulary 8192 --output "$text" \
    --captions "$data/cap-img-pairs_train.json"
python run_colorization.py --config configs/lcoins/photos.yaml --data_path "$data" --uncaptioned "$photos" --auto_resume \
    --output_dir "$output/first" --image_encoder_weights "$image" --text_encoder_weights "$text" "${@:6}"
python scripts/checkpoints/colored_pairs.py "$data" "$output/colored"
python run_colorization.py --config configs/lcoins/photos_longer.yaml --data_path "$output/colored" --auto_resume \
    --output_dir "$output/second" --finetune "$output/first/checkpoint-last.pth" "${@:6}"
python run_colorization.py --config configs/lcoins/photos_longer.yaml --data_path "$output/colored" --auto_resume \
    --output_dir "$output/third" --finetune "$output/second/checkpoint-last.pth" --input_size 112 --epochs 2 \
    --lr 2e-4 --seed 3 "${@:6}"
python scripts/export.py "$output/third/checkpoint-last.pth" "$output/photos.safetensors"
