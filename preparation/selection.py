"""Which captions become a data set, and how many each rule drops."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from preparation.caption_lists import Pair, read_list
from preparation.multi_instance import same_picture


class Selection(NamedTuple):
    """The captions that stay before any picture was looked at."""

    pairs: list[Pair]
    counts: Counter[str]  # of every rule, and "kept"
    rules: dict[str, str]
    followed: bool  # a list that is taken as it is: nothing leaves it but what --skip_missing allows
    details: dict[str, Any]  # more for the report

    def without(self, rule: str, names: Iterable[str]) -> "Selection":
        """Less the pairs of these images, counted under the rule."""
        names = set(names)
        pairs = [pair for pair in self.pairs if pair.image not in names]
        gone, counts = len(self.pairs) - len(pairs), Counter(self.counts)
        counts[rule] += gone
        counts["kept"] = counts.pop("kept") - gone  # stays last
        return self._replace(pairs=pairs, counts=counts)

    def names(self) -> list[str]:
        return list(dict.fromkeys(pair.image for pair in self.pairs))


def follow(path: Path, rule_of: Callable[[str], str | None]) -> Selection:
    """A published list as it is; the report says what our rules would have dropped of it."""
    pairs = read_list(path)
    ours = Counter(rule_of(pair.caption) or "kept" for pair in pairs)
    return Selection(pairs, Counter(kept=len(pairs)), {}, True, {"our_rules_would": dict(sorted(ours.items()))})


def select(judged: Iterable[tuple[Pair, str | None]], rules: dict[str, str], most: int | None = None) -> Selection:
    """The captions that no rule drops, in order; of those of one picture the first `most`, and none twice.

    judged: pairs, each with the rule by which it is left out. rules: of these, and "repeated".
    """
    counts = Counter(dict.fromkeys((*rules, "kept"), 0))
    kept: list[Pair] = []
    seen: dict[str, set[str]] = {}
    for pair, rule in judged:
        captions, words = seen.setdefault(pair.image, set()), " ".join(pair.caption.lower().split())
        if rule is None and words in captions:
            rule = "repeated"
        elif rule is None and most is not None and len(captions) >= most:
            rule = "beyond_captions_per_image"
        elif rule is None:
            captions.add(words)
            kept.append(pair)
        counts[rule or "kept"] += 1
    return Selection(kept, counts, rules, False, {})


def exclude(selection: Selection, lists: list[Path]) -> Selection:
    """Without the pictures of these lists, whatever name they have there."""
    if not lists:
        return selection
    gone = {same_picture(pair.image) for path in lists for pair in read_list(path)}
    return selection.without("excluded", (name for name in selection.names() if same_picture(name) in gone))
