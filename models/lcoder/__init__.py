"""L-CoDer (ECCV 2022): colour and object words decoupled in a joint transformer."""

from models.lcoder.config import PAPER, SMALL
from models.lcoder.system import LCoDer

__all__ = ["PAPER", "SMALL", "LCoDer"]
