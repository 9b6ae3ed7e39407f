"""Table 1, ours: the full model and its four ablations, trained on generated scenes with equal steps and equal seeds.

    python scripts/table1.py --config configs/lcoins/scenes.yaml --output_dir output/table1 --seeds 0 1 2

It writes OUTPUT/table1.md and table1.csv. OUTPUT/<variant>/seed<k>/ is a training, scenes/ in it its test. Call it
again to go on after an interruption: what is tested is not done again. Flags after `--` go to every training and test.
Differs: the paper's Table 1 has PSNR, SSIM and LPIPS of photographs alone, which hardly tell whose colour is whose.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import run_colorization
from datasets.scenes import TEST_SPLITS
from evaluation.scene_report import FIGURES
from evaluation.statistics import bootstrap_difference
from evaluation.tables import interval, markdown, write_csv
from utils.errors import InputError, exit_status
from utils.files import write_text
from utils.text_files import read_table

VARIANTS = {
    "full": [],
    "wo_ge": ["--no-group_tokens"],
    "wo_ga": ["--no-grouping_attention"],
    "wo_la": ["--no-luminance_augmentation"],
    "wo_cl": ["--no-counter_color"],
}
NOTES = """In brackets: the 95 % bootstrap interval over whole scenes.
mixture: each instance in the mean of the caption's colours: knows which colours, but not whose. chance: any colour.
w/o GE has no groups: its ARI is "-". w/o CL leaves the grouping layer untrained, so its ARI means nothing: "-" too.
"""

Summaries = dict[str, dict[str, Any]]  # split -> `instances.summarize_instances`


@exit_status
def main(words: list[str] | None = None) -> None:
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="YAML of the full model; the ablations differ in one flag")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for runs and tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="every variant is trained once with each")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="all if not given")
    end = words.index("--") if "--" in words else len(words)
    asked, flags = parser.parse_args(words[:end]), words[end + 1 :]
    runs = {}
    for seed in asked.seeds:
        for variant in asked.variants:
            own = ["--config", asked.config, *flags, *VARIANTS[variant], "--seed", str(seed)]
            runs[variant, seed] = prepare(asked.output_dir / variant / f"seed{seed}", own)
    for folder, own in runs.values():
        train_and_test(folder, own)
    folders = {run: folder for run, (folder, _) in runs.items()}
    results = {run: read_summaries(run[0], folder) for run, folder in folders.items()}
    write_csv(asked.output_dir / "table1.csv", csv_rows(results))
    command = shlex.join(["python", "scripts/table1.py", *words])
    text = f"# Table 1, ours\n\n`{command}`\n\n{NOTES}\n{table(folders, results)}"
    write_text(asked.output_dir / "table1.md", text)
    print(f"{asked.output_dir / 'table1.md'}, table1.csv")


def prepare(folder: Path, flags: list[str]) -> tuple[Path, list[str]]:
    """The run, found fit before any is trained. InputError where its folder holds one of other flags."""
    args = run_colorization.parse([*flags, "--output_dir", str(folder)])
    if args.data_set != "scenes" or args.eval or args.test or args.resume:
        raise InputError(f"{shlex.join(flags)}: pass a training on --data_set scenes, without eval, test and resume")
    held, now = folder / "flags.txt", shlex.join(flags)
    if held.is_file() and held.read_text() != now:
        raise InputError(f"{held}: {held.read_text()} there, {now} now; pass the former, or another --output_dir")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(held, now)
    return folder, flags


def train_and_test(folder: Path, flags: list[str]) -> None:
    """Ends the program with the run's status where that is not 0."""
    tested = folder / "scenes"
    if (tested / "index.html").is_file():  # written last
        return
    start = ["--finetune", str(folder / "checkpoint-last.pth"), "--no-auto_resume", "--test"]
    for more in (["--output_dir", str(folder), "--auto_resume"], ["--output_dir", str(tested), *start]):
        print(f"run_colorization.py {shlex.join([*flags, *more])}", flush=True)
        if status := run_colorization.run([*flags, *more]):
            sys.exit(status)


def read_summaries(variant: str, folder: Path) -> Summaries:
    """No ARI where it means nothing."""
    summaries = json.loads((folder / "scenes" / "metrics.json").read_text())
    for summary in summaries.values() if variant == "wo_cl" else ():
        summary.update(ari=None, foreground_ari=None)
    return summaries


def csv_rows(results: dict[tuple[str, int], Summaries]) -> list[dict[str, Any]]:
    """One for each run and split."""
    lines, none = [], dict.fromkeys(("mean", "low", "high"), "")
    for (variant, seed), splits in results.items():
        for split, summary in splits.items():
            figures = {f"{key}_{part}": value for key in FIGURES for part, value in (summary[key] or none).items()}
            references = {f"reference_{name}": value for name, value in summary["references"].items()}
            lines.append({"variant": variant, "seed": seed, "split": split} | figures | references)
    return lines


def table(folders: dict[tuple[str, int], Path], results: dict[tuple[str, int], Summaries]) -> str:
    """A row for each split and run."""
    rows = [("", [*(heading for heading, *_ in FIGURES.values()), "accuracy, full less it"])]
    for split in TEST_SPLITS:
        for (variant, seed), summaries in results.items():
            cells = [interval(summaries[split][key], *look) for key, (_, *look) in FIGURES.items()]
            full = None if variant == "full" else folders.get(("full", seed))
            cells.append("-" if full is None else difference(full, folders[variant, seed], split))
            rows.append((f"{split}: {variant}, seed {seed}", cells))
        for name in ("mixture", "chance"):
            accuracy = f"{100 * summaries[split]['references'][name]:.1f}"
            rows.append((f"{split}: {name}", [accuracy, *["-"] * len(FIGURES)]))
    return markdown(rows)


def difference(full: Path, other: Path, split: str) -> str:
    lists = [read_table(folder / "scenes" / "per_instance.csv", ("split",), "test again") for folder in (full, other)]
    a, b = ([row for row in rows if row["split"] == split] for rows in lists)
    correct = (torch.tensor([float(row["correct"] == "True") for row in rows]) for rows in (a, b))
    return interval(bootstrap_difference(*correct, torch.tensor([int(row["index"]) for row in a]))._asdict(), 100.0, 1)


if __name__ == "__main__":
    sys.exit(main())
