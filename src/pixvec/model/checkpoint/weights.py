"""The files of a checkpoint's weights -> tensors by name, as float32.

In: paths of safetensors files or of torch's. Out: `Weights`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import ModelError
from pixvec.model.checkpoint.fingerprint import hash_files, stamp
from pixvec.model.checkpoint.folder import blaming
from pixvec.model.checkpoint.mapping import StoredTensor
from pixvec.model.checkpoint.safetensors_file import read_safetensors
from pixvec.model.checkpoint.tensors import NamedShape
from pixvec.model.checkpoint.torch_zip import read_torch_zip

_READERS: Final = {".safetensors": read_safetensors, ".bin": read_torch_zip}


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a checkpoint, mapped from its files."""

    paths: tuple[Path, ...]
    tensors: Mapping[str, StoredTensor]
    stamps: tuple[list[int], ...] = ()
    """What would change if a file did that was mapped."""

    @classmethod
    def open(cls, paths: Sequence[Path]) -> Self:
        """Map the files and check that every tensor lies where its file says; no number is read.

        Raises
        ------
        ModelError
            A file is missing, malformed, or holds more than tensors.
        """
        tensors: dict[str, StoredTensor] = {}
        stamps = _stamps(paths)
        for path in paths:
            with blaming(path):
                tensors |= _READERS[path.suffix](path)
        return cls(tuple(paths), tensors, stamps)

    def hash(self, *, blobs: Path | None = None) -> str:
        """Return the SHA-256 of the bytes that were mapped, in hex; of `blobs`, see `hash_files`.

        Raises
        ------
        ModelError
            When a file is another one by now.
        """
        found = hash_files(self.paths, blobs=blobs)
        if _stamps(self.paths) != self.stamps:
            raise ModelError(f"{self.paths[0].parent}: the weights changed after they were opened: load them anew")
        return found

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def check(self, expected: Iterable[NamedShape]) -> None:
        """Check that there are tensors of these names and shapes; no number is read.

        Raises
        ------
        ModelError
            When one is missing, has another shape or is not of floating-point numbers.
        """
        for name, shape in expected:
            self._find(name, shape)

    def take(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return a tensor as float32: a view of the mapped file where it is stored so, else a copy.

        The array keeps the mapping alive; who shares its memory without Python's knowledge has to keep the array.

        Raises
        ------
        ModelError
            There is no such tensor, or it has another shape or is not of floating-point numbers.
        """
        return self._find(name, shape).as_float32()

    def _find(self, name: str, shape: tuple[int, ...]) -> StoredTensor:
        with self._blaming(name):
            if (tensor := self.tensors.get(name)) is None:
                raise ModelError("is missing from the weights, and the config asks for it")
            if tensor.values.shape != shape:
                raise ModelError(f"has shape {tensor.values.shape}, and the config asks for {shape}")
            tensor.check_type()
            return tensor

    def _blaming(self, name: str) -> AbstractContextManager[None]:
        return blaming(f"{self.paths[0].parent}: tensor {name!r}")


def _stamps(paths: Sequence[Path]) -> tuple[list[int], ...]:
    with suppress(OSError):  # who opens them says so in words
        return tuple(stamp(path.stat()) for path in paths)
    return ()
