"""The files of a checkpoint's weights -> tensors by name, as float32.

In: paths of safetensors files or of torch's. Out: `Weights`. It must not know which tensors a model needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from pixvec.checkpoint.folder import blaming
from pixvec.checkpoint.mapping import StoredTensor
from pixvec.checkpoint.safetensors_file import read_safetensors
from pixvec.checkpoint.torch_zip import read_torch_zip
from pixvec.errors import ModelError

_READERS: Final = {".safetensors": read_safetensors, ".bin": read_torch_zip}


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a checkpoint, mapped from its files."""

    paths: tuple[Path, ...]
    tensors: Mapping[str, StoredTensor]

    @classmethod
    def open(cls, paths: Sequence[Path]) -> Self:
        """Map the files and check that every tensor lies where its file says; no number is read.

        Raises
        ------
        ModelError
            A file is missing, malformed, or holds more than tensors.
        """
        tensors: dict[str, StoredTensor] = {}
        for path in paths:
            with blaming(path):
                tensors |= _READERS[path.suffix](path)
        return cls(tuple(paths), tensors)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def take(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return a tensor as float32: a view of the mapped file where it is stored so, else a copy.

        The array keeps the mapping alive; who shares its memory without Python's knowledge has to keep the array.

        Raises
        ------
        ModelError
            There is no such tensor, or it has another shape or is not of floating-point numbers.
        """
        with blaming(f"{self.paths[0].parent}: tensor {name!r}"):
            if (tensor := self.tensors.get(name)) is None:
                raise ModelError("is missing from the weights")
            if tensor.values.shape != shape:
                raise ModelError(f"has shape {tensor.values.shape}, and the config asks for {shape}")
            return tensor.as_float32()
