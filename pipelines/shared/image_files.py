"""Image files, read as a viewer shows them and written whole.

Pillow decodes them. A picture is turned as its EXIF orientation says; palettes, 16-bit
values and CMYK become 8-bit grey or RGB; transparent areas are shown over white; the
first picture of an animation or of a TIFF of several pages counts. Colour profiles are
not applied. A TIFF of floats or of signed numbers, which has no fixed black and white,
is refused. The content of a file decides its kind, not its suffix.
"""

import contextlib
import io
import os
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipelines.shared.errors import UserError, first_line
from pipelines.shared.files import write_whole

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
)
KINDS = "JPEG, PNG, BMP, GIF, WebP, TIFF"
# JPEG includes MPO, of phones: a JPEG with further pictures behind it.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
_QUALITY = 95

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1


def read(path):
    """Reads an image as a viewer shows it.

    Args:
        path: Name of a file, which need not be UTF-8.

    Returns:
        uint8 `[height, width, channels]`; a grey image has 1 channel, others have 3.

    Raises:
        UserError: If there is no such file, or no image of these kinds in it. The
            sentence says why, without the name of the file.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UserError(error.strerror or str(error)) from error
    if not data:
        raise UserError("The file is empty.")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            image.load()
            turn = _TURNS.get(_orientation(image))
            shown_pixels = _as_shown(image)
            if turn is not None:
                shown_pixels = shown_pixels.transpose(turn)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(
            f"It is not an image of a kind that is read ({KINDS})."
        ) from error
    except Image.DecompressionBombError as error:
        limit = 2 * Image.MAX_IMAGE_PIXELS
        raise UserError(
            f"An image may have {limit:,} pixels; this one has more."
        ) from error
    # Damaged files make Pillow raise nearly anything (SyntaxError, struct.error,
    # IndexError, ...), and one of them must not end a program.
    except Exception as error:
        reason = first_line(error, type(error).__name__)
        raise UserError(f"It cannot be decoded: {reason}") from error
    pixels = np.asarray(shown_pixels)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def write(path, image):
    """Writes an image, whole or not at all; makes its folder if there is none.

    Args:
        path: Name of a file that ends with .png, .jpg or .jpeg.
        image: uint8 `[height, width, channels]` of 1 or 3 channels.

    Raises:
        UserError: If the file cannot be written.
    """
    is_png = os.path.splitext(path)[1].lower() == ".png"
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)

    def save(name):
        if is_png:
            picture.save(name, "PNG")
        else:
            picture.save(name, "JPEG", quality=_QUALITY)

    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        write_whole(str(path), save)
    except OSError as error:
        raise UserError(
            f"{shown(path)} cannot be written: {error.strerror or error}."
        ) from error


def shown(path):
    """A path as one line of text that every terminal can print, for messages.

    Bytes that are not UTF-8 are shown as `\\xe9`, line breaks as `\\n`.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape").decode()
        for character in text
    )


@contextlib.contextmanager
def without_warnings():
    """Keeps Pillow's warnings (odd metadata, large pictures) off the terminal.

    All threads share the filters of warnings: enter this context before starting any.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        yield


def _orientation(image):
    """The EXIF orientation, 1 to 8; 1 where it is absent or cannot be read."""
    # A viewer shows a picture with damaged EXIF data as it is stored.
    with contextlib.suppress(Exception):
        return image.getexif().get(_ORIENTATION, 1)
    return 1


def _as_shown(image):
    """Converts a Pillow image to mode L or RGB, as a viewer shows it."""
    if image.format == "TIFF":
        _check_samples(image)
    if image.mode.startswith("I"):
        return _to_8_bits(image)
    is_grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = _over_white(image)
        return image.getchannel(0) if is_grey else image
    mode = "L" if is_grey else "RGB"
    # Most images have this mode already, and `convert` would copy them.
    return image if image.mode == mode else image.convert(mode)


def _check_samples(image):
    """Raises UserError unless the values of a TIFF are unsigned, up to 16 bits."""
    kinds = image.tag_v2.get(_SAMPLE_FORMAT, (_UNSIGNED,))
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))
    if set(kinds) != {_UNSIGNED} or max(bits) > 16:
        raise UserError(
            "A TIFF can be read if its values are whole numbers without a sign, of up "
            f"to 16 bits: save it so. Received: mode {image.mode}, {max(bits)} bits"
        )


def _to_8_bits(image):
    """Scales a grey image of more than 8 bits, which `convert` would clip."""
    values = np.asarray(image)
    tags = image.tag_v2 if image.format == "TIFF" else {}
    (bits,) = tags.get(_BITS_PER_SAMPLE, (16,))
    grey = np.rint(values * (255 / (2**bits - 1))).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    if "transparency" in image.info:
        grey = np.where(values == image.info["transparency"], np.uint8(255), grey)
    return Image.fromarray(grey)


def _over_white(image):
    """Lays an image with transparent areas over white: an RGB image."""
    # Values that were multiplied by alpha are divided by alpha first.
    for mode, plain in (("La", "LA"), ("RGBa", "RGBA")):
        if image.mode == mode:
            image = image.convert(plain)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
