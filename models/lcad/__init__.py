"""L-CAD: colorization by descriptions of any level, by a latent diffusion model that reads the luminance."""

from models.lcad.config import PAPER, SMALL
from models.lcad.system import LCAD

__all__ = ["LCAD", "PAPER", "SMALL"]
