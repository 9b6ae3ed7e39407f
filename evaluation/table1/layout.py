"""Table 1 as Markdown and CSV: as the paper prints it, with the paper's figures beside, and with ours."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from datasets.scenes import TEST_SPLITS
from evaluation.table1.results import PAIRED, PHOTOS, SCENES, SHARING, Figure, Figures, RowResult
from evaluation.tables import Row, interval, markdown, number

DATA_SETS = ("extended COCO-Stuff", "multi-instance")  # of the paper's Table 1
# row -> the paper's PSNR in dB, SSIM and LPIPS on either
PAPER = {
    "lbie": ((22.092, 0.85197, 0.265), (21.928, 0.85910, 0.260)),
    "ml2018": ((21.055, 0.85333, 0.282), (20.538, 0.84954, 0.294)),
    "xie2018": ((21.407, 0.84016, 0.298), (19.920, 0.81712, 0.321)),
    "lcode": ((24.965, 0.91657, 0.169), (23.955, 0.91283, 0.180)),
    "lcoder": ((25.504, 0.91963, 0.159), (24.257, 0.91302, 0.175)),
    "lcoins": ((25.511, 0.92104, 0.157), (24.823, 0.91717, 0.162)),
    "wo_ge": ((25.249, 0.91832, 0.163), (24.230, 0.90734, 0.173)),
    "wo_ga": ((25.373, 0.91913, 0.160), (24.576, 0.91261, 0.164)),
    "wo_la": ((25.475, 0.91965, 0.161), (24.382, 0.91435, 0.167)),
    "wo_cl": ((25.361, 0.91866, 0.158), (24.475, 0.91401, 0.163)),
}
INSTANCES = "instances"  # the split of scenes where one word names several
TITLES = {SCENES: "Generated scenes", PHOTOS: "Captioned photographs"}
_PRINTED = {"psnr": ("PSNR, dB", 3), "ssim": ("SSIM", 5), "lpips": ("LPIPS", 4)}
_OBEDIENCE = {  # figure -> heading, factor, digits
    "word_response": ("word response, right, %", 100.0, 1),
    "gain_over_empty": ("gain over no caption, dB", 1.0, 3),
    "gain_over_other": ("over another's", 1.0, 3),
    "gain_over_counter": ("over the counter caption", 1.0, 3),
    "colorfulness": ("colourfulness", 1.0, 1),
}
_DIFFERENCES = {"psnr": ("PSNR, dB", 1.0, 3), "ssim": ("SSIM", 1.0, 5), "lpips": ("LPIPS", 1.0, 4)}
_NOTES = """In brackets: the 95 % bootstrap interval, over whole scenes or over photographs. In lines of several seeds:
their mean, and in brackets the lowest and the highest of them."""
_SCENE_NOTES = """word guess: one of the colours that an instance's word has: knows whose word, but not which instance.
mixture: each instance in the mean of the caption's colours: knows which colours, but not whose.
chance: any colour."""


class Part(NamedTuple):
    """What is tabled of one kind of data."""

    kind: str
    tested: Sequence[RowResult]
    figures: Sequence[Figures]  # of each
    differences: Sequence[Figures | None]  # of each: the reference's, of the same seed, less it
    reference: str  # its title
    missing: Sequence[str]  # rows that are not there yet, in words


def document(command: str, parts: Sequence[Part]) -> str:
    """The whole Markdown file. command: what makes it again."""
    text = f"# Table 1\n\n`{command}`\n\n{_NOTES}\n"
    for part in parts:
        text += f"\n## {TITLES[part.kind]}\n"
        if part.missing:
            text += f"\nNot there yet: {', '.join(part.missing)}.\n"
        if part.tested:
            text += _scene_tables(part) if part.kind == SCENES else _photo_tables(part)
            text += f"\n### Cost\n\n{markdown(cost_rows(part))}"
    return text


def _scene_tables(part: Part) -> str:
    text = ""
    for title, name in (
        ("Instance accuracy, %", "accuracy"),
        ("The same under counter captions, %", "counter_accuracy"),
        ("Ground accuracy, %", "ground_accuracy"),
    ):
        keys = [((split, name), 100.0, 1) for split in TEST_SPLITS]
        rows = [("", list(TEST_SPLITS)), *_lines(part, part.figures, keys)]
        for reference in ("word_guess", "mixture", "chance") if name == "accuracy" else ():
            means = [part.figures[0].get((split, f"reference_{reference}")) for split in TEST_SPLITS]
            rows.append((reference.replace("_", " "), [_cell(mean, 100.0, 1) for mean in means]))
        text += f"\n### {title}\n\n{markdown(rows)}"
        if name in PAIRED[SCENES]:
            rows = [(f"{part.reference} less it", list(TEST_SPLITS)), *_lines(part, part.differences, keys)]
            text += f"\n{part.reference} less the row, paired, points:\n\n{markdown(rows)}"
    if rows := sharing_rows(part):
        text += f"\n### Accuracy on `{INSTANCES}` by the instances that a word names, %\n\n{markdown(rows)}"
    return f"\n{_SCENE_NOTES}\n{text}\n### As the paper prints it\n\n{markdown(printed_rows(part))}"


def sharing_rows(part: Part) -> list[Row]:
    """Can a row tell instances of one word apart? Nothing where no test tells."""
    names = {name for figures in part.figures for split, name in figures if split == INSTANCES}
    counts = sorted(int(name.removeprefix(SHARING)) for name in names if name.startswith(SHARING))
    keys = [((INSTANCES, f"{SHARING}{n}"), 100.0, 1) for n in counts]
    guess = ("word guess", [number(100 / n, 1) for n in counts])
    return [("", [str(n) for n in counts]), *_lines(part, part.figures, keys), guess] if counts else []


def _photo_tables(part: Part) -> str:
    keys = [(("", name), *look) for name, (_, *look) in _OBEDIENCE.items()]
    obeyed = [("", [heading for heading, *_ in _OBEDIENCE.values()]), *_lines(part, part.figures, keys)]
    keys = [(("", name), *look) for name, (_, *look) in _DIFFERENCES.items()]
    apart = [(f"{part.reference} less it", [heading for heading, *_ in _DIFFERENCES.values()])]
    apart += _lines(part, part.differences, keys)
    return (
        f"\n### As the paper prints it\n\n{markdown(printed_rows(part))}"
        f"\n### Do the words land?\n\n{markdown(obeyed)}"
        f"\n{part.reference} less the row, paired:\n\n{markdown(apart)}"
    )


def printed_rows(part: Part) -> list[Row]:
    """PSNR, SSIM and LPIPS, ours and the paper's. Of scenes the val split's, at the end of the training."""
    heads = [heading for heading, _ in _PRINTED.values()]
    ours = [f"{head} (val)" for head in heads] if part.kind == SCENES else heads
    rows = [("", [*ours, *(f"paper, {name}: {head}" for name in DATA_SETS for head in heads)])]
    figures = [_of_val(tested) for tested in part.tested] if part.kind == SCENES else part.figures
    keys = [(("", name), 1.0, digits) for name, (_, digits) in _PRINTED.items()]
    names = _line_rows(part)
    for (title, cells), row in zip(_lines(part, figures, keys), names, strict=True):
        rows.append((title, cells + _paper_cells(row)))
    if part.kind == PHOTOS:
        gray = [_cell(part.figures[0].get(("", f"gray_{name}")), 1.0, digits) for name, (_, digits) in _PRINTED.items()]
        rows.append(("ab = 0", [*gray, *["-"] * len(_PRINTED) * len(DATA_SETS)]))
    return rows


def _paper_cells(row: str) -> list[str]:
    nothing = (None,) * len(_PRINTED)
    published = PAPER.get(row, (nothing,) * len(DATA_SETS))
    digits = (3, 5, 3)  # as printed
    return [number(value, count) for own in published for value, count in zip(own, digits, strict=True)]


def _of_val(tested: RowResult) -> Figures:
    val = tested.training.get("val") or {}
    return {("", name): None if val.get(name) is None else {"mean": val[name]} for name in _PRINTED}


def cost_rows(part: Part) -> list[Row]:
    """parameters, operations and speed of colouring, and the training."""
    heads = [
        "parameters",
        "GFLOP an image",
        "images/s",
        "updates",
        "batch",
        "training, images/s",
        "hours",
        "starts from",
    ]
    rows = [("", heads)]
    for tested in part.tested:
        cost, training = tested.cost, tested.training
        rows.append(
            (
                _title(part, tested),
                [
                    _count(cost.get("parameters")),
                    number(cost.get("gflop"), 3),
                    number(cost.get("images_per_second"), 1),
                    _count(training.get("updates")),
                    _count(training.get("batch_size")),
                    number(training.get("images_per_second"), 1),
                    number(training.get("hours"), 2),
                    training.get("start") or "-",
                ],
            )
        )
    return rows


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


Key = tuple[tuple[str, str], float, int]  # of a figure, its factor, its digits


def _lines(part: Part, figures: Sequence[Figures | None], keys: Sequence[Key]) -> list[Row]:
    """A line for each run, and one for the seeds of a row together."""
    lines = []
    for place, tested in enumerate(part.tested):
        lines.append((_title(part, tested), [_cell((figures[place] or {}).get(key), *look) for key, *look in keys]))
        if group := _seeds_that_end(part, place):
            held = [[(figures[own] or {}).get(key) for own in group] for key, *_ in keys]
            cells = [_cell(_together(values), *look) for values, (_, *look) in zip(held, keys, strict=True)]
            lines.append((f"{tested.title}, {len(group)} seeds", cells))
    return lines


def _line_rows(part: Part) -> list[str]:
    """The row of each of `_lines`."""
    return [
        tested.row for place, tested in enumerate(part.tested) for _ in range(2 if _seeds_that_end(part, place) else 1)
    ]


def _seeds_that_end(part: Part, place: int) -> list[int]:
    """The places of a row's runs, where `place` is the last of several."""
    group = [own for own, tested in enumerate(part.tested) if tested.row == part.tested[place].row]
    return group if len(group) > 1 and place == group[-1] else []


def _together(values: Sequence[Figure | None]) -> Figure | None:
    means = [value["mean"] for value in values if value is not None]
    if len(means) < len(values):
        return None
    return {"mean": sum(means) / len(means), "low": min(means), "high": max(means)}


def _title(part: Part, tested: RowResult) -> str:
    seeds = {own.seed for own in part.tested}
    return tested.title if seeds == {0} else f"{tested.title}, seed {tested.seed}"


def _cell(figure: Figure | None, factor: float, digits: int) -> str:
    if figure is None or "low" in figure:
        return interval(figure, factor, digits)
    return number(figure["mean"] * factor, digits)


def csv_rows(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """One for each figure of each run. Differences are the reference's less the run's."""
    rows: list[dict[str, Any]] = []
    for part in parts:
        for tested, figures, apart in zip(part.tested, part.figures, part.differences, strict=True):
            head = {"data": part.kind, "row": tested.row, "seed": tested.seed}
            differences = {(split, f"difference_{name}"): value for (split, name), value in (apart or {}).items()}
            costs = {("", f"cost_{name}"): {"mean": value} for name, value in tested.cost.items() if _is_number(value)}
            costs |= {
                ("", f"training_{name}"): {"mean": value}
                for name, value in tested.training.items()
                if _is_number(value)
            }
            for (split, name), figure in (figures | differences | costs).items():
                if figure is not None:
                    rows.append(head | {"split": split, "figure": name} | figure)
    return rows


CSV_COLUMNS = ("data", "row", "seed", "split", "figure", "mean", "low", "high")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
