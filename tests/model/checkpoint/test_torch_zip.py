import builtins
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from pixvec.errors import ModelError
from pixvec.model.checkpoint.weights import Weights
from pixvec.testing.weight_files import write_torch_zip

Shape: TypeAlias = tuple[int, ...]
DICT = b"ccollections\nOrderedDict\n)R"
STORAGE = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpuK\x06tQ"


def tensor(*arguments: Any, storage: bytes = STORAGE) -> bytes:
    """Spell out a state dict of one tensor "a", whose storage is followed by these pickled arguments."""
    call = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + b"".join(arguments) + b"\x89" + DICT + b"tR"
    return b"\x80\x02}X\x01\0\0\0a" + call + b"s."


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pytorch_model.bin"


def write(path: Path, pickled: bytes, *, compression: int = zipfile.ZIP_STORED, **members: bytes) -> list[Path]:
    files = {"data.pkl": pickled, "data/0": np.arange(6, dtype=np.float32).tobytes(), "version": b"3\n"} | members
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(f"archive/{name}", content)
    return [path]


class Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduction = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduction


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "expected"),
    [
        (0, (2, 3), (3, 1), [[0, 1, 2], [3, 4, 5]]),
        (0, (3, 2), (1, 3), [[0, 3], [1, 4], [2, 5]]),
        (1, (2,), (2,), [1, 3]),
        (5, (), (), 5),
        (6, (0, 9), (9, 1), []),
    ],
    ids=["rows", "transposed", "strided", "scalar", "empty"],
)
def test_a_tensor_is_seen_through_its_strides(
    path: Path, offset: int, shape: Shape, strides: Shape, expected: Any
) -> None:
    pickled = tensor(b"K" + bytes([offset]), numbers(*shape), numbers(*strides))
    assert expected == Weights.open(write(path, pickled)).take("a", shape).tolist()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (1, (6,), (1,)),
        (0, (2, 3), (4, 1)),
        (0, (-1,), (1,)),
        (0, (2,), (-1,)),
        (-1, (2,), (1,)),
        (0, (2**30, 2**30), (0, 0)),
        (0, (100,), (0,)),
        (0, (2, 3), (1,)),
        (0, (1,) * 70, (1,) * 70),
        (2**31 - 1, (1,), (1,)),
    ],
    ids=str,
)
def test_a_view_beyond_its_storage_is_refused(path: Path, offset: int, shape: Shape, strides: Shape) -> None:
    pickled = tensor(b"J" + struct.pack("<i", offset), numbers(*shape), numbers(*strides))
    with pytest.raises(ModelError, match=r"pytorch_model\.bin: "):
        Weights.open(write(path, pickled))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "payload",
    [
        {"a": Call(os.system, "touch ran")},
        {"a": Call(builtins.eval, "open('ran', 'w')")},
        {"a": Call(builtins.exec, "open('ran', 'w')")},
        {"a": Call(os.mkdir, "ran")},
        Call(os.mkdir, "ran"),
    ],
    ids=["system", "eval", "exec", "mkdir", "no-dict"],
)
def test_a_pickle_that_runs_something_does_not(
    path: Path, monkeypatch: pytest.MonkeyPatch, payload: object, protocol: int
) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(ModelError, match="is refused: no state dict needs"):
        Weights.open(write(path, pickle.dumps(payload, protocol)))
    assert not (path.parent / "ran").exists()


@pytest.mark.parametrize(
    ("pickled", "said"),
    [
        (b"\x80\x02ctorch\nload\n.", "the name torch.load"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v3\n.", "the name torch._utils._rebuild_tensor_v3"),
        (b"\x80\x02ccollections\nOrderedDict.fromkeys\n.", "the name collections.OrderedDict.fromkeys"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "the pickle instruction SHORT_BINUNICODE"),
        (b"\x80\x02X\x02\0\0\0osX\x06\0\0\0system\x93.", "the pickle instruction STACK_GLOBAL"),
        (b"\x80\x02(ios\nsystem\n.", "the pickle instruction INST"),
        (b"\x80\x02}\x81.", "the pickle instruction NEWOBJ"),
        (b"\x80\x02\x82\x01.", "the pickle instruction EXT1"),
        (b"\x80\x02P1\n.", "the pickle instruction PERSID"),
        (b"\x80\x02K\x01Q.", "something that is no storage"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}b.", "holds no state dict"),
        (b"\x80\x02)ctorch\nFloatStorage\n)R.", "malformed"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "malformed"),
        (b"\x80\x02h\x09.", "malformed"),
        (b"\x80\x020.", "POP"),
        (b"\x80\x02}K\x01K\x02s.", "a key is not text"),
        (b"\x80\x02}(X\x01\0\0\0au.", "malformed"),
        (b"\x80\x02}", "malformed"),
        (b"\x80\x02}r\xff\xff\xff\x7f", "malformed"),
        (b"", "malformed"),
        (b"\xff", "malformed"),
        (b"\x80\x02K\x01.", "holds no state dict"),
        (tensor(b"K\0", b"X\x01\0\0\0a", b"(t"), "no offset, shape and strides"),
        (tensor(b"K\0", b"(t", b"(t", storage=b"K\1"), "malformed"),
        (tensor(b"K\0", b"(t", b"(t", storage=STORAGE.replace(b"K\x06", b"K\x07")), "holds 6 numbers and not 7"),
        (
            tensor(b"K\0", b"(t", b"(t", storage=STORAGE.replace(b"\x01\0\0\x000", b"\x01\0\0\x009")),
            "lacks the storage",
        ),
        (tensor(b"K\0", b"(t", b"(t", storage=STORAGE.replace(b"Float", b"Double")), "holds 3 numbers"),
    ],
)
def test_a_pickle_that_is_no_state_dict_is_refused(path: Path, pickled: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Weights.open(write(path, pickled))


def test_nested_tuples_that_double_cost_no_time(path: Path) -> None:
    doubling = b"\x80\x02}" + b")" + b"q\0h\0\x86" * 100 + b"K\1s."
    with pytest.raises(ModelError, match="a key is not text"):
        Weights.open(write(path, doubling))


def test_what_torch_writes_beside_tensors_is_read_past(path: Path) -> None:
    attributes = b"}X\x09\0\0\0_metadata" + DICT + b"sb"
    pickled = tensor(b"K\0", numbers(6), numbers(1))[:-1] + b"X\x01\0\0\0nK\x05s" + attributes + b"."
    assert {"a"} == Weights.open(write(path, pickled)).tensors.keys()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"compression": zipfile.ZIP_DEFLATED}, "is compressed or encrypted"),
        ({"byteorder": b"big"}, "big-endian"),
        ({"data.pkl": b"\0" * (17 << 20)}, "more than any state dict"),
        ({"more/data.pkl": b""}, "2 data.pkl"),
        ({"data/0": b"\0" * 5}, "malformed"),
    ],
    ids=["deflated", "big-endian", "huge-pickle", "two-pickles", "odd-storage"],
)
def test_an_archive_that_cannot_be_mapped_is_refused(path: Path, changes: dict[str, Any], said: str) -> None:
    pickled = tensor(b"K\0", numbers(6), numbers(1))
    with pytest.raises(ModelError, match=said):
        Weights.open(write(path, **{"pickled": pickled, **changes}))


def test_a_name_that_stands_twice_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
        archive.writestr("archive/data.pkX", b"")
    path.write_bytes(path.read_bytes().replace(b"data.pkX", b"data.pkl"))
    with pytest.raises(ModelError, match="a name twice"):
        Weights.open([path])


def test_the_format_before_zip_is_refused_with_a_way_out(path: Path) -> None:
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    with pytest.raises(ModelError, match="write it with save_pretrained"):
        Weights.open([path])


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    write_torch_zip(path, {"a": np.ones(3, np.float32), "b": np.ones(2, np.float32)})
    whole = path.read_bytes()
    for n_bytes in range(0, len(whole), 3):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ModelError):
            Weights.open([path])


def test_a_file_with_any_byte_changed_opens_or_is_refused(path: Path) -> None:
    write_torch_zip(path, {"a": np.ones(3, np.float32)})
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x81]) + whole[position + 1 :])
        try:
            Weights.open([path])
        except ModelError:
            continue
