"""Vocabularies of whole words: what systems that read captions word by word are given, and vectors for its words."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from datasets.pair_list import read_pairs
from datasets.scenes import Scenes
from models.text import PADDING, UNKNOWN, CaptionTokenizer
from models.weights import RANDOM
from utils.errors import InputError
from utils.text_files import read_text

SCENES = "scenes"
VOCABULARY_HELP = (
    "words that it reads: the training captions (cap-img-pairs_train.json), a file of one word a line, padding first,"
    " or 'scenes'"
)
VECTORS_HELP = "vectors that its words start from: a text file of 'word number number ...' lines, or 'random'"
_LIST = re.compile(r"cap-img-pairs_(\w+)\.json")
_WORD = re.compile(r"\w+")
_DRAWN = 3000  # captions of scenes: their grammar has all its words in far fewer


def build_tokenizer(source: str | None, limit: int) -> CaptionTokenizer:
    """source: --vocabulary; limit: longest caption, words. Raises InputError."""
    if source is None:
        raise InputError(f"--vocabulary is not given, nor a checkpoint: pass the {VOCABULARY_HELP}")
    return CaptionTokenizer.of_words(read_vocabulary(source), limit)


def read_vocabulary(source: str) -> list[str]:
    """The words in the order of their ids, padding first. Raises InputError."""
    if source == SCENES:
        scenes = Scenes("train", 16, _DRAWN)
        return from_captions(sample.caption for sample in scenes.__getitems__(range(_DRAWN)))
    path = Path(source)
    if match := _LIST.fullmatch(path.name):
        return from_captions(caption for _, caption in read_pairs(path.parent, match[1]))
    if path.suffix == ".json":
        raise InputError(f"--vocabulary {source}: pass a cap-img-pairs_<split>.json, or a text file of one word a line")
    words = [line.strip().lower() if line.strip() not in (PADDING, UNKNOWN) else line.strip() for line in _lines(path)]
    repeated = [word for word, count in Counter(words).items() if count > 1]
    if len(words) < 2 or repeated:
        fault = f"has {repeated[0]!r} twice" if repeated else f"has {len(words)} words"
        raise InputError(f"--vocabulary {source}: {fault}; write one word a line, padding first")
    return words


def from_captions(captions: Iterable[str]) -> list[str]:
    """Words of two captions or more, the most frequent first, behind padding and the unknown word: rarer ones are
    unknown, so that it learns."""
    counts = Counter(word for caption in captions for word in set(_WORD.findall(caption.lower())))
    return [PADDING, UNKNOWN, *sorted((w for w, n in counts.items() if n > 1), key=lambda w: (-counts[w], w))]


def read_vectors(
    source: str | None, tokenizer: CaptionTokenizer, width: int, learn: bool = True
) -> tuple[Tensor, Tensor] | None:
    """(vocabulary, width) float32, 0 where the file has none, and (vocabulary,) bool: where it has one; None for
    'random'. learn: whether they learn, as random ones must. Raises InputError."""
    if source is None:
        raise InputError(f"--word_vectors is not given: pass the {VECTORS_HELP}")
    if source == RANDOM and not learn:
        raise InputError("--word_vectors random: would stay as they are here; pass --learn_words, or a file of vectors")
    if source == RANDOM:
        return None
    ids = tokenizer.tokenizer.get_vocab()
    vectors, found = torch.zeros(len(ids), width), torch.zeros(len(ids), dtype=torch.bool)
    for line in _lines(Path(source), "--word_vectors"):
        word, *numbers = line.split()
        if word not in ids:
            continue
        if len(numbers) != width:
            raise InputError(
                f"--word_vectors {source}: {word!r} has {len(numbers)} numbers; this model's have {width}: pass vectors"
                " of that width, or 'random'"
            )
        try:
            vectors[ids[word]], found[ids[word]] = torch.tensor([float(number) for number in numbers]), True
        except ValueError as error:
            raise InputError(f"--word_vectors {source}: {word!r}: {error}; write numbers, or pass 'random'") from error
    if not found.any():
        raise InputError(f"--word_vectors {source}: has none of the {len(ids)} words; pass vectors of these words")
    return vectors, found


def _lines(path: Path, flag: str = "--vocabulary") -> Sequence[str]:
    try:
        return [line for line in read_text(path, "pass a text file").splitlines() if line.strip()]
    except InputError as error:
        raise InputError(f"{flag} {error}") from error
