"""Which photographs are to be coloured, under which captions, and where to: found before the first is read."""

import functools
import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets.boxes import best
from datasets.masks import check_rows, read_content
from datasets.pictures.find_pictures import Found, composed, find_pictures, is_companion, lies_in
from datasets.pictures.formats import ENDINGS
from datasets.words.captions import check_caption
from inference.colored_photo import SUFFIXES
from inference.detection import WANTED
from utils.errors import InputError
from utils.text_files import read_csv, read_json


class Photographs(NamedTuple):
    named: list[tuple[Path, str]]  # path, and name: the path from the folder that was asked for; none twice
    unopened: list[str]  # names of photographs of formats that cannot be opened here
    failures: list[str]  # what keeps photographs from being read, in words for the user
    notes: list[str]  # what else was left out


class Job(NamedTuple):
    path: Path
    captions: list[str]
    outputs: list[Path]  # one for each caption
    explained: list[Path]  # the same, or none
    sheet: Path | None
    boxes: list | None = None  # of its objects, where they were given
    masks: Sequence[tuple[str, Path]] = ()  # phrases and mask files
    seeds: Sequence[int | None] = ()  # one for each caption, where they were given

    @property
    def written(self) -> list[Path]:
        return [*self.outputs, *self.explained, *([self.sheet] if self.sheet is not None else [])]


def find_photos(sources: Sequence[str], output: Path, results: Iterable[Path] = ()) -> Photographs:
    """sources: files, folders and patterns; output: the folder of the results, or their file; results: more of their
    files. What lies there is no photograph. Raises InputError for a source that is not there or holds none."""
    found = Photographs([], [], [], [])
    seen: set[str] = set()
    real_folder = functools.lru_cache(os.path.realpath)
    for source in dict.fromkeys(sources):
        if os.path.isdir(source) and os.path.realpath(source) == os.path.realpath(output):
            note = f"{Path(source)}: is the folder of the results; what lies there is no photograph to colour"
            found.notes.append(note)
            continue
        for inside in _look_up(source, [output, *results]):
            for path in inside.pictures:
                real = os.path.join(real_folder(path.parent), path.name)
                if real not in seen:
                    seen.add(real)
                    found.named.append((path, str(path.relative_to(inside.folder))))
            found.unopened.extend(str(path.relative_to(inside.folder)) for path in inside.unopened)
            found.failures.extend(inside.failures())
            found.notes.extend(inside.left_out())
    if not found.named:
        raise InputError("; ".join([*found.failures, *found.notes, "there is no photograph to colour; pass another"]))
    kept = _without_results(found.named, output)
    if len(kept) < len(found.named):
        found.notes.append(f"{output}: {len(found.named) - len(kept)} files there are results of the other photographs")
    return found._replace(named=kept)


def _look_up(source: str, barred: Iterable[Path]) -> list[Found]:
    """What a file, a folder or a pattern holds, by folders; barred: files and folders that are passed over."""
    path = Path(source)
    if os.path.isdir(path):
        inside = find_pictures(path, barred)
        if not (inside.pictures or inside.failures()):
            known = "; ".join([f"({', '.join(ENDINGS)})", *inside.left_out()])
            raise InputError(f"{path}: no photograph in this folder {known}")
        return [inside]
    if os.path.lexists(path):  # also what cannot be read: it is told when its turn comes
        return [Found(path.parent, [path])]
    names = sorted(glob.glob(source, recursive=True))
    if not names:
        raise InputError(f"{source}: no such file or folder, nor does a file match it as a pattern")
    real_barred = [os.path.realpath(path) for path in barred]
    folders, files = [], {}
    for path in map(Path, names):
        # Who names such a folder means it, and "*" matches nothing that is hidden.
        companion = any(is_companion(part) and part[0] != "." for part in {*path.parts} - {*Path(source).parts})
        if companion or any(lies_in(os.path.realpath(path), one) for one in real_barred):
            continue
        if not os.path.isdir(path):
            files.setdefault(path.parent, Found(path.parent)).add(path)
        elif "**" not in source:  # which has searched the folders already
            folders.append(find_pictures(path, barred))
    return [*folders, *files.values()]


def _without_results(named: list[tuple[Path, str]], output: Path) -> list[tuple[Path, str]]:
    """Without what lies where the results of the others will: a shell's pattern names those of an earlier run too."""
    folder = os.path.realpath(output)
    inside = {path: real for path, _ in named if lies_in(real := os.path.realpath(path), folder)}
    results = {_key(Path(folder, name)) for name in output_names([name for path, name in named if path not in inside])}
    return [photo for photo in named if photo[0] not in inside or _key(Path(inside[photo[0]])) not in results]


def jobs_of(
    photos: Sequence[tuple[Path, str]], captions: Sequence[list[str]], output: Path, explain: bool, sheet: bool
) -> list[Job]:
    """output: the folder of the results."""
    names = output_names([name for _, name in photos], [_added(len(own), explain, sheet) for own in captions])
    return [
        job_of(path, own, output / name, explain, sheet)
        for (path, _), own, name in zip(photos, captions, names, strict=True)
    ]


def job_of(path: Path, captions: list[str], output: Path, explain: bool, sheet: bool) -> Job:
    outputs = [output.with_stem(output.stem + own) for own in _added(len(captions), False, False)]
    explained = [path.with_name(f"{path.stem}_explained.png") for path in outputs if explain]
    return Job(path, captions, outputs, explained, output.with_name(f"{output.stem}_variants.png") if sheet else None)


def _added(captions: int, explain: bool, sheet: bool) -> list[str]:
    """What the files that are written of a photograph have behind its name."""
    added = [""] if captions == 1 else [f"_{number}" for number in range(captions)]
    return added + [f"{own}_explained" for own in added if explain] + ["_variants"] * sheet


def output_names(names: Sequence[str], added: Sequence[Sequence[str]] | None = None) -> list[str]:
    """The same names; formats that are not written get .png. Names that would meet keep their own endings, or get a
    number: no two files then differ in their endings alone, in case, or in the form of Unicode.

    added: of each name, what the files that are written have behind it; nothing where None is given.
    """
    wanted = [Path(name) for name in names]
    wanted = [path if path.suffix.lower() in SUFFIXES else path.with_suffix(".png") for path in wanted]
    alike = Counter(map(_key, wanted))
    folders = {folder for path in wanted for folder in path.parents if folder.suffix.lower() in SUFFIXES}
    taken = set(map(_key, folders))  # a.png/b.jpg beside a.gif
    numbers: Counter[str] = Counter()  # the last that a name got: so many photographs of one name take linear time
    unique = []
    for place, (path, name) in enumerate(zip(wanted, names, strict=True)):
        if alike[_key(path)] > 1:  # a.jpg beside a.gif: a_jpg.jpg and a_gif.png
            path = path.with_stem(f"{path.stem}_{Path(name).suffix[1:].lower() or 'picture'}")
        parts = [""] if added is None else added[place]
        free, base = path, _key(path)
        while not taken.isdisjoint(keys := [_key(free.with_stem(free.stem + part)) for part in parts]):
            numbers[base] += 1
            free = path.with_stem(f"{path.stem}_{numbers[base] + 1}")
        taken.update(keys)
        unique.append(str(free))
    return unique


def _key(path: Path) -> str:
    """Equal for paths that are one file on some file system, but for their endings."""
    return composed(str(path.with_suffix(""))).casefold()


def read_captions(path: Path) -> dict[str, list[str]]:
    """Image name -> its captions, in the file's order. Raises InputError naming the line or entry."""
    if path.suffix.lower() == ".csv":
        rows = [(f"line {line}", cells) for line, cells in read_csv(path, "write lines image,caption")]
        if rows and [cell.strip().lower() for cell in rows[0][1]] == ["image", "caption"]:
            rows = rows[1:]
    else:
        content = read_json(path, "write [[image, caption], ...], or lines image,caption in a file that ends in .csv")
        if isinstance(content, dict):
            lists = [(name, own if isinstance(own, list) else [own]) for name, own in content.items()]
            content = [[name, caption] for name, own in lists for caption in own]
        rows = [(f"entry {n}", row) for n, row in enumerate(content if isinstance(content, list) else [content])]
    captions: dict[str, list[str]] = {}
    for place, row in rows:
        if not (isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) for part in row)):
            raise InputError(f"--captions {path}: {place} is {str(row)[:120]}; each is an image's name and a caption")
        captions.setdefault(row[0].strip(), []).append(check_caption(row[1], f"--captions {path}: {place}"))
    if not captions:
        raise InputError(f"--captions {path}: names no image; write lines image,caption or [[image, caption], ...]")
    return captions


def read_boxes(path: Path) -> dict[str, list]:
    """Image name -> rows of `datasets.boxes`, read but for the rows. Raises InputError."""
    content = read_json(path, "write {image: [[left, top, right, bottom, score, class], ...]}")
    if not isinstance(content, dict):
        raise InputError(f"--boxes {path}: is no {{image: boxes}}; scripts/detect_boxes.py writes such a file")
    for name, rows in content.items():
        best(rows, WANTED, f"--boxes {path}: {name}")
    return content


def read_masks(path: Path, photos: Photographs, captions: Sequence[Sequence[str]]) -> list[list[tuple[str, Path]]]:
    """Phrases and mask files of each photograph, as datasets/masks.py has them; a photograph that is not named has
    none. captions: of each. Raises InputError."""
    rows = match("--masks", path, read_content(path), photos, missing_as=[])
    found = zip(photos.named, rows, captions, strict=True)
    return [check_rows(path, name, own, of_one) for (_, name), own, of_one in found]


def match(
    flag: str, file: Path, held: Mapping[str, Any], photos: Photographs, missing_as: Any | None = None
) -> list[Any]:
    """What the file of --captions, --boxes or --masks has for each photograph, whatever form of Unicode its name has in
    the file and on the disk. Raises InputError unless every one has some, or `missing_as` stands for it, and every name
    is found."""
    names = [name for _, name in photos.named]
    by_form = {composed(name): own for name, own in held.items()}
    missing = [name for name in names if composed(name) not in by_form and missing_as is None]
    unknown = by_form.keys() - {composed(name) for name in [*names, *photos.unopened]}
    if missing or unknown:
        which = f"has none for {missing[0]}" if missing else f"names {min(unknown)}, which is not among the photographs"
        count = len(missing) or len(unknown)
        raise InputError(f"{flag} {file}: {which} ({count} in all); complete the file, or pass other photographs")
    return [held[name] if name in held else by_form.get(composed(name), missing_as) for name in names]
