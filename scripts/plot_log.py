"""Draw the training curves of one or more runs from their log.jsonl: PSNR on val beside ab = 0, and the chroma loss.

python scripts/plot_log.py output/small/log.jsonl --output curves.png
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", help="log.jsonl of a run; its folder's name is the legend")
    parser.add_argument("--output", type=Path, required=True, help="picture to write")
    args = parser.parse_args()

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for log in args.logs:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        steps, name = [line["step"] for line in lines], log.resolve().parent.name
        (curve,) = left.plot(steps, [line["val"]["model"]["psnr"] for line in lines], marker=".", label=name)
        nothing = [line["val"]["gray"]["psnr"] for line in lines]
        left.plot(steps, nothing, linestyle="--", color=curve.get_color(), label=f"{name}: ab = 0")
        right.plot(steps, [line["train"]["chroma"] for line in lines], marker=".", label=name)
    left.set(xlabel="update", ylabel="PSNR on val, dB")
    right.set(xlabel="update", ylabel="chroma loss in training")
    left.legend(frameon=False, fontsize=8)
    figure.savefig(args.output, dpi=110)
    print(args.output)


if __name__ == "__main__":
    main()
