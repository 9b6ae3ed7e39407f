"""Photographs of every odd kind, written to a folder: what `scripts/colorize.py` and `Colorizer` have to take."""

from pathlib import Path

import numpy as np
import skimage.data
from PIL import ExifTags, Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def write(folder: Path) -> list[Path]:
    """Small pictures; returns their paths."""
    color = Image.fromarray(skimage.data.coffee()).resize((60, 40))
    gray = color.convert("L")
    alpha = Image.linear_gradient("L").resize((60, 40))
    deep = Image.fromarray((np.asarray(gray).astype(np.uint16)) * 257)
    written = []

    def save(name: str, image: Image.Image, **how) -> None:
        image.save(folder / name, **how)
        written.append(folder / name)

    for mode in ("1", "L", "P", "RGB"):
        save(f"mode_{mode}.png", color.convert(mode))
    for mode in ("LA", "RGBA"):
        transparent = color.convert(mode)
        transparent.putalpha(alpha)
        save(f"mode_{mode}.png", transparent)
    save("cmyk.jpg", color.convert("CMYK"))
    save("inks.tif", color.convert("CMYK"))
    save("ycbcr.tif", color.convert("YCbCr"), compression="jpeg")
    save("deep.png", deep)
    save("deeper.tif", deep)
    save("float.tif", Image.fromarray(np.asarray(gray, dtype=np.float32) / 255))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        save(f"turned_{orientation}.jpg", color, exif=exif, quality=95)
    save("profile.jpg", color, icc_profile=SRGB)
    save("moving.gif", color.convert("P"), save_all=True, append_images=[gray.convert("P")])
    save("still.webp", color, lossless=True)
    save("lossy.webp", color)
    save("old.bmp", color)
    save("panorama.jpg", color.resize((900, 30)))
    save("thin.png", color.resize((1, 300)))
    save("dot.png", color.resize((1, 1)))
    return written
