"""All visitors: how many, and how much of the disk they have."""

import secrets
from pathlib import Path

from inference import Colorizer
from inference.segmentation import Segmenter
from webapp.limits import Share, Shares
from webapp.visit import Visit
from webapp.visit_files import VisitFiles

_EACH = 4  # one address may have one in so many of the visits, and of their bytes


class Visits:
    """A bounded number, of bounded bytes: who has done nothing for the longest time, makes room."""

    def __init__(
        self,
        colorizer: Colorizer,
        originals: Path,
        pictures: Path,
        most: int,
        size: float = float("inf"),
        segmenter: Segmenter | None = None,
    ) -> None:
        """most: visits at a time; size: bytes of all of their files. One address has a quarter of both. segmenter: for
        systems that read masks, finds the object at a click."""
        self.colorizer, self.originals, self.pictures = colorizer, originals, pictures
        self.segmenter = segmenter
        each = Share(max(1, most // _EACH), size / _EACH)
        self._visits: Shares[Visit] = Shares(each, Share(most, size), Visit.end)

    def __len__(self) -> int:
        return len(self._visits)

    def begin(self, owner: str) -> Visit:
        """owner: the address that it is counted for."""
        key = secrets.token_urlsafe()
        originals, pictures = self.originals / key, self.pictures / key
        for folder in (originals, pictures):
            folder.mkdir()
        files = VisitFiles(originals, pictures)
        visit = Visit(self.colorizer, files, lambda visit: self._hold(visit, owner), self.segmenter)
        self._hold(visit, owner)
        return visit

    def _hold(self, visit: Visit, owner: str) -> None:
        if not visit.ended:
            self._visits.hold(visit, owner, visit.files.size)

    def end(self, visit: Visit | None) -> None:
        """None: somebody who never had a photograph."""
        if visit is not None:
            self._visits.let_go(visit)
            visit.end()
