#!/usr/bin/env python3
"""Golden levels of pictures: what Pillow makes of them on the way of EasyR1.

    pip install pillow numpy tifffile imagecodecs && python3 generate.py

cases.json has, by name, the file, the mode that Pillow opens it in, and its levels as RGB: as it is, resized into bounds
that enlarge or reduce it (`process_image` of verl/utils/dataset.py), and, for one picture of each mode, enlarged and
then resized as the vision processor does. Files and levels are base64.
"""

import base64
import io
import json
import math
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import PIL
import tifffile
from PIL import Image

MIN_PIXELS, MAX_PIXELS = 230, 40
WIDTH, HEIGHT = 11, 9
rng = np.random.default_rng(0)
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
noise = rng.integers(0, 30, (HEIGHT, WIDTH, 3))
rgb = (np.stack([x * 21, y * 25 + x, x * y * 5], -1) + noise).clip(0, 255).astype(np.uint8)
grey = np.ascontiguousarray(rgb[..., 1])
alpha = (x * 23 + y * 9).clip(0, 255).astype(np.uint8)
alpha[:3, :4] = 0
palette = rng.integers(0, 256, (256, 3)).astype(np.uint8)
ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)

files: dict[str, bytes] = {}


def save(name: str, image: Image.Image, **options) -> None:
    memory = io.BytesIO()
    kind = name.rpartition(".")[2]
    image.save(memory, {"tif": "TIFF", "jpg": "JPEG"}.get(kind, kind), **options)
    files[name] = memory.getvalue()


def tiff(name: str, array: np.ndarray, **options) -> None:
    memory = io.BytesIO()
    tifffile.imwrite(memory, array, metadata=None, **options)
    files[name] = memory.getvalue()


RGB, L = Image.fromarray(rgb), Image.fromarray(grey)
RGBA = Image.fromarray(np.dstack([rgb, alpha]))
LA = Image.fromarray(np.dstack([grey, alpha]))
P = RGB.quantize(40)
ONE = L.convert("1")
turned = Image.Exif()
turned[274] = 6

for mode, image in {"rgb": RGB, "l": L, "rgba": RGBA, "la": LA, "p": P, "1": ONE}.items():
    save(f"{mode}.png", image)
save("p-4-bits.png", RGB.quantize(7), bits=4)
save("p-transparent.png", P, transparency=bytes(range(0, 200, 5)))
save("rgb-transparent.png", RGB, transparency=tuple(int(level) for level in rgb[3, 3]))
save("l-transparent.png", L, transparency=int(grey[2, 2]))
save("rgb-exif.png", RGB, exif=turned)
png = imagecodecs.png_encode
files["rgb-16-bits.png"] = png(rgb.astype(np.uint16) * 256 + 77)
files["rgba-16-bits.png"] = png(np.dstack([rgb, alpha]).astype(np.uint16) * 256 + 77)
files["la-16-bits.png"] = png(np.dstack([grey, alpha]).astype(np.uint16) * 256 + 77)

for sampling in (0, 1, 2):
    save(f"rgb-{sampling}.jpg", RGB, quality=80, subsampling=sampling)
save("rgb-progressive.jpg", RGB, progressive=True, exif=turned)
save("l.jpg", L)
inks = np.dstack([rgb, (x * 15).astype(np.uint8)])
jpeg = imagecodecs.jpeg8_encode
save("cmyk.jpg", Image.fromarray(inks, "CMYK"), quality=90)
files["ycck.jpg"] = jpeg(inks, level=90, colorspace="CMYK", outcolorspace="YCCK")
files["rgb-440.jpg"] = jpeg(rgb, level=80, subsampling=(1, 2))

save("rgb.webp", RGB, quality=80)
save("rgba.webp", RGBA, quality=80)
save("rgba-lossless.webp", RGBA, lossless=True, exact=True)

for compression in ("tiff_lzw", "packbits", "jpeg"):
    save(f"rgb-{compression}.tif", RGB, compression=compression)
save("1.tif", ONE, compression="group4")
save("p.tif", P)
save("la.tif", LA)
save("cmyk.tif", Image.fromarray(inks, "CMYK"))
tiff("l-white-is-0.tif", grey, photometric="miniswhite")
tiff("l-4-bits.tif", grey >> 4, photometric="minisblack", bitspersample=4)
tiff("rgb-big-endian.tif", rgb, photometric="rgb", byteorder=">")
tiff("rgb-64-bit-offsets.tif", rgb, photometric="rgb", bigtiff=True)
tiff("rgb-tiles.tif", rgb, photometric="rgb", tile=(16, 16))
tiff("rgb-planes.tif", np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate")
tiff("rgb-16-bits.tif", rgb.astype(np.uint16) * 256, photometric="rgb")
tiff("rgba.tif", np.dstack([rgb, alpha]), photometric="rgb", extrasamples=["unassalpha"])
tiff("rgbx.tif", np.dstack([rgb, alpha]), photometric="rgb", extrasamples=["unspecified"])
for turn in (3, 6):
    tiff(f"rgb-turned-{turn}.tif", rgb, photometric="rgb", extratags=[(274, "H", 1, turn, True)])


def gif(name, indices, colours, screen=None, at=(0, 0), own=None, transparent=None, interlaced=False, bits=None):
    """A GIF file whose codes are not compressed: a clear code comes before the code size would grow."""
    height, width = indices.shape
    bits = bits or max(2, int(math.log2(len(own if own is not None else colours))))
    table = lambda colours: 0 if colours is None else 0x80 | int(math.log2(len(colours))) - 1
    file = b"GIF89a" + struct.pack("<HHBBB", *(screen or (width, height)), table(colours), 2, 0)
    file += bytes(colours.ravel()) if colours is not None else b""
    if transparent is not None:
        file += b"!\xf9\x04" + struct.pack("<BHBB", 1, 0, transparent, 0)
    file += b"," + struct.pack("<HHHHB", *at, width, height, table(own) | (64 if interlaced else 0))
    file += bytes(own.ravel()) if own is not None else b""
    order = [*range(0, height, 8), *range(4, height, 8), *range(2, height, 4), *range(1, height, 2)]
    rows = indices[order] if interlaced else indices
    number, length = 0, 0
    clear = 1 << bits
    for place, index in enumerate(rows.ravel().tolist()):
        if place % (clear - 2) == 0:
            number |= clear << length
            length += bits + 1
        number |= index << length
        length += bits + 1
    number |= (clear + 1) << length
    codes = number.to_bytes((length + bits + 8) // 8, "little")
    file += bytes([bits])
    for start in range(0, len(codes), 255):
        file += bytes([len(codes[start : start + 255])]) + codes[start : start + 255]
    files[f"{name}.gif"] = file + b"\0;"


few = palette[:16]
gif("p", grey >> 4, few)
gif("p-interlaced", grey >> 4, few, interlaced=True)
gif("p-transparent", grey >> 4, few, transparent=int(grey[4, 4] >> 4))
gif("p-part", grey[:4, :6] >> 4, few, screen=(WIDTH, HEIGHT), at=(2, 3))
gif("p-part-transparent", grey[:4, :6] >> 4, few, screen=(WIDTH, HEIGHT), at=(2, 3), transparent=7)
gif("p-larger-than-screen", grey >> 4, few, screen=(5, 5))
gif("p-own-colours", grey >> 4, few, own=palette[32:48])
gif("p-missing-colours", grey >> 3, None, own=few, bits=8)
gif("l", grey, ramp)
gif("l-no-palette", grey, None, bits=8)
save("frames.gif", RGB, save_all=True, append_images=[RGB.rotate(90)])


def bmp(name, bits, rows, colours=None, compression=0, masks=(), header=40, top_down=False, count=0):
    tail = struct.pack(f"<{len(masks)}I", *masks)
    info = struct.pack("<iiHHIIiiII", WIDTH, -HEIGHT if top_down else HEIGHT, 1, bits, compression,
                       0, 2835, 2835, count, 0)
    head = (struct.pack("<I", header) + info + tail).ljust(header, b"\0")
    quads = b"" if colours is None else bytes(np.insert(colours[:, ::-1], 3, 0, 1).astype(np.uint8).ravel())
    head += quads
    offset = 14 + len(head)
    files[f"{name}.bmp"] = b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + head + rows


def packed(rows) -> bytes:
    """Rows of bytes, the last one first, each padded to a multiple of four."""
    return b"".join(bytes(row).ljust(-(-len(bytes(row)) // 4) * 4, b"\0") for row in list(rows)[::-1])


bmp("p-8-bits", 8, packed(grey >> 4), few, count=16)
bmp("p-missing-colours", 8, packed(grey >> 3), few, count=16)
bmp("p-top-down", 8, packed((grey >> 4)[::-1]), few, top_down=True, count=16)
halves = np.pad(grey >> 4, ((0, 0), (0, 1)))
bmp("p-4-bits", 4, packed(halves[:, 0::2] << 4 | halves[:, 1::2]), few)
bits = packed(np.packbits(grey > 127, axis=1))
bmp("p-1-bit", 1, bits, palette[:2])
bmp("1", 1, bits, ramp[[0, 255]])
bmp("1-white-is-0", 1, bits, ramp[[255, 0]])
save("l.bmp", L)
save("rgb.bmp", RGB)
words = rng.integers(0, 65536, (HEIGHT, WIDTH)).astype("<u2")
longs = rng.integers(0, 2**32, (HEIGHT, WIDTH)).astype("<u4")
bmp("rgb-16-bits", 16, packed(row.tobytes() for row in words))
bmp("rgb-565", 16, packed(row.tobytes() for row in words), compression=3, masks=(0xF800, 0x7E0, 0x1F))
bmp("rgb-32-bits", 32, packed(row.tobytes() for row in longs))
for name, masks in {
    "rgb-masks": (0xFF000000, 0xFF0000, 0xFF00, 0),
    "rgba-masks": (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    "rgba-no-masks": (0, 0, 0, 0),
}.items():
    bmp(name, 32, packed(row.tobytes() for row in longs), compression=3, masks=masks, header=108)
core = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 4) + bytes(few[:, ::-1].ravel())
files["p-core-header.bmp"] = (
    b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(core)) + core
    + packed(halves[:, 0::2] << 4 | halves[:, 1::2])
)
runs = b"".join(bytes([4, row, 0, 3, 5, row, 6, 0, 4, 15 - row, 0, 0]) for row in range(HEIGHT))
bmp("p-runs", 8, runs + b"\0\1", few, compression=1, count=16)
skips = b"".join(bytes([4, 15 - row, 0, 2, 3, 0, 4, row, 0, 0]) for row in range(HEIGHT))
bmp("p-runs-skips", 8, skips + b"\0\1", few, compression=1, count=16)
halved = b"".join(bytes([5, 0x3A, 0, 4, 0x12, 0x34, 2, 16 * row, 0, 0]) for row in range(HEIGHT))
bmp("p-runs-of-4", 4, halved + b"\0\1", few, compression=2)


def process_image(image: Image.Image, min_pixels: int | None, max_pixels: int | None) -> Image.Image:
    """EasyR1's, verl/utils/dataset.py."""
    image.load()
    if max_pixels is not None and image.width * image.height > max_pixels:
        factor = math.sqrt(max_pixels / (image.width * image.height))
        image = image.resize((int(image.width * factor), int(image.height * factor)))
    if min_pixels is not None and image.width * image.height < min_pixels:
        factor = math.sqrt(min_pixels / (image.width * image.height))
        image = image.resize((int(image.width * factor), int(image.height * factor)))
    return image if image.mode == "RGB" else image.convert("RGB")


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


cases, seen = {}, set()
for name, file in sorted(files.items()):
    opened = lambda: Image.open(io.BytesIO(file))
    mode = opened().mode
    levels = {
        "same": process_image(opened(), None, None),
        "enlarged": process_image(opened(), MIN_PIXELS, None),
        "reduced": process_image(opened(), None, MAX_PIXELS),
    }
    if mode not in seen:
        levels["processed"] = levels["enlarged"].resize((28, 28), Image.Resampling.BICUBIC)
    seen.add(mode)
    cases[name] = {
        "file": text(file),
        "mode": mode,
        "levels": {
            key: {"size": image.size, "rgb": text(image.tobytes())} for key, image in levels.items()
        },
    }

here = Path(__file__).resolve().parent
bounds = {"minPixels": MIN_PIXELS, "maxPixels": MAX_PIXELS}
lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items())
(here / "cases.json").write_text(f'{{"bounds": {json.dumps(bounds)}, "cases": {{\n{lines}\n}}}}\n')
manifest = {
    "what": "levels that Pillow makes of pictures in many modes and formats, resized as EasyR1 resizes them",
    "generator": "generate.py",
    "versions": {
        "pillow": PIL.__version__,
        "tifffile": tifffile.__version__,
        "imagecodecs": imagecodecs.__version__,
    },
    "tolerance": "equal",
}
(here / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
