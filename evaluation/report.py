"""Pictures, tables and the page of a test on photographs.  H, W image side. Images are uint8 RGB arrays."""

import html
import itertools
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from datasets.pictures.drawing import GAP, captioned_grid, group_map, strip
from evaluation import fid, tables
from evaluation.measure import IN_BOXES, LUMINANCE
from evaluation.protocol import PAINTED, Colorized
from utils import files

PANELS = ("gray", "result", "truth", "groups")
STRIPS = "index_files"  # the page's pictures; the results themselves lie in the output folder
WAITING = 16  # pictures that may wait for each core to be written: they hold memory
SHEET_SIDE = 160  # pixels that a panel of TensorBoard's sheet is wide at least

_TITLES = {
    "model": "this model",
    PAINTED: "its own picture, luminance and all",
    "gray": "ab = 0 (doing nothing)",
    "ceiling": "ceiling (Lab round trip)",
    "truth": "the truth",
}
_COLUMNS = {  # metric: heading, digits
    "psnr": ("PSNR, dB", 3),
    "ssim": ("SSIM", 5),
    "lpips": ("LPIPS", 4),
    "fid": ("FID", 2),
    "ciede2000": ("CIEDE2000", 3),
    "chroma_error": ("ab error", 3),
    IN_BOXES: ("in boxes", 3),  # shown where it was measured
    LUMINANCE: ("PSNR of L, dB", 2),  # the same
    "colorfulness": ("colourful", 2),
    "colorfulness_absolute": ("(absolute)", 2),
}
_SUBSETS = {"chromatic": "a chromatic word", "two_or_more_colors": "two or more colours"}


def output_names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """A PNG name for each (image name, caption) pair: `dog.jpg` -> `dog.png`, and `dog_0.png`, `dog_1.png`, ... where
    the image has several captions. Names that would meet another (`dog.jpg` beside `dog.png`) keep their own ending:
    `dog.jpg.png`. Sub-folders stay.
    """
    captions = Counter(name for name, _ in pairs)
    for keep_ending in (False, True):
        seen: Counter[str] = Counter()
        names = []
        for name, _ in pairs:
            stem = name if keep_ending else str(PurePosixPath(name).with_suffix(""))
            names.append(f"{stem}_{seen[name]}.png" if captions[name] > 1 else f"{stem}.png")
            seen[name] += 1
        if len({name.lower() for name in names}) == len(names):  # some file systems ignore case
            return names
    place = len(str(len(pairs)))
    return [f"{name}_{index:0{place}}.png" for index, (name, _) in enumerate(pairs)]


class Sheet:
    """Keeps the first pictures of an evaluation, for TensorBoard."""

    def __init__(self, limit: int = 8) -> None:
        self.limit = limit
        self.rows: list[list[tuple[np.ndarray, str]]] = []

    def add(self, colorized: Colorized) -> None:
        room = self.limit - len(self.rows)
        for panels, caption in list(zip(_panels(colorized), colorized.captions, strict=True))[:room]:
            words = (caption if name == "result" else name for name in PANELS[: len(panels)])
            self.rows.append(list(zip(panels, words, strict=True)))

    def draw(self) -> np.ndarray:
        """A row for each, the caption below the result."""
        return captioned_grid(self.rows, scale=max(1, SHEET_SIDE // self.rows[0][0][0].shape[1]))


class PictureSaver:
    """Writes the pictures of evaluated pairs while the evaluation goes on: packing one takes a core longer than a GPU
    takes to colour it. A context manager: at its end all pictures are there, or the first error is raised."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """names: of `output_names`."""
        self.folder, self.names = folder, names
        self.cores = os.cpu_count() or 1
        self.pool = ThreadPoolExecutor(self.cores)
        self.begun: deque[Future[None]] = deque()

    def __call__(self, colorized: Colorized) -> None:
        for panels, index in zip(_panels(colorized), colorized.indices, strict=True):
            self.begun.append(self.pool.submit(save_pictures, self.folder, self.names[index], *panels))
        self._wait(at_most=WAITING * self.cores)

    def _wait(self, at_most: int) -> None:
        while len(self.begun) > at_most:
            self.begun.popleft().result()

    def __enter__(self) -> "PictureSaver":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if kind is None:
                self._wait(at_most=0)
        finally:
            self.pool.shutdown(cancel_futures=True)


def _panels(colorized: Colorized) -> Iterator[tuple[np.ndarray, ...]]:
    """Per image: those of PANELS, each (H, W, 3) uint8; no groups where the system has none."""
    images = (colorized.gray, colorized.predicted, colorized.truth)
    stacks = [image.permute(0, 2, 3, 1).cpu().numpy() for image in images]
    for gray, result, truth, regions in zip(*stacks, colorized.regions.float().cpu().numpy(), strict=True):
        yield gray, result, truth, *([group_map(regions, gray)] if len(regions) else [])


def save_pictures(folder: Path, name: str, *panels: np.ndarray) -> None:
    """The result as `folder/name`, and the page's strip of all. panels: those of PANELS, or without the last."""
    path, side_by_side = folder / name, _strip_path(folder, name)
    for parent in (path.parent, side_by_side.parent):
        parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(panels[PANELS.index("result")]).save(path)
    Image.fromarray(strip(panels)).save(side_by_side, quality=90)


def strip_panels(folder: Path, name: str) -> dict[str, np.ndarray]:
    """The pictures that `save_pictures` put side by side, by their names of PANELS."""
    joined = np.asarray(Image.open(_strip_path(folder, name)))
    with Image.open(folder / name) as result:
        width = result.width
    return {
        panel: joined[:, left : left + width]
        for panel, left in zip(PANELS, range(0, joined.shape[1], width + GAP), strict=False)  # may have no groups
    }


def _strip_path(folder: Path, name: str) -> Path:
    return (folder / STRIPS / name).with_suffix(".jpg")


def save_tables(
    folder: Path,
    rows: list[dict[str, Any]],
    names: list[str],
    summary: dict[str, Any],
    more: Sequence[list[tables.Row]] = (),
) -> None:
    """metrics.json, per_image.csv and index.html. `rows` and `names` are in file order, one per pair, their pictures
    saved; more: tables for the page, below its own."""
    files.write_json(folder / "metrics.json", summary)
    columns = dict.fromkeys(["index", "name", "output", "caption", *itertools.chain.from_iterable(rows)])
    tables.write_csv(
        folder / "per_image.csv", [row | {"output": name} for row, name in zip(rows, names, strict=True)], columns
    )
    title = f"Test on {summary['count']} image-caption pairs"
    lines = [_summary_rows(summary), *([subset_rows(summary["subsets"])] if "subsets" in summary else []), *more]
    first, *others = map(tables.markup, lines)
    figures = "".join(_figure(row, name) for row, name in zip(rows, names, strict=True))
    heads = tables.strip_heads(list(strip_panels(folder, names[0])))
    body = f"<h1>{title}</h1>{first}<p>{html.escape(fid.note(summary))}</p>{''.join(others)}"
    (folder / "index.html").write_text(tables.page(title, f"{body}{heads}{figures}"), encoding="utf-8")


def table(summary: dict[str, Any]) -> str:
    """Of `evaluation.measure.means`, as lines of text."""
    return "\n".join(filter(None, [tables.text(_summary_rows(summary)), fid.note(summary)]))


def subset_table(subsets: dict[str, dict[str, Any]]) -> str:
    """Of `evaluation.measure.summarize_subsets`, as lines of text."""
    return tables.text(subset_rows(subsets))


def _summary_rows(summary: dict[str, Any]) -> list[tables.Row]:
    held = set().union(*(summary[row] for row in _TITLES if row in summary)) | set(_COLUMNS) - {IN_BOXES, LUMINANCE}
    columns = {name: column for name, column in _COLUMNS.items() if name in held}
    lines = [("", [heading for heading, _ in columns.values()])]
    for row, title in ((row, title) for row, title in _TITLES.items() if row in summary):
        cells = [tables.number(summary[row].get(metric), digits) for metric, (_, digits) in columns.items()]
        lines.append((title, cells))
    return lines


def level_table(summaries: dict[str, dict[str, Any]]) -> str:
    """Of the summaries at several levels of description, as lines of text."""
    metrics = [metric for metric in _COLUMNS if metric not in (IN_BOXES, LUMINANCE)]
    lines = [("descriptions", ["pairs", *(_COLUMNS[metric][0] for metric in metrics)])]
    for level, summary in summaries.items():
        for row in ("model", PAINTED):
            if row in summary:
                cells = [tables.number(summary[row][metric], _COLUMNS[metric][1]) for metric in metrics]
                title = level if row == "model" else f"{level}, {_TITLES[row]}"
                lines.append((title, [str(summary["count"]), *cells]))
    return tables.text(lines)


def subset_rows(subsets: dict[str, dict[str, Any]]) -> list[tables.Row]:
    lines = [("captions with", ["pairs", "PSNR", "of ab = 0", "SSIM", "LPIPS", "CIEDE2000"])]
    for name, summary in subsets.items():
        wanted = (("model", "psnr"), ("gray", "psnr"), ("model", "ssim"), ("model", "lpips"), ("model", "ciede2000"))
        cells = [tables.number(summary[row][metric], _COLUMNS[metric][1]) for row, metric in wanted]
        lines.append((_SUBSETS.get(name, name), [str(summary["count"]), *cells]))
    return lines


def _figure(row: dict[str, Any], name: str) -> str:
    source = quote(_strip_path(Path(), name).as_posix())
    figures = f"{row['model_psnr']:.2f} dB, SSIM {row['model_ssim']:.4f}"
    if "model_lpips" in row:
        figures += f", LPIPS {row['model_lpips']:.3f}"
    caption = f"{html.escape(row['caption'])}<br><small>{html.escape(row['name'])}: {figures}</small>"
    return f'<figure><img loading="lazy" src="{source}" alt=""><figcaption>{caption}</figcaption></figure>\n'
