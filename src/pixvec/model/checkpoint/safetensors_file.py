"""A safetensors file -> the tensors in it, mapped.

In: a path. Out: tensors by name. The safetensors package is not used: its NumPy reader copies, and has no bfloat16.

Source of the format, and of the rule that ranges leave no byte out and share none:
https://github.com/huggingface/safetensors, README.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import ModelError
from pixvec.files.untrusted import parse_json
from pixvec.model.checkpoint.mapping import MAX_DIMENSIONS, StoredTensor, map_file

_LENGTH_BYTES: Final = 8
_MAX_HEADER_BYTES: Final = 4 << 20  # the largest CLIP's is below 200 KB
_DTYPES: Final = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "F8_E4M3": "u1",
    "F8_E5M2": "u1",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


class _Entry(NamedTuple):
    begin: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Map the file and return its tensors by name.

    Raises
    ------
    ModelError
        The file is not in the format, or a tensor's place in it is not what its type and shape make it.
    """
    data = map_file(path)
    header_end = _header_end(data)
    body = data[header_end:]
    entries = sorted(_entries(_parse_header(data[_LENGTH_BYTES:header_end].tobytes())))
    _check_ranges(entries, n_bytes=body.size)
    return {entry.name: _tensor(body, entry) for entry in entries}


def _header_end(data: NDArray[np.uint8]) -> int:
    n_header_bytes = int.from_bytes(data[:_LENGTH_BYTES].tobytes(), "little")
    if n_header_bytes > min(_MAX_HEADER_BYTES, data.size - _LENGTH_BYTES):
        raise ModelError("is no safetensors file, or a truncated one: its header does not fit")
    return _LENGTH_BYTES + n_header_bytes


def _parse_header(text: bytes) -> dict[str, Any]:
    try:
        header = parse_json(text, max_bytes=_MAX_HEADER_BYTES, pairs=_unique_keys)
    except ValueError as error:
        raise ModelError(f"is no safetensors file: its header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise ModelError("is no safetensors file: its header is no JSON object")
    return header


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ModelError("its header names a tensor twice")
    return unique


def _entries(header: dict[str, Any]) -> Iterable[_Entry]:
    for name, description in header.items():
        if name == "__metadata__":
            continue
        match description:
            case {"dtype": str() as dtype, "shape": [*shape], "data_offsets": [int() as begin, int() as end]} if (
                dtype in _DTYPES
                and len(shape) <= MAX_DIMENSIONS
                and all(type(length) is int and length >= 0 for length in shape)
            ):
                yield _Entry(begin, end, name, dtype, tuple(shape))
            case _:
                raise ModelError(f"its header describes tensor {name!r} in a way that pixvec cannot read")


def _check_ranges(entries: list[_Entry], *, n_bytes: int) -> None:
    """Check that the sorted ranges lie end to end from the first byte to the last, each as long as its tensor."""
    position = 0
    for entry in entries:
        n_tensor_bytes = math.prod(entry.shape) * np.dtype(_DTYPES[entry.dtype]).itemsize
        if entry.begin != position or entry.end - entry.begin != n_tensor_bytes:
            raise ModelError(f"the range of tensor {entry.name!r} overlaps, leaves a hole or does not fit its shape")
        position = entry.end
    if position != n_bytes:
        raise ModelError(f"holds {n_bytes} bytes of tensors where its header says {position}: is it truncated?")


def _tensor(body: NDArray[np.uint8], entry: _Entry) -> StoredTensor:
    values = body[entry.begin : entry.end].view(_DTYPES[entry.dtype])
    try:
        return StoredTensor(values.reshape(entry.shape), is_bfloat16=entry.dtype == "BF16")
    except ValueError as error:  # an empty tensor may have any number of dimensions of any length
        raise ModelError(f"the shape of tensor {entry.name!r} is none that NumPy has: {error}") from error
