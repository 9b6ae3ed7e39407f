"""ICC profiles of every kind, written byte by byte."""

import struct

ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))  # red, green, blue, D50
_D50 = (0.9642, 1.0, 0.8249)


def icc(space, tags, device=b"mntr", pcs=b"XYZ ", version=b"\x02\x40\0\0"):
    """tags: {name: content}."""
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += struct.pack(">4sII", name, start + len(data), len(content))
        data += content
    size = start + len(data)
    head = struct.pack(">I4s4s4s4s4s", size, b"lcms", version, device, space, pcs)
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + _xyz(_D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _xyz(values):
    return struct.pack(">3i", *(round(value * 65536) for value in values))


def xyz(values):
    return b"XYZ \0\0\0\0" + _xyz(values)


def gamma(exponent):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def table(values):
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *values)


def parametric(kind, *values):
    return b"para\0\0\0\0" + struct.pack(f">HH{len(values)}i", kind, 0, *(round(value * 65536) for value in values))


def _texts():
    return {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 79,
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(_D50),
    }


def matrix(colorants=ADOBE, curve=None, **how):
    curve = gamma(563 / 256) if curve is None else curve
    names = (b"r", b"g", b"b")
    tags = _texts() | {name + b"XYZ": xyz(column) for name, column in zip(names, colorants, strict=True)}
    return icc(b"RGB ", tags | {name + b"TRC": curve for name in names}, **how)


def gray(curve):
    return icc(b"GRAY", _texts() | {b"kTRC": curve})


def no_primaries():
    return icc(b"RGB ", _texts())


def scanner(channels=3):
    """A lookup table that leads from the device to Lab and not back: light of the channels' mean, no colour."""
    grid = 2
    cells = b""
    for cell in range(grid**channels):
        mean = sum(cell >> k & 1 for k in range(channels)) / channels
        light = mean if channels == 3 else 1 - mean
        cells += struct.pack(">3H", round(light * 0xFF00), 0x8000, 0x8000)
    ramp = struct.pack(">2H", 0, 65535)
    head = (
        b"mft2\0\0\0\0" + bytes([channels, 3, grid, 0]) + struct.pack(">9i", *(65536 * (k % 4 == 0) for k in range(9)))
    )
    lut = head + struct.pack(">2H", 2, 2) + ramp * channels + cells + ramp * 3
    return icc(b"RGB " if channels == 3 else b"CMYK", _texts() | {b"A2B0": lut}, device=b"scnr", pcs=b"Lab ")
