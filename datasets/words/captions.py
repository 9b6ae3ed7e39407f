"""What every caption from outside must be, whoever reads it: files, commands, the page."""

from utils.errors import InputError

LONGEST_CAPTION = 10_000  # characters; the longest sentences of published lists have about 1,000
SHOWN = 60  # characters of a caption in a message


def check_caption(caption: str, where: str) -> str:
    """The caption as it is. where: what it is or where it stands, for the message.

    Raises InputError where it is longer than LONGEST_CAPTION, or holds half a character (a lone surrogate).
    """
    if len(caption) > LONGEST_CAPTION:
        raise InputError(
            f"{where} has {len(caption):,} characters ({shorten(caption)!r}); a caption has at most"
            f" {LONGEST_CAPTION:,}: shorten it"
        )
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} is no text: {error}; write it as UTF-8") from error
    return caption


def shorten(caption: str) -> str:
    """Enough of the caption to know it by: single spaces, at most SHOWN characters."""
    start = " ".join(caption[: 2 * SHOWN].split())
    return start if len(start) <= SHOWN and len(caption) <= 2 * SHOWN else f"{start[: SHOWN - 4].rstrip()} ..."
