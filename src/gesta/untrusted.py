"""Safe handling of untrusted input: displayed text, zip members and arrays of bounded size, regular files only.

Standard library and numpy only. Errors are ValueError or OSError; callers add the file's name in a GestaError.
"""

from __future__ import annotations

import io
import lzma
import math
import re
import struct
import tokenize
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_TEXT_BYTES = 64 * 1024**2
"""Size limit for tables, skeletons and lists: ten hours of a skeleton are about 40 MB."""
MAX_MEMBER_BYTES = 512 * 1024**2
MAX_PIXELS = 40_000_000
"""Limit for images and video frames: 8K has 33 million. Decoders allocate the memory that a header asks for."""
PNG = b"\x89PNG\r\n\x1a\n"
MAX_EXPANSION = 200
SMALL_BYTES = 16 * 1024**2
"""Zip members are unpacked in memory: more than 512 MB, or than 200 times the packed size and 16 MB, is refused."""

ZIP_FAULTS = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""Exceptions from zipfile for archives that are damaged, encrypted, of an unknown version or malicious."""

NPY_FAULTS = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    SyntaxError,
    TypeError,
    AttributeError,
    RecursionError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
"""Exceptions from numpy for a .npy with a damaged or malicious header."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def valid_text(text: str) -> str:
    r"""Text that can be encoded as UTF-8: bytes of a file name that are not valid UTF-8 become \xNN."""
    return _SURROGATES.sub(_escape, text) if not text.isascii() else text


def same_text(text: str) -> str:
    """Normalizes text to Unicode NFC (macOS stores names as NFD) and makes it valid."""
    return unicodedata.normalize("NFC", valid_text(text))


def printable(text: str) -> str:
    r"""Text with control characters, line breaks and bidirectional marks escaped as \xNN or \uNNNN."""
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # how Python represents a byte of a name that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def open_file(path: Path) -> io.BufferedReader:
    """Opens a regular file. Raises OSError if it is missing or could block forever (a pipe, a device)."""
    if path.exists() and not path.is_file():
        raise OSError("it is a folder" if path.is_dir() else "it is not a regular file but a pipe, socket or device")
    return path.open("rb")


def read_bounded(stream: BinaryIO, limit: int = MAX_TEXT_BYTES) -> bytes:
    """The rest of a stream. Raises ValueError if it has more than `limit` bytes."""
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it is larger than {limit // 2**20} MB, the limit for such files")
    return data


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens an archive. Raises ValueError with the reason for anything wrong with it or one of its members."""
    try:
        with open_file(path) as stream, zipfile.ZipFile(stream) as archive:
            yield archive
    except NotImplementedError as error:
        raise ValueError(f"a kind of zip that cannot be read: {error}") from error
    except KeyError as error:
        raise ValueError(f"the archive has no such member ({error})") from error
    except ZIP_FAULTS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def read_member(archive: zipfile.ZipFile, name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
    """One member of an archive. Raises ValueError if it would unpack to more than the limits (zipfile enforces the size
    that the archive declares)."""
    info = archive.getinfo(name)
    allowed = min(limit, max(SMALL_BYTES, MAX_EXPANSION * info.compress_size))
    if info.file_size > allowed:
        raise ValueError(f"it would unpack to {info.file_size:,} bytes from {info.compress_size:,}, which is refused")
    return archive.read(info)


def image_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) from the header of a PNG or JPEG; None if it is neither, or truncated before the size."""
    if data.startswith(PNG) and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF or not 0xC0 <= data[at + 1] <= 0xFE:  # padding or stray bytes
            at += 1
        elif data[at + 1] <= 0xCF and data[at + 1] not in (0xC4, 0xC8, 0xCC):  # a start of frame (T.81, B.2.2)
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def image_pixels(data: bytes) -> int | None:
    """Number of pixels from the header of a PNG or JPEG; None if it is neither, or truncated before the size."""
    size = image_size(data)
    return None if size is None else size[0] * size[1]


def image_fault(data: bytes) -> str:
    """Why an image should not be decoded; empty if it can be.

    Decoders allocate the memory that headers ask for: that of the image, and that of each chunk of a PNG.
    """
    pixels = image_pixels(data)
    if not pixels:
        return "is not a readable PNG or JPEG"
    if pixels > MAX_PIXELS:
        return f"has more than {MAX_PIXELS:,} pixels, the limit for images"
    return "" if not data.startswith(PNG) or _png_is_whole(data) else "is a PNG that is cut short or damaged"


def _png_is_whole(data: bytes) -> bool:
    """Whether every chunk up to IEND is within the file (PNG specification, 5.3)."""
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return at == len(data)


_ONE_AT_A_TIME = Lock()


def read_npy(data: bytes) -> NDArray[Any]:
    """A numeric array from a `.npy`. Raises ValueError for anything else: archives, objects, text, mismatched sizes."""
    stream = io.BytesIO(data)
    shape, fortran, dtype = npy_header(stream)
    count = math.prod(shape)
    left = len(data) - stream.tell()
    if count * dtype.itemsize > left:
        raise ValueError(f"its header announces {count:,} numbers, but only {left:,} bytes follow")
    flat = np.frombuffer(data, dtype, count, stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def npy_header(stream: BinaryIO, tries: int = 3) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, Fortran order, dtype) of a numeric `.npy`. Raises ValueError for anything else."""
    start = stream.tell()
    try:
        with _ONE_AT_A_TIME:
            shape, fortran, dtype = _header(stream)
    except SystemError as error:  # Python's parser running in another thread at the same time (CPython issue 106905)
        if tries <= 1:
            raise ValueError(f"its header cannot be read: {error}") from error
        stream.seek(start)
        return npy_header(stream, tries - 1)
    except NPY_FAULTS as error:
        raise ValueError(f"its header cannot be read: {error}") from error
    if dtype.kind not in "fiu" or dtype.itemsize == 0 or any(n < 0 for n in shape):
        raise ValueError(f"it contains {dtype} of shape {shape}, not numbers")
    return shape, fortran, dtype


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, fortran, dtype


def is_number(text: str) -> bool:
    """Whether `float` accepts `text` as a number; includes "nan" and "inf"."""
    try:
        float(text)
    except ValueError:
        return False
    return True
