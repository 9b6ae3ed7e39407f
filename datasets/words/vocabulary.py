"""The words that the rules of this folder know (vocabulary.toml), and the families and forms of the colours."""

import tomllib
from pathlib import Path

TABLES = tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))


def sets(section: str) -> dict[str, frozenset[str]]:
    """Each table of a section as a set: of words, or of phrases where it is a list."""
    return {name: frozenset(held.split() if isinstance(held, str) else held) for name, held in TABLES[section].items()}


def _by_word(section: dict[str, str]) -> dict[str, str]:
    return {word: name for name, words in section.items() for word in words.split()}


# What a replacement is drawn from. Every other colour word belongs to one of these families.
CHROMATIC = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "turquoise", "tan")
ACHROMATIC = ("black", "white", "gray")
_FORMS: dict[str, dict[str, str]] = TABLES["forms"]
FORM_OF = {word: form for form, section in _FORMS.items() for word in _by_word(section)}
# Form: the word of each family to replace a word of that form by.
REPLACEMENTS = {form: {name: words.split()[0] for name, words in section.items()} for form, section in _FORMS.items()}
REPLACEMENTS["plain"] = {name: name for name in (*CHROMATIC, *ACHROMATIC)}
NEAR = {frozenset(pair.split()) for pair in TABLES["colors"]["near"]}
THINGS = frozenset(_by_word(TABLES["things"]))
FAMILY_OF = {
    word: name
    for section in (TABLES["plain"], TABLES["things"], *_FORMS.values())
    for word, name in _by_word(section).items()
}
COLORS = frozenset(FAMILY_OF) - THINGS
VOCABULARY = tuple(sorted(FAMILY_OF))
"""Every word and form that `color_words.find` can hit, lower case."""
