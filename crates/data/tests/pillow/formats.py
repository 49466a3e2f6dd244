"""Writes PNG, GIF, WebP and BMP files of many kinds into a folder, each with the RGB samples that Pillow decodes it to,
transparency over black (`FILE.rgb`: height and width in two bytes each, little endian, then the samples).

    python3 formats.py FOLDER
"""

import io
import struct
import sys
import zlib
from pathlib import Path

from PIL import Image

FOLDER = Path(sys.argv[1])
WIDTH, HEIGHT = 37, 29


def picture():
    slope = Image.linear_gradient("L")
    waves = slope.point([(i * 11) % 256 for i in range(256)]).rotate(30)
    planes = [one.resize((WIDTH, HEIGHT)) for one in (slope, slope.rotate(90), waves)]
    return Image.merge("RGB", planes)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(depth, color, row_bytes, *chunks):
    """Rows of bytes that mean whatever the kind says; the second half of the rows has filters."""
    rows = [bytes((7 * y + 13 * x) % 256 for x in range(row_bytes)) for y in range(HEIGHT)]
    body = b"".join(bytes([y % 5]) + row for y, row in enumerate(rows))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(bits, data, masks=b"", compression=0, palette=b"", height=HEIGHT, size=40):
    header = struct.pack("<IiiHHIIiiII", size, WIDTH, height, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0)
    header += masks if size == 40 else masks + bytes(size - 40 - len(masks))
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + header + palette + data


def files():
    image = picture()
    grey, few = image.convert("L"), image.quantize(16)
    alpha = image.convert("RGBA")
    alpha.putalpha(grey)
    for name, one in [("rgb", image), ("grey", grey), ("bits", image.convert("1")), ("palette", few), ("alpha", alpha), ("la", alpha.convert("LA"))]:
        yield f"{name}.png", saved(one, "PNG")
    for depth in (1, 2, 4, 8):
        row = -(-WIDTH * depth // 8)
        yield f"grey-{depth}.png", png(depth, 0, row)
        yield f"palette-{depth}.png", png(depth, 3, row, chunk(b"PLTE", bytes((5 * i) % 256 for i in range(3 * 2**depth))))
        yield f"palette-{depth}-key.png", png(depth, 3, row, chunk(b"PLTE", bytes((5 * i) % 256 for i in range(3 * 2**depth))), chunk(b"tRNS", b"\x00\x80"))
        if depth > 1:
            yield f"grey-{depth}-key.png", png(depth, 0, row, chunk(b"tRNS", b"\x00\x01"))
    yield "gif.gif", saved(few, "GIF")
    yield "gif-interlaced.gif", saved(few, "GIF", interlace=1)
    yield "gif-plain.gif", saved(few, "GIF", interlace=0)
    yield "gif-grey.gif", saved(grey, "GIF")
    yield "gif-clear.gif", saved(few, "GIF", transparency=3)
    yield "lossless.webp", saved(image, "WEBP", lossless=True)
    yield "lossless-alpha.webp", saved(alpha, "WEBP", lossless=True, exact=True)
    for quality in (1, 30, 80, 100):
        yield f"lossy-{quality}.webp", saved(image, "WEBP", quality=quality)
    yield "lossy-alpha.webp", saved(alpha, "WEBP", quality=80)
    for name, one in [("rgb", image), ("grey", grey), ("bits", image.convert("1")), ("palette", few), ("alpha", alpha)]:
        yield f"{name}.bmp", saved(one, "BMP")
    row = lambda count: bytes((31 * i) % 256 for i in range(count * HEIGHT))
    yield "top-down.bmp", bmp(24, row(WIDTH * 3 + 1), height=-HEIGHT)
    yield "16.bmp", bmp(16, row(WIDTH * 2 + 2))
    yield "32.bmp", bmp(32, row(WIDTH * 4))
    yield "32-zero.bmp", bmp(32, b"".join(bytes([i % 256, 2 * i % 256, 9, 0]) for i in range(WIDTH * HEIGHT)))
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    yield "565.bmp", bmp(16, row(WIDTH * 2 + 2), masks, 3)
    masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
    yield "888.bmp", bmp(32, row(WIDTH * 4), masks, 3)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield "8888.bmp", bmp(32, row(WIDTH * 4), masks, 3, size=108)
    masks = struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    yield "8888-rgba.bmp", bmp(32, row(WIDTH * 4), masks, 3, size=108)


def laid_over_black(image):
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image.convert("RGB")


for name, data in files():
    (FOLDER / name).write_bytes(data)
    try:
        rgb = laid_over_black(Image.open(io.BytesIO(data)))
    except Exception as error:
        print(name, "is refused by Pillow:", error)
        continue
    (FOLDER / f"{name}.rgb").write_bytes(struct.pack("<HH", rgb.height, rgb.width) + rgb.tobytes())
