#!/usr/bin/env python3
"""Golden levels of DICOM pictures: what pydicom makes of them on the way to a screen.

    pip install pydicom numpy pillow imagecodecs && python3 generate.py

cases.json has, by name, the file and its levels, both base64: the values of `pixel_array`, `apply_modality_lut` and
`apply_voi_lut`, as the rounded fraction of their range in 255 levels, inverted for MONOCHROME1. Frames that pydicom has
no decoder for without further packages (JPEG of 12 bits or lossless, JPEG-LS) are decoded by imagecodecs, which has
libjpeg-turbo 3 and CharLS.
"""

import base64
import io
import json
from pathlib import Path

import imagecodecs
import numpy as np
import PIL
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

HEIGHT, WIDTH = 13, 18
SYNTAXES = "1.2.840.10008.1.2"
rng = np.random.default_rng(0)
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
deep = ((x * 173 + y * 97 + rng.integers(0, 300, (HEIGHT, WIDTH))) % 4096).astype(np.uint16)
signed = (deep.astype(np.int16) - 1500).astype(np.int16)
smooth = (2048 + 1800 * np.sin(x / 4) * np.cos(y / 5)).astype(np.uint16)
grey = (deep >> 4).astype(np.uint8)
rgb = np.stack([x * 11, y * 13, (x * y) % 256], -1).astype(np.uint8)

cases: dict[str, dict[str, str]] = {}


def dataset(pixels: np.ndarray, stored: int, colours: str = "MONOCHROME2", **attributes) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.PatientName = "Nobody^In Particular"
    ds.Rows, ds.Columns = HEIGHT, WIDTH
    ds.SamplesPerPixel = 3 if pixels.shape[-1] == 3 else 1
    if ds.SamplesPerPixel == 3:
        ds.PlanarConfiguration = 0
    ds.PhotometricInterpretation = colours
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored, ds.HighBit = stored, stored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in attributes.items():
        setattr(ds, name, value)
    ds.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    return ds


def table(count: int, first: int, bits: int, entries: np.ndarray, representation: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", representation, [count % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def compressed(ds: Dataset, syntax: str, *frames: bytes, **options) -> Dataset:
    ds.file_meta.TransferSyntaxUID = UID(SYNTAXES + syntax)
    ds.PixelData = encapsulate(list(frames), **options)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return ds


def first_frame(ds: Dataset) -> np.ndarray:
    syntax, count = str(ds.file_meta.TransferSyntaxUID)[len(SYNTAXES) :], int(ds.get("NumberOfFrames", 1))
    decoders = {
        ".4.51": imagecodecs.jpeg_decode,
        ".4.57": imagecodecs.jpeg_decode,
        ".4.70": imagecodecs.jpeg_decode,
        ".4.80": imagecodecs.jpegls_decode,
        ".4.81": imagecodecs.jpegls_decode,
    }
    if syntax in decoders:
        decoded = decoders[syntax](get_frame(ds.PixelData, 0, number_of_frames=count))
        return decoded.view(np.int16) if ds.PixelRepresentation else decoded
    pixels = ds.pixel_array
    return pixels[0] if count > 1 else pixels


def levels(ds: Dataset) -> np.ndarray:
    def rounded(fraction: np.ndarray) -> np.ndarray:
        return np.floor(255 * np.clip(fraction, 0, 1) + 0.5).astype(np.uint8)

    pixels, stored = first_frame(ds), ds.BitsStored
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, ds)
        return rounded(colours / (2 ** ds.RedPaletteColorLookupTableDescriptor[2] - 1))
    if ds.SamplesPerPixel == 3:
        return rounded(pixels / (2**stored - 1))
    low = -(2 ** (stored - 1)) if ds.PixelRepresentation else 0
    high = low + 2**stored - 1
    if "ModalityLUTSequence" in ds:
        low, high = 0, 2 ** ds.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    elif "RescaleSlope" in ds:
        low, high = (float(end * ds.RescaleSlope + ds.RescaleIntercept) for end in (low, high))
    values = apply_voi_lut(apply_modality_lut(pixels, ds), ds)
    if "VOILUTSequence" in ds:
        low, high = 0, 2 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif "WindowCenter" not in ds:
        low, high = min(low, high), max(low, high)
    shown = rounded((values.astype(np.float64) - low) / (high - low))
    return 255 - shown if ds.PhotometricInterpretation == "MONOCHROME1" else shown


def add(name: str, ds: Dataset, reference: Dataset | None = None) -> None:
    memory = io.BytesIO()
    ds.save_as(memory, enforce_file_format=True)
    file = memory.getvalue()
    shown = levels(reference or pydicom.dcmread(io.BytesIO(file)))
    cases[name] = {"file": base64.b64encode(file).decode(), "levels": base64.b64encode(shown.tobytes()).decode()}


# Grey: stored bits, rescale, windows, tables.
window = {"WindowCenter": 2000, "WindowWidth": 1500}
add("12 bits, no window", dataset(deep, 12))
add("8 bits", dataset(grey, 8))
add("12 bits with marks above them", dataset(deep | (0xA000 * (x % 2)).astype(np.uint16), 12))
add("MONOCHROME1 by a window", dataset(deep, 12, "MONOCHROME1", **window))
add("signed, rescaled, by a window", dataset(signed, 16, RescaleSlope=1.5, RescaleIntercept=-24, WindowCenter=40, WindowWidth=400))
add("signed, 13 bits, rescaled, no window", dataset(signed, 13, RescaleSlope=2, RescaleIntercept=-1024))
add("a slope below 0, by a window", dataset(deep, 12, RescaleSlope=-1, RescaleIntercept=4095, **window))
add("a slope below 0, no window", dataset(deep, 12, RescaleSlope=-0.5, RescaleIntercept=10))
add("the first of several windows", dataset(deep, 12, WindowCenter=[1000, 500], WindowWidth=[700.5, 9]))
add("a window of width 1", dataset(deep, 12, WindowCenter=1700, WindowWidth=1))
add("LINEAR_EXACT", dataset(deep, 12, VOILUTFunction="LINEAR_EXACT", **window))
add("SIGMOID", dataset(deep, 12, VOILUTFunction="SIGMOID", **window))
curve = np.sqrt(np.arange(3000) / 3000)
add("a VOI LUT before a window", dataset(deep, 12, VOILUTSequence=[table(3000, 500, 12, curve * 4095)], **window))
narrow, wider = (
    dataset(signed, 12, "MONOCHROME1", VOILUTSequence=[table(3000, -900, bits, np.trunc(curve * 255) * times, "SS")])
    for bits, times in ((8, 1), (16, 257))
)
# pydicom keeps an index into a table of 8 bits in 8 bits.
add("a VOI LUT of 8 bits, signed", narrow, wider)
add("a modality LUT, then a window", dataset(deep, 12, ModalityLUTSequence=[table(3000, 100, 16, curve * 65535)], WindowCenter=30000, WindowWidth=30000))
add("a modality LUT, no window", dataset(deep, 12, ModalityLUTSequence=[table(3000, 100, 8, curve * 255)]))
grouped, plain = dataset(signed, 16), dataset(signed, 16, RescaleSlope=1, RescaleIntercept=-100, WindowCenter=0, WindowWidth=900)
transform, view, shared = Dataset(), Dataset(), Dataset()
transform.RescaleSlope, transform.RescaleIntercept = plain.RescaleSlope, plain.RescaleIntercept
view.WindowCenter, view.WindowWidth = plain.WindowCenter, plain.WindowWidth
shared.PixelValueTransformationSequence, shared.FrameVOILUTSequence = [transform], [view]
grouped.SharedFunctionalGroupsSequence = [shared]
# pydicom reads these of the data set alone.
add("functional groups of an enhanced file", grouped, plain)
single = dataset(grey, 8, BitsAllocated=1, BitsStored=1, HighBit=0)
single.PixelData = np.packbits((grey > 100).reshape(-1), bitorder="little").tobytes() + b"\0"
add("1 bit", single)

# Transfer syntaxes.
implicit = dataset(deep, 12, **window)
implicit.file_meta.TransferSyntaxUID = UID(SYNTAXES)
add("implicit", implicit)
swapped = dataset(deep.byteswap(), 12, **window)
swapped.file_meta.TransferSyntaxUID = UID(SYNTAXES + ".2")
add("big-endian", swapped)
turned = dataset(np.pad(rgb.reshape(-1), (0, rgb.size % 2)).view("<u2").byteswap().view("u1"), 8, "RGB", SamplesPerPixel=3, PlanarConfiguration=0)
turned["PixelData"].VR = "OW"
turned.file_meta.TransferSyntaxUID = UID(SYNTAXES + ".2")
add("big-endian words of bytes", turned)
deflated = dataset(deep, 12, **window)
deflated.file_meta.TransferSyntaxUID = UID(SYNTAXES + ".1.99")
add("deflated", deflated)
for name, pixels, stored in ("12 bits", deep, 12), ("signed", signed, 16), ("8 bits", grey, 8):
    packed = dataset(pixels, stored, **window)
    packed.compress(RLELossless)
    add(f"RLE, {name}", packed)
coloured = dataset(rgb, 8, "RGB")
coloured.compress(RLELossless)
add("RLE, RGB", coloured)
for name, pixels, quality in ("12 bits", smooth, 90), ("12 bits, steep", deep, 60):
    frame = imagecodecs.jpeg_encode(pixels, quality, bitspersample=12)
    add(f"JPEG, {name}", compressed(dataset(pixels, 12, **window), ".4.51", frame))
add("JPEG, 8 bits", compressed(dataset(grey, 8), ".4.50", imagecodecs.jpeg_encode(grey, 90)))
for predictor in range(1, 8):
    frame = imagecodecs.jpeg_encode(deep, lossless=True, predictor=predictor, bitspersample=12)
    add(f"JPEG, lossless by predictor {predictor}", compressed(dataset(deep, 12, **window), ".4.57", frame))
wide = (deep.astype(np.uint32) * 16).astype(np.uint16)
frame = imagecodecs.jpeg_encode(wide, lossless=True, predictor=1, bitspersample=16)
add("JPEG, lossless, 16 bits", compressed(dataset(wide, 16), ".4.70", frame))
frame = imagecodecs.jpeg_encode(rgb, lossless=True, predictor=1, colorspace="RGB", outcolorspace="RGB")
add("JPEG, lossless, RGB", compressed(dataset(rgb, 8, "RGB"), ".4.70", frame))
add("JPEG-LS, 12 bits", compressed(dataset(deep, 12, **window), ".4.80", imagecodecs.jpegls_encode(deep)))
add("JPEG-LS, lossy", compressed(dataset(grey, 8), ".4.81", imagecodecs.jpegls_encode(grey, 3)))
add("JPEG-LS, RGB", compressed(dataset(rgb, 8, "RGB"), ".4.80", imagecodecs.jpegls_encode(rgb)))
stream = {"codecformat": "J2K", "mct": False}
add("JPEG 2000, 12 bits", compressed(dataset(deep, 12, **window), ".4.90", imagecodecs.jpeg2k_encode(deep, reversible=True, bitspersample=12, **stream)))
add("JPEG 2000, signed", compressed(dataset(signed, 16, RescaleSlope=1, RescaleIntercept=0, WindowCenter=500, WindowWidth=900), ".4.90", imagecodecs.jpeg2k_encode(signed, reversible=True, **stream)))
add("JPEG 2000, lossy", compressed(dataset(grey, 8), ".4.91", imagecodecs.jpeg2k_encode(grey, 30, **stream)))
stream["mct"] = True
add("JPEG 2000, RGB", compressed(dataset(rgb, 8, "YBR_RCT"), ".4.90", imagecodecs.jpeg2k_encode(rgb, reversible=True, **stream)))

# Restarts, which these encoders do not write: 8-bit coefficients said to be of 12 bits, and an encoder of rows.
memory = io.BytesIO()
Image.fromarray(grey).save(memory, "JPEG", quality=90, restart_marker_blocks=2)
frame = memory.getvalue().replace(b"\xff\xc0\0\x0b\x08", b"\xff\xc1\0\x0b\x0c")
add("JPEG, 12 bits, with restarts", compressed(dataset(deep, 12), ".4.51", frame))


def lossless(pixels: np.ndarray, rows: int) -> bytes:
    """Lossless JPEG by predictor 1, each category of differences as a code of 5 bits, a restart after some rows."""

    def segment(marker: int, *body: int) -> bytes:
        return bytes([0xFF, marker, 0, 2 + len(body), *body])

    height, width = pixels.shape
    head = segment(0xC3, 12, 0, height, 0, width, 1, 1, 0x11, 0)
    codes = segment(0xC4, 0, *[0, 0, 0, 0, 17, *[0] * 11], *range(17))
    restarts, scan = segment(0xDD, 0, rows * width), segment(0xDA, 1, 1, 0, 1, 0, 0)
    stream = b"\xff\xd8" + head + codes + restarts + scan
    for start in range(0, height, rows):
        bits, part = "", pixels[start : start + rows].astype(int)
        for (row, column), value in np.ndenumerate(part):
            above = part[row - 1, 0] if row else 2048
            difference = int(value - (part[row, column - 1] if column else above))
            size = abs(difference).bit_length()
            bits += f"{size:05b}" + (f"{difference + (2**size - 1 if difference < 0 else 0):0{size}b}" if size else "")
        bits += "1" * (-len(bits) % 8)
        packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        stream += packed.replace(b"\xff", b"\xff\0") + bytes([0xFF, 0xD0 + start // rows % 8])
    return stream[:-1] + b"\xd9"


add("JPEG, lossless, with restarts", compressed(dataset(deep, 12, **window), ".4.57", lossless(deep, 3)))

# Frames. The second one is another picture.
frames = [imagecodecs.jpeg_encode(pixels, lossless=True, bitspersample=12) for pixels in (deep, smooth)]
many = {"NumberOfFrames": 2, **window}
add("the first of two frames", dataset(np.stack([deep, smooth]), 12, **many))
add("the first of two frames, by the offset table", compressed(dataset(deep, 12, **many), ".4.57", *frames, fragments_per_frame=2))
add("the first of two frames, each a fragment", compressed(dataset(deep, 12, **many), ".4.57", *frames, has_bot=False))
add("the first of two frames, by its end", compressed(dataset(deep, 12, **many), ".4.57", *frames, has_bot=False, fragments_per_frame=2))
add("a frame of three fragments", compressed(dataset(deep, 12, **window), ".4.57", frames[0], has_bot=False, fragments_per_frame=3))

# Colours.
add("RGB", dataset(rgb, 8, "RGB"))
add("RGB in planes", dataset(np.moveaxis(rgb, -1, 0), 8, "RGB", SamplesPerPixel=3, PlanarConfiguration=1))
add("RGB of 16 bits", dataset(rgb.astype(np.uint16) * 250, 16, "RGB"))
add("YBR_FULL", dataset(rgb, 8, "YBR_FULL"))
pairs = np.stack([rgb[:, 0::2, 0], rgb[:, 1::2, 0], rgb[:, 0::2, 1], rgb[:, 0::2, 2]], -1)
add("YBR_FULL_422", dataset(pairs, 8, "YBR_FULL_422", SamplesPerPixel=3, PlanarConfiguration=0))
ramps = {c: (np.arange(200) * k % 256).astype(np.uint8) for c, k in (("Red", 1), ("Green", 3), ("Blue", 7))}
for bits, first in (8, 5), (16, 0):
    palette = {}
    for colour, ramp in ramps.items():
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [200, first, bits]
        palette[f"{colour}PaletteColorLookupTableData"] = (ramp if bits == 8 else ramp.astype("<u2") * 257).tobytes()
    add(f"a palette of {bits} bits", dataset(grey, 8, "PALETTE COLOR", **palette))
for name, options in {
    "JFIF": {"subsampling": 0},
    "JFIF, chrominance halved": {"subsampling": 1},
    "JFIF, chrominance quartered": {"subsampling": 2},
    "RGB by component names": {"keep_rgb": True, "subsampling": 0},
}.items():
    memory = io.BytesIO()
    Image.fromarray(rgb).save(memory, "JPEG", quality=90, **options)
    colours = "RGB" if "keep_rgb" in options else "YBR_FULL_422"
    add(f"JPEG, {name}", compressed(dataset(rgb, 8, colours), ".4.50", memory.getvalue()))

here = Path(__file__).parent
(here / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
manifest = {
    "what": "levels that pydicom makes of DICOM pictures of every kind that is read",
    "generator": "generate.py",
    "versions": {
        "pydicom": pydicom.__version__,
        "pillow": PIL.__version__,
        "imagecodecs": imagecodecs.__version__,
    },
    "tolerance": "equal",
}
(here / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
