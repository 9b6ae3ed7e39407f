"""L-CoDe (AAAI 2022): attention transfer and soft-gated injection."""

from models.lcode.config import PAPER, SMALL
from models.lcode.system import LCoDe

__all__ = ["PAPER", "SMALL", "LCoDe"]
