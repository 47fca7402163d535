"""Cells that are no plain URL: cases 1 to 14."""

from __future__ import annotations

import base64
import math
import os
import socket
from pathlib import Path
from urllib.parse import quote_from_bytes

import pyarrow as pa
import pytest

import pixvec
from pixvec.errors import UsageError
from pixvec.fetch import FetchOptions
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import FakeDNS, Fetch
from tests.hostile.conftest import Codes, Outcome


def test_case_1_nothing(codes: Codes) -> None:
    assert codes([None, math.nan, "", " \t\n", "\u00a0"]) == ["null_input"] * 5


def test_case_2_no_text(codes: Codes) -> None:
    cells = [1, ["http://h.example/"], {"url": "http://h.example/"}, "http://h.example/\ud800", None]
    assert codes(cells) == ["invalid_url"] * 4 + ["null_input"]


SEVERAL = [
    "a.jpg, b.jpg",
    "a.jpg|b.jpg",
    "http://h.example/a.jpg, http://h.example/b.jpg",
    "http://h.example/a.jpg\nhttp://h.example/b.jpg",
    '["http://h.example/a.jpg", "http://h.example/b.jpg"]',
]


def test_case_2_several_urls_in_one_cell(checkpoint: str) -> None:
    table = pixvec.embed_table(pa.table({"url": SEVERAL}), column="url", model=checkpoint)
    assert table["embedding_error"].to_pylist() == ["invalid_url"] * len(SEVERAL)
    assert all(
        "the cell holds a list" in detail or "several URLs" in detail
        for detail in table["embedding_detail"].to_pylist()
    )


@pytest.mark.parametrize(
    "cell",
    [
        *("patients/anna.jpg", "img_001.jpg", "photos.v2/a.png"),
        *("http:///a.png", "http://", "http://[", "http://a:99999/", "http://a:80:80/"),
    ],
)
def test_case_3_no_host_and_no_look_up(outcome: Outcome, cell: str) -> None:
    dns = FakeDNS()
    assert outcome(cell, resolver=dns) == "invalid_url"
    assert not dns.asked


def test_case_3c_one_slash_is_read_as_browsers_read_it(server: ImageServer, outcome: Outcome) -> None:
    server.add("/a.jpg", body=b"ok")
    assert outcome(f"http:/{server.address}/a.jpg") == "ok"


@pytest.mark.parametrize("cell", ["example.com/a.png", "//example.com/a.png"])
def test_case_3a_a_host_without_a_scheme_is_https(outcome: Outcome, cell: str) -> None:
    dns = FakeDNS(example_com=socket.gaierror(socket.EAI_NONAME, "x"))
    assert outcome(cell, resolver=dns) == "host_not_found"
    assert dns.asked == ["example.com"]


def test_case_4_case_and_blanks_around(server: ImageServer, outcome: Outcome) -> None:
    server.add("/A.png", body=b"ok")
    assert outcome(f"\ufeff  HTTP://{server.address}/A.png \r\n") == "ok"


@pytest.mark.parametrize(
    ("target", "on_the_wire"),
    [
        ("/a b.png", "/a%20b.png"),
        ("/a%20b.png", "/a%20b.png"),
        ("/中.png", "/%E4%B8%AD.png"),
        ("/%E4%B8%AD.png", "/%E4%B8%AD.png"),
        ("/a%2Fb%7E%41.png?x=%3D%7E&y=%2F", "/a%2Fb%7E%41.png?x=%3D%7E&y=%2F"),
        ("/100%.png", "/100%25.png"),
        ("/a.png?", "/a.png?"),
        ("/?a=1&b=2", "/?a=1&b=2"),
        ("/?url=http://x/y", "/?url=http://x/y"),
        ("/a.png#frag", "/a.png"),
        ("/a%23b.png", "/a%23b.png"),
        ("/a//b", "/a//b"),
    ],
)
def test_case_5_and_6_what_the_server_sees(server: ImageServer, fetch: Fetch, target: str, on_the_wire: str) -> None:
    server.add(on_the_wire, body=b"ok")
    fetch(server.url(target))
    assert [request.target for request in server.requests] == [on_the_wire]


DOTS = {
    "/a/../b.png": "/b.png",
    "/../c.png": "/c.png",
    "/a/./d.png": "/a/d.png",
    "/a/%2e%2e/e.png?s=%2F../%7E": "/e.png?s=%2F../%7E",
}


@pytest.mark.parametrize(("target", "on_the_wire"), DOTS.items())
@pytest.mark.parametrize("way", ["cell", "Location"])
def test_case_5b_dot_segments(server: ImageServer, fetch: Fetch, target: str, on_the_wire: str, way: str) -> None:
    server.add(on_the_wire, body=b"ok")
    url = server.url(target) if way == "cell" else server.add("/r", status=302, headers={"Location": target})
    assert fetch(url).body == b"ok"
    assert server.requests[-1].target == on_the_wire


@pytest.mark.parametrize(("n_chars", "code"), [(8000, "ok"), (10_000, "invalid_url"), (1_000_000, "invalid_url")])
def test_case_7_long_urls(server: ImageServer, outcome: Outcome, n_chars: int, code: str) -> None:
    path = "/" + "a" * n_chars
    server.add(path, body=b"ok")
    assert outcome(server.url(path)) == code


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("foo_bar.example", "foo_bar.example"),
        ("i❤.example", None),
        ("a..example", None),
        ("\u200d.example", None),
    ],
    ids=ascii,
)
def test_case_8_names_in_other_scripts(outcome: Outcome, host: str, asked: str | None) -> None:
    dns = FakeDNS(**{asked or "none": socket.gaierror(socket.EAI_NONAME, "x")})
    assert outcome(f"http://{host}/", resolver=dns) == ("host_not_found" if asked else "invalid_url")
    assert dns.asked == ([asked] if asked else [])


@pytest.mark.parametrize("host", ["localhost.", "h.example."])
def test_case_9_a_dot_behind_a_name(canary: ImageServer, outcome: Outcome, host: str) -> None:
    dns = FakeDNS(**{host: [["127.0.0.1"]]})
    assert outcome(f"http://{host}:{canary.port}/", resolver=dns) == "address_blocked"


IMAGE = image_bytes("PNG")
AS_BASE64 = base64.b64encode(IMAGE).decode()
DATA_URLS = {
    f"data:image/png;base64,{AS_BASE64}": "ok",
    f" DATA:;BASE64,{AS_BASE64}#x": "ok",
    f"data:image/jpeg;charset=x; base64 ,{AS_BASE64.rstrip('=')}": "ok",
    f"data:image/png;base64,{AS_BASE64[:50]}%0A {AS_BASE64[50:]}": "ok",
    f"data:image/png,{quote_from_bytes(IMAGE)}": "ok",
    "data:image/png;base64,*": "invalid_url",
    "data:image/png;base64,AAAAA": "invalid_url",
    "data:image/png;base64,\ud800": "invalid_url",
    "data:image/png;base64": "invalid_url",
    "data:,hello": "not_an_image",
    "data:image/png;base64,": "not_an_image",
}


def test_case_10_an_image_in_its_url(codes: Codes) -> None:
    assert dict(zip(DATA_URLS, codes(list(DATA_URLS)), strict=True)) == DATA_URLS


def test_case_10_50_mb_in_a_url(codes: Codes) -> None:
    assert codes(["data:;base64," + "A" * 50_000_000]) == ["too_many_bytes"]


def test_case_10_the_limit_is_of_the_image(codes: Codes) -> None:
    expected = {
        "data:," + "%41" * 1000: "not_an_image",
        "data:," + "%41" * 1001: "too_many_bytes",
        "data:," + "a" * 1001: "too_many_bytes",
        "data:;base64," + base64.b64encode(bytes(1000)).decode(): "not_an_image",
        "data:;base64," + base64.b64encode(bytes(1001)).decode(): "too_many_bytes",
    }
    assert dict(zip(expected, codes(list(expected), max_bytes=1000), strict=True)) == expected


def test_case_10_an_image_in_its_url_is_read_in_a_table_in_memory_too(checkpoint: str) -> None:
    table = pixvec.embed_table(pa.table({"url": list(DATA_URLS)[:1]}), column="url", model=checkpoint)
    assert table["embedding_error"].to_pylist() == [None]


def test_case_10_an_image_in_its_url_is_blocked_in_files(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(f'url\n"data:image/png;base64,{AS_BASE64}"\n')
    with pytest.raises(pixvec.TooManyFailedError):
        pixvec.embed_file(tmp_path / "in.csv", tmp_path / "out.csv", column="url", model=checkpoint)
    assert "scheme_blocked" in (tmp_path / "out.csv").read_text()


@pytest.mark.parametrize(
    "cell",
    [
        *("file:///etc/passwd", "ftp://h.example/a", "gopher://h.example/", "s3://bucket/a.png"),
        *("jar:http://h.example/a!/b", "dict://h.example/", "javascript:alert(1)", "DATA:,x"),
    ],
)
def test_case_11_other_schemes(outcome: Outcome, cell: str) -> None:
    assert outcome(cell, resolver=FakeDNS()) == "scheme_blocked"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of images and of traps; beside it what must not be read."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "sub").mkdir(parents=True)
    outside.mkdir()
    for path in (inside / "a.png", inside / "sub" / "ü b.png", inside / "h.example", outside / "secret.png"):
        path.write_bytes(IMAGE)
    (inside / "large.png").write_bytes(bytes(2_000_000))
    (inside / "link").symlink_to("a.png")
    (inside / "out").symlink_to(outside / "secret.png")
    (inside / "outside").symlink_to(outside)
    (inside / "circle").symlink_to("circle")
    (inside / "nowhere").symlink_to("missing.png")
    os.mkfifo(inside / "fifo")
    (tmp_path / "inside2").mkdir()
    (tmp_path / "inside2" / "a.png").write_bytes(IMAGE)
    return inside


def test_case_11b_files_in_the_folder(codes: Codes, folder: Path) -> None:
    cells: list[object] = [
        *("a.png", "./a.png", "sub/ü b.png", "sub/../a.png", "link", " a.png ", "h.example"),
        *(str(folder / "a.png"), (folder / "sub" / "ü b.png").as_uri(), f"file://localhost{folder}/a.png#x"),
        *(f"FILE:{folder}/a.png", folder / "a.png", Path("a.png")),
    ]
    assert codes(cells, files_under=folder) == ["ok"] * len(cells)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("../outside/secret.png", "path_blocked"),
        ("../outside/missing.png", "path_blocked"),
        ("../inside2/a.png", "path_blocked"),
        ("{outside}/secret.png", "path_blocked"),
        ("file://{outside}/secret.png", "path_blocked"),
        ("file:///etc/passwd", "path_blocked"),
        ("file://other.example/a.png", "path_blocked"),
        ("file:////other.example/a.png", "path_blocked"),
        ("/etc/passwd", "path_blocked"),
        ("out", "path_blocked"),
        ("outside/secret.png", "path_blocked"),
        ("circle", "path_blocked"),
        ("fifo", "path_blocked"),
        ("/dev/zero", "path_blocked"),
        ("sub", "path_blocked"),
        (".", "path_blocked"),
        ("large.png", "too_many_bytes"),
        ("a.png\0.jpg", "file_not_found"),
        ("file:a%00.png", "file_not_found"),
        ("\ud800.png", "file_not_found"),
        ("missing.png", "file_not_found"),
        ("nowhere", "file_not_found"),
        ("a.png/b", "file_not_found"),
        ("a" * 300, "file_not_found"),
        ("a/" * 100_000, "file_not_found"),
        ("ftp://h.example/a", "scheme_blocked"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_case_11b_traps_in_the_folder(outcome: Outcome, folder: Path, cell: str, code: str) -> None:
    cell = cell.replace("{outside}", str(folder.parent / "outside"))
    assert outcome(cell, files_under=str(folder), max_bytes=1_000_000) == code


def test_case_11b_urls_are_fetched_beside_files(codes: Codes, folder: Path, server: ImageServer) -> None:
    url = server.add("/a.png", body=IMAGE)
    assert codes([url, "a.png"], files_under=folder) == ["ok", "ok"]


def test_case_11b_a_path_of_the_callers_own_program_needs_no_folder(codes: Codes, folder: Path) -> None:
    cells = [folder / "a.png", folder / "out", folder / "fifo", folder, folder / "missing.png"]
    assert codes(list(cells)) == ["ok", "ok", "path_blocked", "path_blocked", "file_not_found"]


def test_case_11b_the_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`files_under=.*missing'`: there is no such folder"):
        FetchOptions(files_under=tmp_path / "missing")


@pytest.mark.parametrize("tail", ["\r\nX: y", "\tb", "\0", "a\x7f", "\u0085"], ids=ascii)
def test_case_12_control_characters(server: ImageServer, outcome: Outcome, tail: str) -> None:
    assert outcome(f"{server.url('/')}{tail}z") == "invalid_url"
    assert not server.requests


def test_case_13_a_url_a_thousand_times_is_fetched_once(codes: Codes, server: ImageServer) -> None:
    url = server.add("/a.png", body=IMAGE)
    assert codes([f"{url}#{number % 7}" for number in range(1_000)]) == ["ok"] * 1_000
    assert server.n_requests("/a.png") == 1


def test_case_14_the_same_bytes_at_two_urls(checkpoint: str, server: ImageServer) -> None:
    urls = [server.add(path, body=IMAGE) for path in ("/a.png", "/b.png")]
    with pixvec.Embedder(model=checkpoint, allow_address=(server.address,)) as embedder:
        first, second = embedder.embed(urls).images
    assert first is not None
    assert second is not None
    assert first.sha256 == second.sha256
