"""The colour word of a pixel: where on the photographs' Lab a name begins and ends.

Photographs show colours far duller than the palette of the scenes: a blue shirt in the shade has a chroma of 15, and a
tanned arm is orange by its hue. So a name is a range of hue with a least chroma, and what lies between two names has
none. The families are those of `datasets.words.color_words`.
"""

import numpy as np
from numpy.typing import NDArray

from datasets.words.color_words import ACHROMATIC, CHROMATIC

NAMES = (*CHROMATIC, *ACHROMATIC)
NAMELESS = len(NAMES)  # between two names

_GRAY = {"warm": 8.0, "cool": 7.0}  # most chroma of black, white and gray; blue casts are weaker than warm ones
_BLACK, _WHITE = 24.0, 76.0  # L of the darkest gray, and of the lightest
# (name, hue from, to in degrees, chroma from, to, L from, to), the first that holds. Hues: pure sRGB red has 40, yellow
# 103, green 136, cyan 196, blue 306, magenta 328; brown and tan are dull orange and yellow, dark and light.
_RANGES = (
    ("pink", -24.0, 20.0, 14.0, 38.0, 55.0, 100.0),
    ("pink", -24.0, 8.0, 38.0, 200.0, 42.0, 100.0),
    ("red", -12.0, 48.0, 34.0, 200.0, 0.0, 66.0),
    ("red", -12.0, 32.0, 20.0, 34.0, 0.0, 42.0),
    ("orange", 46.0, 76.0, 50.0, 200.0, 48.0, 100.0),
    ("brown", 32.0, 82.0, 13.0, 50.0, 8.0, 50.0),
    ("tan", 62.0, 100.0, 13.0, 34.0, 55.0, 90.0),
    ("yellow", 80.0, 110.0, 40.0, 200.0, 50.0, 100.0),
    ("green", 106.0, 168.0, 13.0, 200.0, 0.0, 100.0),
    ("turquoise", 172.0, 214.0, 13.0, 200.0, 20.0, 100.0),
    ("blue", 222.0, 303.0, 11.0, 200.0, 0.0, 100.0),
    ("blue", 303.0, 309.0, 80.0, 200.0, 0.0, 100.0),
    ("blue", 303.0, 309.0, 11.0, 200.0, 0.0, 16.0),
    ("purple", 303.0, 336.0, 13.0, 200.0, 0.0, 100.0),
)
SHADES = {"light": 66.0, "dark": 30.0}  # L from which, and up to which, a chromatic colour is called so


def name_pixels(lab: NDArray) -> NDArray:
    """The name of every pixel, an index into NAMES or NAMELESS.

    lab: (..., 3) float32, L in [0, 100], ab in CIE units.
    """
    lightness, a, b = lab[..., 0], lab[..., 1], lab[..., 2]
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a))
    hue = np.where(hue < -24.0, hue + 360.0, hue)
    names = np.full(lightness.shape, NAMELESS, np.uint8)
    for name, low, high, least, most, dark, light in reversed(_RANGES):
        within = (hue >= low) & (hue < high) & (chroma >= least) & (chroma < most)
        names[within & (lightness >= dark) & (lightness < light)] = NAMES.index(name)
    warm = (hue > 20.0) & (hue < 150.0)
    gray = chroma < np.where(warm, _GRAY["warm"], _GRAY["cool"])
    names[gray] = NAMES.index("gray")
    names[gray & (lightness > _WHITE)] = NAMES.index("white")
    names[(gray | (chroma < 12.0)) & (lightness < _BLACK)] = NAMES.index("black")
    return names
