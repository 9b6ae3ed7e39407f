"""What of a caption the program knows not to be read or understood."""

from datasets.words import color_words
from datasets.words.captions import shorten
from models.system import System


def notes_on(caption: str, system: System) -> list[str]:
    """In words for the user; each says which caption it means."""
    if system.tokenizer is None:
        return [f"{system.name} colours without words: the caption is not read"] if caption.strip() else []
    if not caption.strip():
        return ["the caption is empty: the colours follow the photograph alone"]
    encoded = system.tokenizer.tokenizer.encode(caption)
    notes = []
    if encoded.overflowing:
        last = max(end for _, end in encoded.offsets)
        notes.append(f"is too long: what follows {caption[:last].split()[-1]!r} is not read")
    pieces = zip(encoded.offsets, encoded.tokens, strict=True)
    unknown = [caption[start:end] for (start, end), token in pieces if token == "[UNK]"]
    if unknown:
        notes.append(f"has unknown words: {', '.join(map(shorten, dict.fromkeys(unknown)))}")
    if not color_words.find(caption):
        notes.append("names no colour that the program knows; the network reads its words all the same")
    negated = color_words.negations(caption)
    if negated:
        said = ", ".join(map(repr, dict.fromkeys(negated)))
        notes.append(f"says {said}: negation is not understood; name the colour that is wanted instead")
    return [f"the caption {shorten(caption)!r} {note}" for note in notes]
