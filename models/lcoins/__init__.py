"""L-CoIns (CVPR 2023) and the architecture of its authors' released checkpoint."""

from models.lcoins.config import PAPER, PHOTOS, RELEASE, SCENES, SMALL, LCoInsConfig, ReleaseConfig
from models.lcoins.system import LCoIns, ReleasedLCoIns

__all__ = ["PAPER", "PHOTOS", "RELEASE", "SCENES", "SMALL", "LCoIns", "LCoInsConfig", "ReleaseConfig"]
__all__ += ["ReleasedLCoIns"]
