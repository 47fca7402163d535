"""A ``pytorch_model.bin`` in torch's zip format -> the tensors in it, mapped.

In: a path. Out: tensors by name. Nothing in the file is run: see `torch_pickle`.

Source of the format: ``torch/serialization.py`` and ``caffe2/serialize/inline_container.h`` of torch 2.13.0.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import ModelError
from pixvec.files.untrusted import open_regular
from pixvec.model.checkpoint.mapping import StoredTensor, map_file
from pixvec.model.checkpoint.torch_pickle import StorageType, read_state_dict

_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_LOCAL_SIGNATURE: Final = b"PK\x03\x04"
_ENCRYPTED: Final = 0x1
_MAX_PICKLE_BYTES: Final = 1 << 20  # the largest CLIP's is below 200 KB
_MAX_DIRECTORY_BYTES: Final = 1 << 20  # likewise

Members: TypeAlias = Mapping[str, NDArray[np.uint8]]
"""The bytes of each file in the archive, by its name there."""


def read_torch_zip(path: Path) -> dict[str, StoredTensor]:
    """Map the file and return its tensors by name.

    Raises
    ------
    ModelError
        The file is not in the format, or holds what no state dict needs.
    """
    data = map_file(path)
    if data[:4].tobytes() != _LOCAL_SIGNATURE:
        raise ModelError(
            "is not in the zip format that torch writes since 1.6: load it with torch and write it with save_pretrained"
        )
    members = {info.filename: _stored_bytes(data, info) for info in _list_archive(path)}
    root = _root(members)
    if members.get(f"{root}/byteorder", np.empty(0, np.uint8)).tobytes() not in {b"", b"little"}:
        raise ModelError("was written on a big-endian machine: write it again on a little-endian one")

    def load_storage(key: str, storage_type: StorageType) -> StoredTensor:
        if (content := members.get(f"{root}/data/{key}")) is None:
            raise ModelError(f"lacks the storage {key[:100]!r} that its pickle names")
        return StoredTensor(content.view(storage_type.dtype), storage_type.is_bfloat16)

    pickled = members[f"{root}/data.pkl"]
    if pickled.size > _MAX_PICKLE_BYTES:
        raise ModelError(f"its pickle has {pickled.size:,} bytes, more than any state dict of CLIP's")
    return read_state_dict(pickled.tobytes(), load_storage)


def _list_archive(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with open_regular(path) as file, zipfile.ZipFile(cast("BinaryIO", _Directory(file))) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        raise ModelError(f"is a damaged or truncated zip file: {error}") from error
    if len({info.filename for info in infos}) != len(infos):
        raise ModelError("is a zip file that holds a name twice")
    return infos


class _Directory:
    """A zip file of which nothing but its directory is read, that in one piece, and none that takes long to parse."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(min(size, _MAX_DIRECTORY_BYTES + 1) if size >= 0 else _MAX_DIRECTORY_BYTES + 1)
        if len(content) > _MAX_DIRECTORY_BYTES:
            raise ValueError(f"its directory takes more than {_MAX_DIRECTORY_BYTES:,} bytes")
        return content


def _stored_bytes(data: NDArray[np.uint8], info: zipfile.ZipInfo) -> NDArray[np.uint8]:
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED or info.compress_size != info.file_size:
        raise ModelError(f"{info.filename!r} in it is compressed or encrypted, and cannot be mapped")
    header = data[max(info.header_offset, 0) :][: _LOCAL_HEADER.size].tobytes()
    if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL_SIGNATURE):
        raise ModelError(f"{info.filename!r} in it is not where its directory says")
    _, n_name_bytes, n_extra_bytes = _LOCAL_HEADER.unpack(header)
    begin = info.header_offset + _LOCAL_HEADER.size + n_name_bytes + n_extra_bytes
    if begin + info.file_size > data.size:
        raise ModelError(f"{info.filename!r} in it reaches beyond the end of the file")
    return data[begin : begin + info.file_size]


def _root(members: Members) -> str:
    roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ModelError(f"is a zip file with {len(roots)} data.pkl, and torch writes one")
    return roots[0]
