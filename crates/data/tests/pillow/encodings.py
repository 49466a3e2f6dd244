"""Writes JPEGs of many kinds into a folder, each with the RGB samples that Pillow decodes it to (`NAME.rgb`: height and
width in two bytes each, little endian, then the samples).

Needs Pillow, cjpeg and jpegtran (Debian: libjpeg-turbo-progs).

    python3 encodings.py FOLDER
"""

import io
import struct
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageChops

FOLDER = Path(sys.argv[1])
SCRIPTS = {
    "separate": "0;\n1;\n2;\n",
    "pair": "0;\n1 2;\n",
    "backwards": "2;\n1;\n0;\n",
    "spectral": "0 1 2: 0-0,0,0;\n0: 1-9,0,0;\n0: 10-63,0,0;\n1: 1-63,0,0;\n2: 1-63,0,0;\n",
    "successive": "0: 0-0,0,1;\n1: 0-0,0,1;\n2: 0-0,0,1;\n0: 1-5,0,2;\n1: 1-63,0,1;\n2: 1-63,0,1;\n0: 6-63,0,2;\n"
    "0: 1-63,2,1;\n0 1 2: 0-0,1,0;\n0: 1-63,1,0;\n1: 1-63,1,0;\n2: 1-63,1,0;\n",
}
# Of components that are interleaved at most ten blocks.
SAMPLINGS = (
    "1x1 2x1 1x2 2x2 4x1 1x4 4x2 2x4 3x1 1x3 3x2 2x3 1x1,2x2,2x2 2x2,2x1,1x2 2x1,1x1,2x1 1x1,2x1,2x1 2x2,1x1,2x2 "
    "1x2,2x1,1x1 4x1,2x1,1x1 1x1,1x2,1x2 2x2,2x1,2x1 2x2,1x2,1x2 2x1,2x1,1x1 1x1,4x1,1x1"
).split()


def picture(width, height):
    """Slopes, a wave and an edge."""
    slope = Image.linear_gradient("L")
    waves = slope.point([(i * 11) % 256 for i in range(256)]).rotate(30)
    image = Image.merge("RGB", [slope.resize((width, height)), slope.rotate(90).resize((width, height)), waves.resize((width, height))])
    image.paste((250, 10, 30), (width // 4, height // 4, width // 2, height // 2))
    return image


def run(data, *command):
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    return done.stdout


def pillow(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def cjpeg(image, *arguments):
    out = io.BytesIO()
    image.save(out, "PPM")
    return run(out.getvalue(), "cjpeg", "-quality", "85", *arguments)


def transcoded(data, script=None, *arguments):
    if script:
        path = FOLDER / f"{script}.scans"
        path.write_text(SCRIPTS[script])
        arguments = ("-scans", str(path), *arguments)
    return run(data, "jpegtran", *arguments)


def encodings():
    image = picture(97, 61)
    for subsampling, name in enumerate(["444", "422", "420"]):
        base = pillow(image, quality=85, subsampling=subsampling)
        yield name, base
        yield f"{name}-progressive", pillow(image, quality=85, subsampling=subsampling, progressive=True)
        for script in SCRIPTS:
            yield f"{name}-{script}", transcoded(base, script)
        yield f"{name}-restart", transcoded(base, None, "-restart", "1")
        yield f"{name}-restart-blocks", transcoded(base, None, "-restart", "3b")
        yield f"{name}-restart-separate", transcoded(base, "separate", "-restart", "1")
        yield f"{name}-restart-progressive", transcoded(base, None, "-restart", "2b", "-progressive")
        yield f"{name}-arithmetic", transcoded(base, None, "-arithmetic")
        yield f"{name}-arithmetic-progressive", transcoded(base, None, "-arithmetic", "-progressive")
        yield f"{name}-optimized", transcoded(base, None, "-optimize")
        yield f"{name}-transposed", transcoded(base, None, "-transpose")
        yield f"{name}-transposed-separate", transcoded(transcoded(base, None, "-transpose"), "separate")
        yield f"{name}-grey", transcoded(base, None, "-grayscale")
    for sampling in SAMPLINGS:
        name = "sampling-" + sampling.replace(",", "-")
        base = cjpeg(image, "-sample", sampling)
        yield name, base
        yield f"{name}-progressive", cjpeg(image, "-sample", sampling, "-progressive")
        yield f"{name}-separate", transcoded(base, "separate")
    yield "rgb", cjpeg(image, "-rgb")
    yield "rgb-progressive", cjpeg(image, "-rgb", "-progressive")
    yield "rgb-sampled", cjpeg(image, "-rgb", "-sample", "2x2")
    yield "smooth", cjpeg(image, "-smooth", "20")
    yield "quality-1", pillow(image, quality=1)
    yield "quality-10-progressive", pillow(image, quality=10, progressive=True)
    yield "quality-100", pillow(image, quality=100, subsampling=2)
    grey = image.convert("L")
    yield "grey", pillow(grey, quality=85)
    yield "grey-progressive", pillow(grey, quality=85, progressive=True)
    cmyk = Image.merge("CMYK", [*image.split(), ImageChops.invert(grey)])
    for progressive in (False, True):
        data = pillow(cmyk, quality=85, progressive=progressive)
        yield f"cmyk-{progressive}", data
        ycck = bytearray(data)
        ycck[ycck.index(b"Adobe") + 11] = 2
        yield f"ycck-{progressive}", bytes(ycck)
    for width, height in [(1, 1), (2, 2), (7, 5), (8, 8), (9, 17), (15, 16), (17, 16), (33, 1), (1, 33), (2, 80), (3, 100), (5, 3)]:
        part = picture(max(width, 8), max(height, 8)).crop((0, 0, width, height))
        for subsampling, name in enumerate(["444", "422", "420"]):
            base = pillow(part, quality=90, subsampling=subsampling)
            yield f"size-{width}x{height}-{name}", base
            yield f"size-{width}x{height}-{name}-progressive", transcoded(base, None, "-progressive")
            yield f"size-{width}x{height}-{name}-separate", transcoded(base, "separate")
        yield f"size-{width}x{height}-411", cjpeg(part, "-sample", "4x1")
    base = pillow(image, quality=85, subsampling=2)
    scan = base.index(b"\xff\xda")
    yield "fill-bytes", base[:scan] + b"\xff\xff\xff" + base[scan:]
    yield "comment", base[:2] + b"\xff\xfe\x00\x06ab\xff\xd9" + base[2:]
    yield "followed-by-a-jpeg", base + base
    yield "followed-by-half", base + base[: len(base) // 2]


for name, data in encodings():
    (FOLDER / f"{name}.jpg").write_bytes(data)
    rgb = Image.open(io.BytesIO(data)).convert("RGB")
    (FOLDER / f"{name}.rgb").write_bytes(struct.pack("<HH", rgb.height, rgb.width) + rgb.tobytes())
