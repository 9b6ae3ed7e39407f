#!/usr/bin/env bash
# Train checkpoints/photos.safetensors again: encoders cut down, five rounds of the network, OUTPUT/photos.safetensors.
#   bash scripts/checkpoints/train_photos.sh DATA PHOTOS BOXES VIT MINILM [OUTPUT [more flags]]      # output/photos
# DATA: captioned photographs and their boxes_train.json (docs/DATA.md); PHOTOS: a folder of photographs without captions;
# BOXES: a detector's, of these; VIT: a file of timm's vit_small_patch14_dinov2; MINILM: the folder of all-MiniLM-L6-v2, in
# Hugging Face's layout. About nine hours on two CPU cores, most of it the first round, which a GPU does in minutes.
# Started again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -lt 5 ]; then
    sed -n '2,7s/^# //p' "$0" >&2
    exit 2
fi
. scripts/environment.sh
environment requirements.txt
data=$1 photos=$2 boxes=$3 output=${6:-output/photos}
image=$output/encoders/image.safetensors text=$output/encoders/text
[ -e "$image" ] || python scripts/checkpoints/compact_encoders.py image "$4" --layers 8 --patch 8 --output "$image"
[ -e "$text" ] || python scripts/checkpoints/compact_encoders.py text "$5" --layers 4 --vocabulary 8192 --output "$text" \
    --captions "$data/cap-img-pairs_train.json"
python run_colorization.py --config configs/lcoins/photos.yaml --data_path "$data" --uncaptioned "$photos" --auto_resume \
    --output_dir "$output/first" --image_encoder_weights "$image" --text_encoder_weights "$text" "${@:7}"
longer() { # its name, the name of the round before, its data folder, more flags
    python run_colorization.py --config configs/lcoins/photos_longer.yaml --data_path "$output/$3" --auto_resume \
        --output_dir "$output/$1" --finetune "$output/$2/checkpoint-last.pth" "${@:4}"
}
python scripts/checkpoints/colored_pairs.py "$data" "$output/colored"
longer second first colored "${@:7}"
longer third second colored --input_size 112 --epochs 2 --lr 2e-4 --seed 3 "${@:7}"
# Captions of ours for all photographs, from their boxes, short ones and long ones of several things
python scripts/caption_objects.py "$output/objects" --images "$photos" --boxes "$boxes" --val 400 --val_names "coco_*"
python scripts/caption_objects.py "$output/named" --images "$data/train" --boxes "$data/boxes_train.json"
python scripts/checkpoints/colored_pairs.py "$data" "$output/objects" "$output/named" "$output/all" --join
python scripts/checkpoints/colored_pairs.py "$data" "$output/objects" "$output/most" --join
mixed=(--uncaptioned "$output/objects/uncaptioned" --epochs 1 --batch_size 32 --warmup_epochs 0.02 --caption_dropout 0.15)
longer fourth third all "${mixed[@]}" --input_size 64 --lr 3e-4 --seed 11 "${@:7}"
longer fifth fourth most "${mixed[@]}" --input_size 112 --lr 2e-4 --seed 12 "${@:7}"
python scripts/export.py "$output/fifth/checkpoint-last.pth" "$output/photos.safetensors" --chroma_scale 1.09
