"""What every caption from outside must be, whoever reads it: files, commands, the page."""

from utils.errors import InputError

LONGEST_CAPTION = 10_000  # characters; the longest sentences of published lists have about 1,000


def check_caption(caption: str, where: str) -> str:
    """The caption as it is. where: what it is or where it stands, for the message.

    Raises InputError where it is longer than LONGEST_CAPTION, or holds half a character (a lone surrogate).
    """
    if len(caption) > LONGEST_CAPTION:
        raise InputError(
            f"{where} has {len(caption):,} characters ({caption[:40]!r} ...); a caption has at most"
            f" {LONGEST_CAPTION:,}: shorten it"
        )
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} is no text: {error}; write it as UTF-8") from error
    return caption
