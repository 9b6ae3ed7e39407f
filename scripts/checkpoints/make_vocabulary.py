"""Train the WordPiece vocabulary of the small text encoder on caption files.

    python scripts/checkpoints/make_vocabulary.py CAPTIONS.json [...] --size 4096 --output models/wordpiece_vocab.txt

`models/wordpiece_vocab.txt` was trained so on Flickr8k and COCO captions. The same files give the same vocabulary. One
token a line, its number being its id: special tokens, the alphabet (so that no English word is unknown), words that
must be one token each because the colorization hangs on them, then what WordPiece learned, the first merge first.
"""

import argparse
import string
import sys
from pathlib import Path

from tokenizers import BertWordPieceTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasets.words.color_words import VOCABULARY as COLOR_WORDS
from preparation.caption_lists import read_captions
from utils.errors import InputError, exit_status

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation + "“”‘’–—…°"
ALPHABET = (*CHARACTERS, *(f"##{character}" for character in CHARACTERS))
WORDS = (  # positions, then objects and what is said of them
    "left right middle center centre top bottom upper lower front back side corner edge leftmost rightmost above below "
    "over under behind beside near next between inside outside in on at by far foreground background "
    "ball box cone ring star cup cube pyramid cylinder disc heart moon arrow cross bottle hat leaf balls boxes cones "
    "rings stars cups cubes pyramids cylinders discs hearts moons arrows crosses bottles hats leaves small large big "
    "striped dotted plain ground sky wall grass table floor color colored colour coloured dark light bright pale a an "
    "the and of with is"
)


@exit_status
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("captions", nargs="+", type=Path, metavar="CAPTIONS.json", help="caption files, docs/DATA.md")
    parser.add_argument("--size", type=int, default=4096, help="number of tokens, the special ones included")
    parser.add_argument("--output", type=Path, default=Path("models/wordpiece_vocab.txt"), help="one token a line")
    options = parser.parse_args(arguments)
    captions = [caption for path in options.captions for _, caption in read_captions(path)]
    tokens = make_vocabulary(captions, options.size)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    print(f"{options.output}: {len(tokens)} tokens from {len(captions)} captions")


def make_vocabulary(captions: list[str], size: int) -> list[str]:
    """`size` tokens in the order of their ids; fewer where the captions have no more to give."""
    required = list(dict.fromkeys((*SPECIAL, *ALPHABET, *COLOR_WORDS, *WORDS.split())))
    if size < len(required):
        raise InputError(f"--size {size}: the required tokens alone are {len(required)}; pass a larger number")
    tokenizer = BertWordPieceTokenizer(lowercase=True, strip_accents=True)
    tokenizer.train_from_iterator(
        captions,
        vocab_size=size,
        limit_alphabet=len(CHARACTERS),
        initial_alphabet=list(CHARACTERS),
        # The alphabet goes in as special tokens because the trainer would else number it in the order of a hash map,
        # and break ties between merges by those numbers: another vocabulary on every run.
        special_tokens=[*SPECIAL, *ALPHABET],
        show_progress=False,
    )
    learned = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return list(dict.fromkeys((*required, *(token for token, _ in learned))))[:size]


if __name__ == "__main__":
    sys.exit(main())
