"""Photographs of every odd kind, written to a folder: what `scripts/colorize.py` and `Colorizer` have to take."""

from pathlib import Path

import cv2
import numpy as np
import profiles
import skimage.data
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

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
    rgb16 = np.random.default_rng(0).integers(-128, 129, (40, 60, 3)) + np.asarray(color).astype(int) * 257
    rgb16 = rgb16.clip(0, 65535).astype(np.uint16)
    for name in ("deep_color.png", "deep_strips.tiff"):
        cv2.imwrite(str(folder / name), rgb16[..., ::-1])
        written.append(folder / name)
    la16 = np.stack([rgb16[..., 1], np.asarray(alpha).astype(np.uint16) * 257], axis=2)
    tifffile.imwrite(folder / "deep_alpha.tif", la16, photometric="minisblack", extrasamples=["unassalpha"])
    written.append(folder / "deep_alpha.tif")
    tifffile.imwrite(folder / "deep_negative.tif", 65535 - rgb16[..., 1], photometric="miniswhite")
    written.append(folder / "deep_negative.tif")
    linear = PngImagePlugin.PngInfo()
    linear.add(b"gAMA", (100_000).to_bytes(4, "big"))
    save("linear.png", gray, pnginfo=linear)
    save("scanner.jpg", color, icc_profile=profiles.scanner())
    save("no_primaries.jpg", color, icc_profile=profiles.no_primaries())
    save("adobe.jpg", color, icc_profile=profiles.matrix())
    save("inks_profile.jpg", color.convert("CMYK"), icc_profile=profiles.scanner(4))
    save("newer.avif", color)
    save("new.jp2", color)
    save("panorama.jpg", color.resize((900, 30)))
    save("thin.png", color.resize((1, 300)))
    save("dot.png", color.resize((1, 1)))
    return written
