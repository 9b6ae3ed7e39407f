"""LBIE: Language-Based Image Editing with Recurrent Attentive Models (Chen et al., CVPR 2018), its colorization."""

from models.lbie.config import PAPER, SMALL
from models.lbie.system import LBIE

__all__ = ["LBIE", "PAPER", "SMALL"]
