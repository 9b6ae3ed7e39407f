#!/usr/bin/env bash
# Colour photographs under changed sentences with the photographs checkpoint of this repository; test the scenes checkpoint
# on its four splits; train the small model on photographs that come with scikit-image, and test it on them. It says first
# what it does and how long that takes, and last what to open. Nothing is downloaded but the requirements.
#   bash scripts/demo.sh [output folder]
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-output/demo}
cat <<EOF
On two CPU cores, once the environment is made (the first time, some minutes of downloads), this takes about six minutes:
  1. two photographs under three sentences each, by checkpoints/photos.safetensors       half a minute
  2. checkpoints/scenes.safetensors tested on 2,000 generated scenes                     one minute
  3. the small model trained from nothing on three photographs in twelve colourings      four minutes
  4. the same tested: each photograph in gray under four sentences                       half a minute
Everything is written to $output.
EOF
. scripts/environment.sh
environment requirements.txt
part() { printf '\n== %s\n' "$*"; }

part "1 of 4: photographs"
python scripts/colorize.py webapp/examples/camera.jpg --output "$output/photos" --existing overwrite --captions-variants \
    "a man with a camera on green grass under a blue sky" "a man with a camera on brown grass under a pink sky" \
    "a man in a red coat with a camera"
python scripts/colorize.py webapp/examples/astronaut.jpg --output "$output/photos" --existing overwrite \
    --captions-variants "a smiling woman in an orange suit" "a smiling woman in a green suit" \
    "a woman in a blue suit in front of a red flag"
photos=$(cd "$output/photos" && pwd)
printf 'open now:\n  %s\n  %s\n' "$photos/camera_variants.png" "$photos/astronaut_variants.png"
part "2 of 4: scenes"
python run_colorization.py --config configs/lcoins/scenes.yaml --finetune checkpoints/scenes.safetensors --test \
    --output_dir "$output/scenes"
part "3 of 4: training"
python scripts/prepare_samples.py "$output/data"
python run_colorization.py --config configs/lcoins/demo.yaml --data_path "$output/data" --output_dir "$output"
part "4 of 4: test"
python run_colorization.py --config configs/lcoins/demo.yaml --data_path "$output/data" --output_dir "$output/test" \
    --finetune "$output/checkpoint-last.pth" --test
python scripts/contact_sheet.py "$output/test" --columns 4 --output "$output/sheet.png"

there=$(cd "$output" && pwd)
part "done; open these"
printf '  %-44s %s\n' "photographs under changed sentences" "$photos/camera_variants.png" \
    "" "$photos/astronaut_variants.png" \
    "generated scenes, with the tables" "$there/scenes/index.html" \
    "what the small model learnt" "$there/sheet.png" \
    "the same with its groups and figures" "$there/test/index.html"
