"""Buckets through the clients that people have, against servers on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import quote

import pytest
import requests
from huggingface_hub import constants
from moto.server import ThreadedMotoServer

from pixvec.errors import FetchError
from pixvec.fetch import Fetched, Fetcher, FetchOptions
from tests.fetch.storage.storage_server import SECRET, StorageServer

BUCKETS = ("s3://photos", "gs://photos", "az://photos", "hf://datasets/owner/photos")
KEYS = ["a.jpg", "a b%20c.jpg", "ä/日.jpg", "a#b.jpg", "a+b&c.jpg", "/a.jpg", "a//b.jpg", "a.jpg "]


class Read(Protocol):
    """Reads objects of at most 1,000 bytes, one after the other, each in one try."""

    def __call__(self, *cells: str, **options: Any) -> list[Fetched]: ...


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageServer]:
    with StorageServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://{server.address}")  # it is read from HF_ENDPOINT at import
        yield server


@pytest.fixture
def read(storage: StorageServer) -> Read:
    async def read_all(cells: Iterable[str], options: FetchOptions) -> list[Fetched]:
        read = []
        async with Fetcher(options) as fetcher:
            for cell in cells:
                async with fetcher.fetch(fetcher.locate(cell)) as fetched:
                    read.append(fetched)
        return read

    def run(*cells: str, **options: Any) -> list[Fetched]:
        defaults = FetchOptions(
            allow_bucket=BUCKETS, allow_address=(storage.address,), max_bytes=1_000, tries=1, backoff_s=0.0
        )
        return asyncio.run(read_all(cells, replace(defaults, **options)))

    return run


@pytest.fixture
def failure(read: Read) -> Any:
    def run(cell: str, **options: Any) -> FetchError:
        with pytest.raises(FetchError) as raised:
            read(cell, **options)
        assert SECRET not in raised.value.detail
        return raised.value

    return run


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of moto, which is S3 but for its disks."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_s3_gives_the_very_object_that_a_cell_names(s3: str, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    requests.put(f"{s3}/photos", timeout=10)
    keys = [*KEYS, "a?b=c.jpg"]
    for key in keys:
        requests.put(f"{s3}/photos/{quote(key)}", data=key.encode(), timeout=10)
    assert read(*(f"s3://photos/{key}" for key in keys)) == [Fetched(key.encode(), None) for key in keys]


@pytest.mark.parametrize("cell", ["s3://photos/none.jpg", "s3://nowhere/a.jpg", "s3://photos/folder"])
def test_s3_has_no_such_object(s3: str, failure: Any, monkeypatch: pytest.MonkeyPatch, cell: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    requests.put(f"{s3}/photos", timeout=10)
    requests.put(f"{s3}/photos/folder/a.jpg", data=b"a", timeout=10)
    assert failure(cell, allow_bucket=("s3://photos", "s3://nowhere")).code == "file_not_found"


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_gives_the_very_object_that_a_cell_names(storage: StorageServer, read: Read, bucket: str) -> None:
    storage.objects = {key: key.encode() for key in KEYS} | {"empty": b""}
    bodies = read(*(f"{bucket}/{key}" for key in storage.objects))
    assert bodies == [Fetched(body, None) for body in storage.objects.values()]


@pytest.mark.parametrize("cell", ["s3://photos/a?versionId=1", "az://photos/a?b#c.jpg", "az://photos/a?versionid=1"])
def test_a_key_that_a_client_reads_as_another_is_not_asked_for(storage: StorageServer, failure: Any, cell: str) -> None:
    assert failure(cell).code == "invalid_url"
    assert storage.requests == []


@pytest.mark.parametrize("bucket", BUCKETS)
def test_an_object_that_is_too_large_is_not_read(storage: StorageServer, failure: Any, bucket: str) -> None:
    storage.objects["large.jpg"] = bytes(1_001)
    assert failure(f"{bucket}/large.jpg").code == "too_many_bytes"
    assert not [line for line in storage.requests if "GET /photos" in line or "GET /account/photos/" in line]


@pytest.mark.parametrize("bucket", BUCKETS)
@pytest.mark.parametrize(("status", "code"), [(404, "file_not_found"), (401, "http_401"), (403, "http_403")])
def test_what_a_storage_refuses_has_its_status(
    storage: StorageServer, failure: Any, bucket: str, status: int, code: str
) -> None:
    storage.status = status
    assert failure(f"{bucket}/a.jpg", tries=3).code == code
    assert len([line for line in storage.requests if "prefix" not in line]) == 1


@pytest.mark.parametrize("bucket", ["s3://photos", "az://photos", "hf://datasets/owner/photos"])
def test_a_busy_storage_is_tried_as_often_as_a_host(storage: StorageServer, failure: Any, bucket: str) -> None:
    storage.status = 429
    assert failure(f"{bucket}/a.jpg", tries=3).code == "http_429"
    assert len(storage.requests) == 3


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_storage_that_says_nothing_is_given_up_in_time(storage: StorageServer, failure: Any, bucket: str) -> None:
    storage.silence_s = 20
    started = time.monotonic()
    assert failure(f"{bucket}/a.jpg", timeout_s=0.5).code == "timeout"
    assert time.monotonic() - started < 15  # of which a client takes its time to be imported


@pytest.mark.parametrize("bucket", ["s3://photos", "hf://datasets/owner/photos"])
def test_a_storage_that_is_not_there_has_a_code(storage: StorageServer, failure: Any, bucket: str) -> None:
    storage.shutdown()
    storage.server_close()
    assert failure(f"{bucket}/a.jpg").code == "connect_error"


def test_the_token_of_the_hub_goes_to_the_hub_alone(storage: StorageServer, read: Read) -> None:
    with StorageServer() as elsewhere:
        elsewhere.objects["a.jpg"] = b"a"
        storage.redirect = f"http://{elsewhere.address}/photos/a.jpg"
        fetched = read("hf://datasets/owner/photos/a.jpg", allow_address=(storage.address, elsewhere.address))
    assert fetched == [Fetched(b"a", None)]
    assert (storage.logins, elsewhere.logins) == ([f"Bearer {SECRET}"], [None])


def test_a_file_of_the_hub_is_that_of_its_revision(storage: StorageServer, read: Read) -> None:
    storage.objects["a.jpg"] = b"a"
    read("hf://datasets/owner/photos@refs/pr/1/a.jpg", "hf://datasets/owner/photos@refs%2Fpr%2F1/a.jpg")
    assert storage.requests == 2 * ["GET /datasets/owner/photos/resolve/refs%2Fpr%2F1/a.jpg"]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_no_redirect_leads_into_a_bucket(storage: StorageServer, failure: Any, bucket: str) -> None:
    storage.objects["a.jpg"] = b"a"
    storage.redirect = f"{bucket}/a.jpg"
    assert failure(f"http://{storage.address}/photos/a.jpg").code == "scheme_blocked"
    assert len(storage.requests) == 1
