"""What a row, a warning, a log line or a bug's note says holds no secret, no address and no server's words: case 32."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import pixvec
from pixvec.errors import FetchError
from pixvec.fetch import redacted
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import Fetch

SECRET = "s3cr3t"
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
OK = b"HTTP/1.1 200 OK\r\n"


def misbehave(server: ImageServer) -> None:
    """Answer in many wrong ways, with a secret in each."""
    server.add(f"/status?{SECRET}", status=403, body=SECRET.encode())
    server.add(f"/redirect?{SECRET}", status=302, headers={"Location": f"/status?{SECRET}"})
    server.add(f"/loop?{SECRET}", status=302, headers={"Location": f"/loop?{SECRET}"})
    server.add(f"/bad?{SECRET}", status=302, headers={"Location": f"http://{SECRET}@h.example/"})
    server.add(f"/scheme?{SECRET}", status=302, headers={"Location": f"ftp://h.example/?{SECRET}"})
    server.add(f"/private?{SECRET}", status=302, headers={"Location": f"http://10.0.0.1/?{SECRET}"})
    server.add(f"/text?{SECRET}", body=SECRET.encode())
    server.add(f"/gzip?{SECRET}", body=SECRET.encode(), headers={"Content-Encoding": "gzip"})
    server.add(f"/packed?{SECRET}", body=SECRET.encode(), headers={"Content-Encoding": SECRET})
    server.add(f"/robots?{SECRET}", headers={"X-Robots-Tag": f"noai, {SECRET}"})
    for name, answer in {
        "header": OK + b"X: \0" + SECRET.encode() + b"\r\n\r\n",
        "reason": b"HTTP/1.1 999 " + SECRET.encode() + b"\r\nContent-Length: 0\r\n\r\n",
        "garbage": SECRET.encode() + b"\r\n\r\n",
        "truncated": OK + b"Content-Length: 99\r\n\r\n" + SECRET.encode(),
        "nothing": b"",
    }.items():
        server.add_raw(f"/{name}?{SECRET}", [answer])


def cells(server: ImageServer) -> list[str]:
    """URLs that fail, with a secret in each."""
    misbehave(server)
    return [
        *map(server.url, server._answers),
        *(f"http://user:{SECRET}@{server.address}/", f"http://{SECRET}@h.example/", f"ftp://h.example/?{SECRET}"),
        *(f"http://127.0.0.1:1/?{SECRET}", f"http://10.0.0.1/?{SECRET}", f"http://h.example:99999/?{SECRET}"),
        *(f"https://{server.address}/?{SECRET}", f"http://h.example/\\?{SECRET}", f"{SECRET}", f"/{SECRET}.png"),
        *(
            f"data:image/png;base64,{SECRET}*",
            f"data:,{SECRET}",
            f"data:{SECRET}",
            f"http://h.example/?{SECRET}\n\n{SECRET}",
        ),
    ]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_case_32_rows_and_logs_hold_no_secret(
    checkpoint: str, server: ImageServer, logged: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"tries": 1, "timeout_s": 2.0, "header": (f"h.example: X: {SECRET}",)}
    column = cells(server)
    with (
        warnings.catch_warnings(record=True) as warned,
        pixvec.Embedder(model=checkpoint, allow_address=(server.address,), **options) as embedder,
    ):
        embeddings = embedder.embed(column)
    assert None not in embeddings.errors
    said = "\n".join(map(str, [*embeddings.details, embeddings.summary(), *warned, logged.text, embedder]))
    assert SECRET not in said
    assert not ADDRESS.search("\n".join(map(str, embeddings.details)))


@pytest.mark.parametrize("cell", ["http://h.example/?s3cr3t", "https://h.example/?s3cr3t"])
def test_case_32_a_proxys_password_is_not_told(
    server: ImageServer, fetch: Fetch, logged: pytest.LogCaptureFixture, cell: str
) -> None:
    with pytest.raises(FetchError) as raised:
        fetch(cell, proxy=f"http://user:{SECRET}@{server.address}")
    assert SECRET not in str(raised.value) + logged.text


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("http://h.example:8080/a/b.png?s3cr3t#s3cr3t", "http://h.example:8080/a/b.png"),
        ("http://h.example/a@b", "http://h.example/a@b"),
        ("http://user:s3cr3t@h.example/", "a text of 29 characters"),
        ("http://user:s3?cr3t@h.example/", "a text of 30 characters"),
        ("data:image/png;base64,s3cr3t", "a text of 28 characters"),
        ("http://h.example/" + "a" * 500, "http://h.example/" + "a" * 183),
    ],
)
def test_case_32_a_bugs_note_names_a_cell_without_its_secrets(cell: str, expected: str) -> None:
    assert redacted(cell) == expected
