"""Tensors -> the files that checkpoints keep them in, written without torch.

In: arrays by name. Out: a safetensors file, shards of it, or a ``pytorch_model.bin`` as torch would write it.
"""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
"""Tensors by name: float32 and int64."""

FloatType: TypeAlias = Literal["float32", "float16", "bfloat16"]
"""What float32 tensors are stored as."""

_ALIGNMENT_BYTES: Final = 64  # torch's own, so that mapped storages are aligned
_SAFETENSORS_NAMES: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}
_TORCH_NAMES: Final = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
}


def write_safetensors(path: Path, arrays: Arrays, *, dtype: FloatType = "float32") -> None:
    """Write arrays as one safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, array in arrays.items():
        kind, stored = _stored(array, dtype)
        offsets = [position, position + stored.nbytes]
        header[name] = {"dtype": _SAFETENSORS_NAMES[kind], "shape": array.shape, "data_offsets": offsets}
        position = offsets[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(_stored(array, dtype)[1].tobytes())


def write_shards(folder: Path, arrays: Arrays, *, dtype: FloatType = "float32", n_shards: int = 2) -> None:
    """Write arrays as several safetensors files and the index that names them."""
    shard_of = {name: f"model-{i % n_shards + 1:05}-of-{n_shards:05}.safetensors" for i, name in enumerate(arrays)}
    for shard in set(shard_of.values()):
        part = {name: array for name, array in arrays.items() if shard_of[name] == shard}
        write_safetensors(folder / shard, part, dtype=dtype)
    index = {"metadata": {}, "weight_map": shard_of}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_torch_zip(path: Path, arrays: Arrays, *, dtype: FloatType = "float32", pickled: bytes | None = None) -> None:
    """Write arrays as ``torch.save`` writes a state dict, or with instructions in the place of its pickle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        _add_member(archive, "archive/data.pkl", b"".join(_pickled(arrays, dtype)) if pickled is None else pickled)
        _add_member(archive, "archive/byteorder", b"little")
        for key, array in enumerate(arrays.values()):
            _add_member(archive, f"archive/data/{key}", _stored(array, dtype)[1].tobytes())
        _add_member(archive, "archive/version", b"3\n")


def _add_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name)
    # A local header is 30 bytes, the name and the extra field; torch pads with a field of its own, "FB".
    n_padding_bytes = -(archive.fp.tell() + 30 + len(name) + 4) % _ALIGNMENT_BYTES if archive.fp else 0
    info.extra = struct.pack("<2sH", b"FB", n_padding_bytes) + b"Z" * n_padding_bytes
    archive.writestr(info, content)


def _stored(array: NDArray[Any], dtype: FloatType) -> tuple[str, NDArray[Any]]:
    """Return the type that an array is stored as, and its numbers so; bfloat16 as the uint16 of its bits."""
    if array.dtype != np.float32:
        return str(array.dtype), array
    if dtype == "bfloat16":
        bits = array.view(np.uint32)
        return dtype, ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)  # to nearest, ties to even
    return dtype, array.astype(dtype)


def _pickled(arrays: Arrays, dtype: FloatType) -> Iterator[bytes]:
    """Yield a state dict's pickle, instruction by instruction, in protocol 2 as torch writes it."""
    yield pickle.PROTO + b"\x02" + _ORDERED_DICT + pickle.MARK
    for key, (name, array) in enumerate(arrays.items()):
        kind, stored = _stored(array, dtype)
        yield _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + pickle.MARK
        yield pickle.MARK + _text("storage") + f"ctorch\n{_TORCH_NAMES[kind]}\n".encode() + _text(str(key))
        yield _text("cpu") + _integer(stored.size) + pickle.TUPLE + pickle.BINPERSID
        strides = tuple(stride // stored.itemsize for stride in stored.strides)
        yield _integer(0) + _integers(stored.shape) + _integers(strides)
        yield pickle.NEWFALSE + _ORDERED_DICT + pickle.TUPLE + pickle.REDUCE
    yield pickle.SETITEMS + pickle.STOP


_ORDERED_DICT: Final = b"ccollections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE


def _text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def _integer(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)


def _integers(values: tuple[int, ...]) -> bytes:
    return pickle.MARK + b"".join(_integer(value) for value in values) + pickle.TUPLE
