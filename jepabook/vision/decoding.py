"""One image file's bytes as a small square picture, or the reason why not."""

import io
import warnings
from contextlib import contextmanager

import numpy as np
from PIL import Image

# not EPS, which runs a program, nor formats whose readers write to the log
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "PPM")
LARGEST_PIXELS = 2**26  # of an image, decoded; Pillow itself warns from 89 million on
LARGEST_BYTES = 2**28  # of an image file

EMPTY, NO_IMAGE, UNREADABLE = "empty file", "not an image", "unreadable file"
DAMAGED, SMALL, HUGE = "damaged or truncated", "smaller than the size", "too many pixels"
UNUSUAL = "pixels of an unusual kind"


class Skipped(Exception):
    """An image that cannot be used; its text is the reason, one of the words above."""


@contextmanager
def quiet():
    """No warnings from decoders, which tell of oddities in files on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decoded(data, size):
    """A file's image, in RGB, its shorter side resized to `size`, the centre cut out.

    Grey, palette and CMYK images are converted (CMYK without its colour profile, as Pillow does),
    16-bit grey keeps its upper 8 bits, transparency shows black behind, an animation its first
    frame; a rotation that only the EXIF data tell is not applied (nor is it by torchvision).
    Call it inside `quiet`.

    Parameters
    ----------
    data : bytes
    size : int
        Images with a shorter side than this are refused: none is enlarged.

    Returns
    -------
    pixels : uint8 ndarray (size, size, 3)
    mode : str
        Pillow's word for what the file held, such as "RGB", "L" or "CMYK".

    Raises
    ------
    Skipped
        With the reason. A JPEG whose data are damaged in the middle but reach its end is not
        noticed: the decoder itself does not tell.
    """
    if not data:
        raise Skipped(EMPTY)
    if len(data) > LARGEST_BYTES:
        raise Skipped(HUGE)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise Skipped(NO_IMAGE if not _looks_known(data) else DAMAGED) from None
    except Image.DecompressionBombError:
        raise Skipped(HUGE) from None
    except Exception:  # a damaged header can raise nearly anything
        raise Skipped(DAMAGED) from None
    with image:
        if image.width * image.height > LARGEST_PIXELS:
            raise Skipped(HUGE)
        if min(image.size) < size:
            raise Skipped(SMALL)
        mode = image.mode
        try:
            return shrunk(_in_colour(image), size), mode
        except Skipped:
            raise
        except Exception:  # damaged data can raise nearly anything
            raise Skipped(DAMAGED) from None


def shrunk(image, size):
    """The central square of a Pillow image in RGB, its shorter side resized to `size`.

    The bicubic kernel is widened by the factor of the reduction, so nothing is aliased.

    Returns
    -------
    uint8 ndarray (size, size, 3)
    """
    short = min(image.size)
    width, height = (side * size // short for side in image.size)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return np.array(image.crop((left, top, left + size, top + size)))


def _in_colour(image):
    """A Pillow image in RGB."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Skipped(UNUSUAL)
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear).convert("RGB")
    return image.convert("RGB")


def _looks_known(data):
    """Whether the first bytes are those of one of the formats: such a file is damaged."""
    return data[:4] == b"RIFF" or data.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM"))
