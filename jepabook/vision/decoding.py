"""One image file's bytes as a small square picture, or the reason why not."""

import ctypes
import io
import re
import threading
import warnings
from contextlib import contextmanager, nullcontext, suppress

import numpy as np
from PIL import ExifTags, Image

# not EPS, which runs a program, nor formats whose readers write to the log
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "PPM")
LARGEST_PIXELS = 2**26  # of an image, decoded; Pillow itself warns from 89 million on
LARGEST_BYTES = 2**28  # of an image file

EMPTY, NO_IMAGE, UNREADABLE = "empty file", "not an image", "unreadable file"
DAMAGED, SMALL, HUGE = "damaged or truncated", "smaller than the size", "too many pixels"
UNUSUAL, UNREAD = "pixels of an unusual kind", "a format that is not read"

HEAD = 16  # bytes that tell a format
# how files of the formats begin, and those of other ones: TIFF, JPEG 2000, JPEG XL, AVIF, HEIC, PSD
KNOWN = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP|BM.{4}\0{4}|P[1-6][\s#]",
    re.DOTALL,
)
FOREIGN = re.compile(
    rb"II[*+]\0|MM\0[*+]|\xff\x4f\xff\x51|\xff\x0a|8BPS|"
    rb".{4}(jP  |JXL |ftyp(avi[fs]|hei[cmsx]|hevc|mif1|msf1))",
    re.DOTALL,
)


class Skipped(Exception):
    """An image that cannot be used; its text is the reason, one of the words above."""


class Room:
    """So much of something as all threads together may hold; who asks for more waits.

    Parameters
    ----------
    most : int
        Bytes, or pixels. What asks for more gets it alone.
    """

    def __init__(self, most):
        self.most, self.free, self.changed = most, most, threading.Condition()

    @contextmanager
    def hold(self, amount):
        """Wait until there is room for `amount`, and take it while inside."""
        amount = min(amount, self.most)
        with self.changed:
            self.changed.wait_for(lambda: amount <= self.free)
            self.free -= amount
        try:
            yield
        finally:
            if amount > self.most // 64:
                _give_back()
            with self.changed:
                self.free += amount
                self.changed.notify_all()


def _give_back():
    """Give the system back what was freed: glibc would keep it, for each thread."""
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def quiet():
    """No warnings from decoders, which tell of oddities in files on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decoded(data, size, room=None):
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
    room : Room or None
        For the pixels of all images that are being decoded, `LARGEST_PIXELS` or more. One pixel
        takes up to 30 bytes.

    Returns
    -------
    pixels : uint8 ndarray (size, size, 3)
    mode : str
        Pillow's word for what the file held, such as "RGB", "L" or "CMYK", followed by ", turned"
        if EXIF data ask for a rotation, and by ", first frame" if there are more.

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
        raise Skipped({True: DAMAGED, False: UNREAD, None: NO_IMAGE}[known(data)]) from None
    except Image.DecompressionBombError:
        raise Skipped(HUGE) from None
    except MemoryError:  # the image is none the worse for it
        raise
    except Exception:  # a damaged header can raise nearly anything
        raise Skipped(DAMAGED) from None
    with image:
        if image.width * image.height > LARGEST_PIXELS:
            raise Skipped(HUGE)
        if min(image.size) < size:
            raise Skipped(SMALL)
        try:
            mode = image.mode
            with room.hold(image.width * image.height) if room else nullcontext():
                pixels = shrunk(_in_colour(image), size)
            return pixels, mode + _oddities(image)
        except Skipped:
            raise
        except MemoryError:  # the image is none the worse for it
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
        values = (np.asarray(image) >> 8).clip(0, 255)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Skipped(UNUSUAL)
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear).convert("RGB")
    return image.convert("RGB")


def known(data):
    """True for a file that begins as the formats do, False as other images do, None as neither."""
    return True if KNOWN.match(data) else False if FOREIGN.match(data) else None


def _oddities(image):
    """What `decoded` leaves out of an image; what is damaged there does not matter."""
    turned = frames = False
    with suppress(Exception):
        turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    with suppress(Exception):
        frames = getattr(image, "is_animated", False)
    return ", turned" * turned + ", first frame" * frames
