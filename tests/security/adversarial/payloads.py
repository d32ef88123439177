"""Input files that are small and unpack to much."""

import gzip
import io
import zipfile
from functools import cache

UNPACKED = 268_435_456  # bytes; far over the memory and the storage of the case


@cache
def zip_bomb() -> bytes:
    """A zip archive of zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("zeros", bytes(UNPACKED))
    return buffer.getvalue()


@cache
def gzip_bomb() -> bytes:
    """A gzip file of zeros."""
    return gzip.compress(bytes(UNPACKED), compresslevel=1)
