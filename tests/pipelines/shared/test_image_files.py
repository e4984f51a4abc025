"""Images of known pixels in every kind of file, read as a viewer shows them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipelines.shared import image_files
from pipelines.shared.errors import UserError

ORIENTATION = 0x0112
# How a picture is stored so that a viewer that heeds the orientation shows it upright.
STORED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
    8: lambda image: np.rot90(image, -1),
}
FORMATS = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 100, "subsampling": 0},
    "TIFF": {},
}


@pytest.fixture
def path(tmp_path):
    """A path whose name says no format: the content decides."""
    return tmp_path / "image"


@pytest.fixture
def picture(rng):
    """RGB, higher than wide, of blocks that JPEG keeps."""
    blocks = rng.integers(0, 256, (3, 2, 3), dtype=np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)


def pixels(*rows):
    return np.array(rows, np.uint8)


def png(image, colour_type, *chunks):
    """A PNG of 16 bits `[height, width, channels]`, which Pillow writes only in grey."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    height, width, _ = image.shape
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, data)
        for kind, data in (
            (b"IHDR", header),
            *chunks,
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
    )


def bmp(bits, palette, rows):
    """A BMP of `bits` to a pixel; rows of bytes as stored, the lowest first."""
    colours = b"".join(bytes([b, g, r, 0]) for r, g, b in palette)
    data = b"".join(row + bytes(-len(row) % 4) for row in rows)
    start = 54 + len(colours)
    width = 8 * len(rows[0]) // bits
    header = struct.pack("<2sIII", b"BM", start + len(data), 0, start)
    numbers = (40, width, len(rows), 1, bits, 0, len(data), 0, 0, len(palette), 0)
    return header + struct.pack("<IiiHHIIiiII", *numbers) + colours + data


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_upright(path, picture, kind, orientation):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](picture)))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored.save(path, kind, exif=exif, **FORMATS[kind])
    read = image_files.read(path)
    assert read.dtype == np.uint8 and read.shape == (24, 16, 3)
    tolerance = 4 if kind == "JPEG" else 0
    np.testing.assert_allclose(read.astype(int), picture, atol=tolerance)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_there_is_not_turns_nothing(path, picture, value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    Image.fromarray(picture).save(path, "PNG", exif=exif)
    np.testing.assert_array_equal(image_files.read(path), picture)


def test_damaged_exif_data_turn_nothing(path, picture):
    Image.fromarray(picture).save(path, "PNG", exif=b"Exif\0\0II*\0nothing")
    with image_files.without_warnings():
        np.testing.assert_array_equal(image_files.read(path), picture)


@pytest.mark.parametrize("mode", ["P", "L", "I;16"])
def test_palettes_and_greys_are_turned_too(path, mode):
    grey = pixels([0, 50, 100], [150, 200, 250])
    upright = {
        "P": Image.fromarray(grey).convert("RGB").quantize(8),
        "L": Image.fromarray(grey),
        "I;16": Image.fromarray(grey.astype(np.uint16) * 257),
    }[mode]
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(path, "PNG", exif=exif)
    np.testing.assert_array_equal(image_files.read(path)[..., 0], grey)


@pytest.mark.parametrize("bits, row", [(1, b"\x55"), (4, b"\x01" * 4)])
def test_palettes_of_bitmaps(path, bits, row):
    colours = [(200, 30, 10), (3, 140, 250)]
    path.write_bytes(bmp(bits, colours, [row, row]))
    np.testing.assert_array_equal(image_files.read(path), pixels(*2 * [4 * colours]))


def test_a_palette_of_256_colours_in_a_bitmap(path):
    colours = [(i, 255 - i, (7 * i) % 256) for i in range(256)]
    path.write_bytes(bmp(8, colours, [bytes([8, 9, 10, 11]), bytes([0, 1, 254, 255])]))
    expected = pixels(
        [colours[i] for i in (0, 1, 254, 255)], [colours[i] for i in (8, 9, 10, 11)]
    )
    np.testing.assert_array_equal(image_files.read(path), expected)


@pytest.mark.parametrize("kind", ["BMP", "PNG", "GIF", "TIFF"])
def test_palettes(path, kind):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 30, 10, 3, 140, 250])
    image.putpixel((1, 0), 1)
    image.save(path, kind)
    expected = [[[200, 30, 10], [3, 140, 250]]]
    assert image_files.read(path).tolist() == expected


@pytest.mark.parametrize("kind", ["BMP", "PNG", "GIF", "TIFF"])
def test_black_and_white(path, kind):
    bits = np.array([[True, False, True], [False, False, True]])
    Image.fromarray(bits).save(path, kind)
    read = image_files.read(path)
    np.testing.assert_array_equal(read[..., 0], 255 * bits)
    assert (read == read[..., :1]).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_16_bits(path, kind):
    values = np.array([[0, 257, 1000], [32768, 65000, 65535]], np.uint16)
    Image.fromarray(values).save(path, kind)
    assert image_files.read(path)[..., 0].tolist() == [[0, 1, 4], [128, 253, 255]]


def test_grey_of_16_bits_where_white_is_zero(path):
    values = np.array([[0, 257, 1000], [32768, 65000, 65535]], np.uint16)
    Image.fromarray(values).save(path, "TIFF", tiffinfo={262: 0})
    assert image_files.read(path)[..., 0].tolist() == [[255, 254, 251], [127, 2, 0]]


@pytest.mark.parametrize("colour_type, channels", [(2, 3), (6, 4), (4, 2)])
def test_colours_and_alpha_of_16_bits(path, colour_type, channels):
    values = (np.arange(12 * channels).reshape(3, 4, channels) * 1300) % 65536
    if channels != 3:
        values[..., -1] = 65535
    path.write_bytes(png(values, colour_type))
    read = image_files.read(path)
    expected = np.broadcast_to(
        values[..., : 1 if channels == 2 else 3] / 257, [3, 4, 3]
    )
    np.testing.assert_allclose(read, expected, atol=1)


def test_one_transparent_value(path):
    values = np.array([[0, 1300, 65535]])[..., None]
    path.write_bytes(png(values, 0, (b"tRNS", struct.pack(">H", 1300))))
    assert image_files.read(path).tolist() == [[[0], [255], [255]]]
    rgb = Image.fromarray(pixels([[9, 8, 7], [1, 2, 3]]))
    rgb.save(path, "PNG", transparency=(9, 8, 7))
    assert image_files.read(path).tolist() == [[[255, 255, 255], [1, 2, 3]]]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_areas_are_white(path, kind):
    rgba = pixels([[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 128]])
    Image.fromarray(rgba).save(path, kind, lossless=True, exact=True)
    expected = [[[10, 20, 30], [255, 255, 255], [127, 177, 227]]]
    np.testing.assert_allclose(image_files.read(path).astype(int), expected, atol=1)


def test_transparent_areas_of_greys_and_palettes_are_white(path):
    Image.fromarray(pixels([[10, 255], [10, 0]])).save(path, "PNG")
    assert image_files.read(path).tolist() == [[[10], [255]]]
    for kind in ("PNG", "GIF"):
        image = Image.new("P", (2, 1))
        image.putpalette([200, 30, 10, 3, 140, 250])
        image.putpixel((1, 0), 1)
        image.save(path, kind, transparency=0)
        assert image_files.read(path).tolist() == [[[255] * 3, [3, 140, 250]]]
    image.save(path, "PNG", transparency=bytes([0, 255]))
    assert image_files.read(path).tolist() == [[[255] * 3, [3, 140, 250]]]


@pytest.mark.parametrize("kind, tolerance", [("JPEG", 3), ("TIFF", 0)])
def test_inks(path, kind, tolerance):
    inks = [(0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 255), (0, 0, 0, 0)]
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 255)]
    stored = pixels(inks).repeat(8, 0).repeat(8, 1)
    Image.fromarray(stored.reshape(8, 32, 4), "CMYK").save(path, kind, quality=100)
    read = image_files.read(path)[4, 4::8]
    np.testing.assert_allclose(read.astype(int), expected, atol=tolerance)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_of_several_pictures(path, kind):
    pictures = [Image.new("RGB", (6, 4), (value, 9, 9)) for value in (40, 90, 200)]
    pictures[0].save(
        path, kind, save_all=True, append_images=pictures[1:], lossless=True
    )
    expected = np.broadcast_to(pixels(40, 9, 9), (4, 6, 3))
    np.testing.assert_array_equal(image_files.read(path), expected)


def test_a_photograph_with_another_behind_it(path, picture):
    small = Image.new("RGB", (4, 4))
    image = Image.fromarray(picture)
    image.save(path, "MPO", save_all=True, append_images=[small], quality=100)
    assert image_files.read(path).shape == picture.shape


def test_greys_have_one_channel(path):
    grey = pixels([0, 50, 100], [150, 200, 250])
    for kind in ("PNG", "BMP", "TIFF"):
        Image.fromarray(grey).save(path, kind)
        np.testing.assert_array_equal(image_files.read(path), grey[..., None])
    Image.fromarray(grey).save(path, "JPEG", quality=100)
    assert image_files.read(path).shape == (2, 3, 1)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_what_has_no_black_and_white_is_refused(path, kind):
    Image.fromarray(np.ones([4, 4], kind)).save(path, "TIFF")
    with pytest.raises(UserError, match="whole numbers without a sign, of up to 16"):
        image_files.read(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
def test_damaged_files_are_one_sentence(path, rng, kind):
    noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, kind, lossless=True)
    whole = path.read_bytes()
    with image_files.without_warnings():
        for share in (0.02, 0.1, 0.5, 0.9):
            path.write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(UserError) as refused:
                image_files.read(path)
            assert "\n" not in str(refused.value)
            assert "<_io" not in str(refused.value)
        # Flipped bytes may go unnoticed, as with any viewer.
        for _ in range(30):
            damaged = np.frombuffer(whole, np.uint8).copy()
            damaged[rng.integers(0, min(len(damaged), 200), 5)] ^= 255
            path.write_bytes(damaged.tobytes())
            try:
                assert image_files.read(path).dtype == np.uint8
            except UserError as error:
                assert "\n" not in str(error)


def test_what_is_no_image_is_named(tmp_path, path):
    with pytest.raises(UserError, match="No such file or directory"):
        image_files.read(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="^The file is empty.$"):
        image_files.read(path)
    for other in (b"no image", b"\0\0\0 ftypheic\0\0\0\0", b"<svg/>"):
        path.write_bytes(other)
        with pytest.raises(UserError, match=r"not an image of a kind .*\(JPEG, PNG"):
            image_files.read(path)
    Image.new("RGB", (4, 4)).save(path, "PPM")
    with pytest.raises(UserError, match="not an image of a kind that is read"):
        image_files.read(path)
    with pytest.raises(UserError, match="Is a directory"):
        image_files.read(tmp_path)


def test_huge_images_are_refused_before_they_are_decoded(path, monkeypatch):
    Image.new("L", (300, 300)).save(path, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    with image_files.without_warnings():
        assert image_files.read(path).shape == (300, 300, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40_000)
    with pytest.raises(UserError, match="An image may have 80,000 pixels"):
        image_files.read(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_writes_what_it_reads(tmp_path, rng, channels):
    image = rng.integers(0, 256, (4, 6, channels), dtype=np.uint8)
    path = tmp_path / "new" / "caf\udce9.png"
    image_files.write(path, image)
    np.testing.assert_array_equal(image_files.read(path), image)
    flat = np.full_like(image, 90)
    image_files.write(tmp_path / "flat.JPG", flat)
    np.testing.assert_array_equal(image_files.read(tmp_path / "flat.JPG"), flat)
    with pytest.raises(UserError, match=r"caf\\xe9.png cannot be written: "):
        image_files.write(tmp_path / "flat.JPG" / "caf\udce9.png", image)


def test_names_are_shown_on_one_line():
    assert image_files.shown("a/b [1].png") == "a/b [1].png"
    assert image_files.shown("café.png") == "café.png"
    assert image_files.shown("caf\udce9.png") == "caf\\xe9.png"
    assert image_files.shown("two\nlines\x1b[31m") == "two\\nlines\\x1b[31m"
