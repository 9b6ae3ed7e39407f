"""Xie2018: language-guided image colorization (Y. Xie, Master's thesis, ETH Zurich, 2018), its full method."""

from models.xie2018.config import PAPER, SMALL
from models.xie2018.system import Xie2018

__all__ = ["PAPER", "SMALL", "Xie2018"]
