"""Draw the training curves of one or more runs from their log.jsonl: PSNR on val beside ab = 0, the chroma loss, and of
runs on scenes the instance colour accuracy on val, under captions and (dotted) counter captions.

python scripts/plot_log.py output/small/log.jsonl --output curves.png
"""

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.errors import InputError
from utils.text_files import read_json_lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", help="log.jsonl of a run; its folder's name is the legend")
    parser.add_argument("--output", type=Path, required=True, help="picture to write")
    args = parser.parse_args()

    try:
        runs = {log: [line for _, line in read_json_lines(log, "pass the log.jsonl of a run")] for log in args.logs}
    except InputError as error:
        print(f"plot_log.py: {error}", file=sys.stderr)
        return 2
    on_scenes = any("instances" in lines[0]["val"] for lines in runs.values())
    figure, axes = plt.subplots(1, 2 + on_scenes, figsize=(9 + 4.5 * on_scenes, 3.4), layout="constrained")
    left, right, *third = axes
    for log, lines in runs.items():
        steps, name = [line["step"] for line in lines], log.resolve().parent.name
        (curve,) = left.plot(steps, [line["val"]["model"]["psnr"] for line in lines], marker=".", label=name)
        nothing = [line["val"]["gray"]["psnr"] for line in lines]
        left.plot(steps, nothing, linestyle="--", color=curve.get_color(), label=f"{name}: ab = 0")
        right.plot(steps, [line["train"]["chroma"] for line in lines], marker=".", label=name)
        if "instances" in lines[0]["val"]:
            for key, style in (("accuracy", "-"), ("counter_accuracy", ":")):
                means = [100 * line["val"]["instances"][key]["mean"] for line in lines]
                third[0].plot(steps, means, style, marker=".", color=curve.get_color(), label=f"{name}: {key}")
    for axis in third:
        axis.set(xlabel="update", ylabel="instance colour accuracy on val, %", ylim=(0, 100))
        axis.legend(frameon=False, fontsize=8)
    left.set(xlabel="update", ylabel="PSNR on val, dB")
    right.set(xlabel="update", ylabel="chroma loss in training")
    left.legend(frameon=False, fontsize=8)
    figure.savefig(args.output, dpi=110)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
