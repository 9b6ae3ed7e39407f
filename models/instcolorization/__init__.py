"""InstColorization: full-image network, instance network, and their fusion by boxes."""

from models.instcolorization.config import PAPER, SMALL
from models.instcolorization.system import InstColorization

__all__ = ["PAPER", "SMALL", "InstColorization"]
