# SPDX-License-Identifier: MIT
"""The file that workloads read: blocks of 4 kB, each full of its own number."""

import os
import struct

from . import process

BLOCK_BYTES = 4096
BLOCKS_AT_ONCE = 1024


def path(folder, size):
    """Where one of so many bytes is."""
    return folder / f"blocks_{size >> 20}_MiB"


def prepare(folder, size):
    """See that it is there, on the device and in the page cache too; Failure."""
    place = path(folder, size)
    try:
        if not place.exists() or place.stat().st_size != size:
            make(place, size)
        with place.open("rb") as file:
            while file.read(BLOCK_BYTES * BLOCKS_AT_ONCE):
                pass
    except OSError as error:
        raise process.Failure(f"{place}: {error.strerror}") from error


def make(place, size):
    """Write it, under another name until it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_suffix(".new")
    with new.open("wb") as file:
        for first in range(0, size // BLOCK_BYTES, BLOCKS_AT_ONCE):
            numbers = range(first, min(first + BLOCKS_AT_ONCE, size // BLOCK_BYTES))
            file.write(b"".join(struct.pack("<Q", n) * (BLOCK_BYTES // 8) for n in numbers))
        file.flush()
        os.fsync(file.fileno())
    new.rename(place)
