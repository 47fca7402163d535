import hashlib
import os
from pathlib import Path

import pytest

from pixvec.model.checkpoint.fingerprint import hash_files


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pixvec" / "weights_hashes.json"


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"weights")
    assert hashlib.sha256(b"weights").hexdigest() == hash_files([tmp_path / "a"])


def test_the_hash_of_shards_is_that_of_their_hashes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    digests = "".join(hashlib.sha256(name.encode()).hexdigest() for name in ("a", "b"))
    assert hashlib.sha256(digests.encode()).hexdigest() == hash_files([tmp_path / "a", tmp_path / "b"])


def test_a_link_is_named_by_its_target_in_the_hubs_cache_alone(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 4
    for folder in ("blobs", "other/blobs"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / digest).write_bytes(b"not these")
    (tmp_path / "link").symlink_to(f"blobs/{digest}")
    (tmp_path / "out").symlink_to(f"other/blobs/{digest}")
    found = [hash_files([tmp_path / name], blobs=tmp_path / "blobs") for name in ("link", "out")]
    assert [digest, hashlib.sha256(b"not these").hexdigest()] == found
    assert found[1] == hash_files([tmp_path / "link"])


def test_a_file_that_was_replaced_is_hashed_anew_though_its_time_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"weights")
    before = path.stat()
    hash_files([path])
    with path.open("r+b") as file:
        file.write(b"WEIGHTS")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashlib.sha256(b"WEIGHTS").hexdigest() == hash_files([path])


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path, memory: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"weights")
    digest = hash_files([path])
    memory.write_text(memory.read_text().replace(digest, "remembered"))
    assert hash_files([path]) == "remembered"
    os.utime(path, ns=(0, 0))
    assert digest == hash_files([path])


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "{"])
def test_a_damaged_memory_is_no_error(tmp_path: Path, memory: Path, text: str) -> None:
    memory.parent.mkdir(parents=True)
    memory.write_text(text)
    test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path)


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path: Path, memory: Path) -> None:
    memory.parent.parent.write_text("a file where the folder would be")
    test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path)
