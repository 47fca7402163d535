import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixvec.errors import ModelError
from pixvec.model.checkpoint.weights import Weights
from pixvec.testing.weight_files import write_safetensors


def entry(dtype: str = "F32", shape: Any = (2,), begin: int = 0, end: int = 8) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def write(path: Path, header: Any, body: bytes = b"\0" * 8, length: int | None = None) -> list[Path]:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)
    return [path]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_a_file_with_an_empty_and_a_scalar_tensor_opens(path: Path) -> None:
    write_safetensors(path, {"none": np.empty((0, 3), np.float32), "one": np.array(2, np.float32)})
    weights = Weights.open([path])
    assert weights.take("none", (0, 3)).shape == (0, 3)
    assert weights.take("one", ()) == 2


def test_a_header_of_odd_length_costs_a_copy_and_changes_no_number(path: Path) -> None:
    header = json.dumps({"a": entry()}).encode()
    weights = Weights.open(write(path, header + b" " * (1 - len(header) % 2), struct.pack("<2f", 1, 2)))
    taken = weights.take("a", (2,))
    assert taken.flags.aligned
    assert taken.tolist() == [1, 2]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"{" * 100_000,
        b"\xff\xfe",
        b'{"a": %s, "a": %s}' % ((json.dumps(entry()).encode(),) * 2),
        {"a": {}},
        {"a": None},
        {"a": entry(dtype="F4")},
        {"a": entry(dtype="F64")},
        {"a": entry(shape=(3,))},
        {"a": entry(shape=(-1, -2))},
        {"a": entry(shape=("2",))},
        {"a": entry(shape=(True, 2))},
        {"a": entry(shape=(1.0, 2))},
        {"a": entry(shape=(2**70, 2**70))},
        {"a": entry(shape=(1,) * 100 + (2,))},
        {"a": entry(shape=(0, 2**70), end=0), "b": entry()},
        {"a": entry(begin=-8, end=0)},
        {"a": entry(begin=8, end=0)},
        {"a": entry(begin=2**63, end=2**63 + 8)},
        {"a": entry(end=4, shape=(1,))},
        {"a": entry(), "b": entry()},
        {"a": entry(end=4, shape=(1,)), "b": entry(begin=8, end=12, shape=(1,))},
        {},
    ],
    ids=lambda header: header[:20] if isinstance(header, bytes) else json.dumps(header)[:60],
)
def test_a_malformed_header_is_refused(path: Path, header: Any) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors: "):
        Weights.open(write(path, header))


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 16 << 20, 1000, 1])
def test_a_header_that_is_longer_or_shorter_than_it_is_is_refused(path: Path, length: int) -> None:
    with pytest.raises(ModelError, match="is no safetensors file"):
        Weights.open(write(path, {"a": entry()}, length=length))


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    write_safetensors(path, {"a": np.ones(3, np.float32), "b": np.ones(2, np.float32)})
    whole = path.read_bytes()
    for n_bytes in range(len(whole)):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ModelError):
            Weights.open([path])
