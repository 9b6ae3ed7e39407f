"""Pictures and the page of a test.  H, W image side; N_G groups; N_I image tokens. Images are uint8 RGB arrays."""

import csv
import html
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from evaluation import fid, tables
from utils import files
from utils.drawing import GAP, captioned_strips, group_map, strip

PANELS = ("gray", "result", "truth", "groups")
STRIPS = "index_files"  # the page's pictures; the results themselves lie in the output folder
WAITING = 16  # pictures that may wait for each core to be written: they hold memory


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
        self.strips: list[np.ndarray] = []
        self.captions: list[str] = []

    def add(self, colorized: Any) -> None:
        """colorized: `evaluation.protocol.Colorized`."""
        for panels, caption in zip(_panels(colorized), colorized.captions, strict=True):
            if len(self.strips) == self.limit:
                return
            self.strips.append(strip(panels))
            self.captions.append(caption)

    def draw(self) -> np.ndarray:
        return captioned_strips(self.strips, self.captions, PANELS)


class PictureSaver:
    """Writes the pictures of evaluated pairs while the evaluation goes on: packing one takes a core longer than a GPU
    takes to colour it. A context manager: at its end all pictures are there, or the first error is raised."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """names: of `output_names`."""
        self.folder, self.names = folder, names
        self.cores = os.cpu_count() or 1
        self.pool = ThreadPoolExecutor(self.cores)
        self.begun: deque[Future[None]] = deque()

    def __call__(self, colorized: Any) -> None:
        """colorized: `evaluation.protocol.Colorized`."""
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


def _panels(colorized: Any) -> Iterator[tuple[np.ndarray, ...]]:
    """Per image: gray, result, truth, groups, each (H, W, 3) uint8."""
    images = (colorized.gray, colorized.predicted, colorized.truth)
    stacks = [image.permute(0, 2, 3, 1).cpu().numpy() for image in images]
    for gray, result, truth, assignment in zip(*stacks, colorized.assignment.float().cpu().numpy(), strict=True):
        yield gray, result, truth, group_map(assignment, gray)


def save_pictures(folder: Path, name: str, gray: np.ndarray, result: np.ndarray, truth: np.ndarray, groups: np.ndarray):
    """The result as `folder/name`, and the page's strip of all four."""
    path, side_by_side = folder / name, _strip_path(folder, name)
    for parent in (path.parent, side_by_side.parent):
        parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(result).save(path)
    Image.fromarray(strip([gray, result, truth, groups])).save(side_by_side, quality=90)


def strip_panels(folder: Path, name: str) -> list[np.ndarray]:
    """The pictures of PANELS that `save_pictures` put side by side."""
    joined = np.asarray(Image.open(_strip_path(folder, name)))
    width = (joined.shape[1] + GAP) // len(PANELS)
    return [joined[:, i * width : (i + 1) * width - GAP] for i in range(len(PANELS))]


def _strip_path(folder: Path, name: str) -> Path:
    return (folder / STRIPS / name).with_suffix(".jpg")


def save_tables(
    folder: Path,
    rows: list[dict[str, Any]],
    names: list[str],
    summary: dict[str, Any],
    more: Sequence[list[tables.Row]] = (),
) -> None:
    """metrics.json, per_image.csv and index.html. `rows` and `names` are in file order, one per pair; more: tables for
    the page, below its own."""
    files.write_json(folder / "metrics.json", summary)
    with (folder / "per_image.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["index", "name", "output", "caption", *_figure_names(rows)])
        writer.writeheader()
        writer.writerows(row | {"output": name} for row, name in zip(rows, names, strict=True))
    (folder / "index.html").write_text(_page(rows, names, summary, more), encoding="utf-8")


def _figure_names(rows: list[dict[str, Any]]) -> list[str]:
    return [key for key in rows[0] if key not in ("index", "name", "caption")]


def table(summary: dict[str, Any]) -> str:
    """The summary as lines of text."""
    return "\n".join(filter(None, [tables.text(tables.rows(summary)), fid.note(summary)]))


def subset_table(subsets: dict[str, dict[str, Any]]) -> str:
    """The subsets as lines of text."""
    return tables.text(tables.subset_rows(subsets))


def _page(
    rows: list[dict[str, Any]], names: list[str], summary: dict[str, Any], more: Sequence[list[tables.Row]]
) -> str:
    figures = "".join(_figure(row, name) for row, name in zip(rows, names, strict=True))
    heads = "".join(f"<span>{panel}</span>" for panel in PANELS)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>L-CoIns: {summary["count"]} pairs</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; margin: 1rem 0 2rem }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right }}
th {{ text-align: left; font-weight: 500 }}
figure {{ margin: 0 0 1.8rem }}
figure img {{ width: 100%; display: block; image-rendering: auto }}
figcaption small {{ color: #666 }}
.heads {{ display: flex; position: sticky; top: 0; background: #fffe; padding: .3rem 0 }}
.heads span {{ flex: 1; color: #666 }}
</style></head><body>
<h1>L-CoIns: {summary["count"]} image-caption pairs</h1>
{tables.markup(tables.rows(summary))}
<p>{html.escape(fid.note(summary))}</p>
{tables.markup(tables.subset_rows(summary["subsets"])) if "subsets" in summary else ""}
{"".join(map(tables.markup, more))}
<div class="heads">{heads}</div>
{figures}
</body></html>
"""


def _figure(row: dict[str, Any], name: str) -> str:
    source = quote(_strip_path(Path(), name).as_posix())
    figures = f"{row['model_psnr']:.2f} dB, SSIM {row['model_ssim']:.4f}"
    if "model_lpips" in row:
        figures += f", LPIPS {row['model_lpips']:.3f}"
    caption = f"{html.escape(row['caption'])}<br><small>{html.escape(row['name'])}: {figures}</small>"
    return f'<figure><img loading="lazy" src="{source}" alt=""><figcaption>{caption}</figcaption></figure>\n'
