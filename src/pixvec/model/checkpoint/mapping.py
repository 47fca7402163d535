"""A file's bytes as an array that is paged in on use, and the tensors that lie in it.

In: a path. Out: its bytes, mapped; tensors that view them.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import ModelError
from pixvec.files.untrusted import open_regular

MAX_DIMENSIONS: Final = 8
"""More than any tensor has; what claims more is out to cost time."""

_MAX_FILE_BYTES: Final = 32 << 30
"""The largest CLIP has 10 GB. A file with holes may claim any size, and would be hashed for hours."""
_LFS_POINTER: Final = b"version https://git-lfs"


def map_file(path: Path) -> NDArray[np.uint8]:
    """Map a whole file, (n_bytes,) uint8; the mapping lives as long as any view of the array.

    The mapping is private and writeable, since the engine shares only writeable memory; the file never changes.
    """
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > _MAX_FILE_BYTES:
                raise ModelError(f"holds more than {_MAX_FILE_BYTES:,} bytes")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError("is empty") from error
    if mapped[: len(_LFS_POINTER)] == _LFS_POINTER:
        raise ModelError("is a pointer of Git LFS and not the file itself: run `git lfs pull` in its repository")
    return np.frombuffer(mapped, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as its file holds it; bfloat16, which NumPy lacks, as the uint16 of its bits."""

    values: NDArray[Any]
    is_bfloat16: bool = False

    def check_type(self) -> None:
        """Check that the numbers are of a type that models are computed in.

        Raises
        ------
        ModelError
            When they are not.
        """
        if not self.is_bfloat16 and (self.values.dtype.kind != "f" or self.values.dtype.itemsize > 4):
            raise ModelError(f"is stored as {self.values.dtype}; pixvec reads float32, float16 and bfloat16")

    def as_float32(self) -> NDArray[np.float32]:
        """Return the numbers as float32: a view where they are stored so, else a copy."""
        self.check_type()
        if self.is_bfloat16:
            bits = self.values.astype(np.uint32, order="C")
            bits <<= 16
            return bits.view(np.float32)
        return np.require(self.values, np.float32, ["C", "A"])
