"""What a run remembers for the next: fewer bytes and no work, and never another vector."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixvec import embed_file
from pixvec.errors import UsageError
from pixvec.fetch import Validators
from pixvec.model import ClipModel
from pixvec.model.checkpoint import load
from pixvec.pipeline.cache.entries import StoredSource, pack_row, pack_source, unpack_row, unpack_source
from pixvec.pipeline.cache.store import Store
from pixvec.pipeline.images import embed_alone
from pixvec.pipeline.report import Report
from pixvec.pipeline.settings import Settings
from pixvec.testing.images import image_bytes
from pixvec.values import ImageFacts, Row
from tests.loopback import LoopbackServer

IMAGES = [image_bytes(seed=seed, size=(64, 48)) for seed in range(4)]
LONG_AGO = "Mon, 02 Jan 2006 15:04:05 GMT"
CONDITIONS = {"If-None-Match", "If-Modified-Since"}


class Site:
    """A server that knows conditional requests, and what it was asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.answers: list[tuple[str, int]] = []
        self.conditions: list[set[str]] = []
        self.on_unchanged: dict[str, str] = {}

    def add(self, path: str, body: bytes, *, status: int = 200, **headers: str) -> str:
        self.pages[path] = status, {name.replace("_", "-"): value for name, value in headers.items()}, body
        return f"http://{self.address}{path}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        status, headers, body = self.pages[request.path]
        asked = {request.headers["If-None-Match"], request.headers["If-Modified-Since"]} - {None}
        if asked & {headers.get("ETag"), headers.get("Last-Modified")}:
            status, headers, body = 304, {**headers, **self.on_unchanged}, b""
        self.answers.append((request.path, status))
        self.conditions.append(CONDITIONS & set(request.headers))
        request.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answering.answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with LoopbackServer(Handler) as server:
        answering = Site(f"127.0.0.1:{server.server_port}")
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield answering
        server.shutdown()


@pytest.fixture(scope="module")
def model(checkpoint: str) -> ClipModel:
    return ClipModel(load(checkpoint), Settings(precision="fp32", batch_size=4))


Run = Callable[..., tuple[list[Row], Report]]


@pytest.fixture
def run(model: ClipModel, site: Site, tmp_path: Path) -> Run:
    """Embed cells with a cache, unless it is said otherwise."""

    def run(cells: list[object], **options: Any) -> tuple[list[Row], Report]:
        report = Report()
        kinds = {"precision": "fp32", "cache": tmp_path / "cache", "isolate": "never", "backoff_s": 0.0, **options}
        rows = list(embed_alone(cells, model, Settings(allow_address=(site.address,), **kinds), report))
        return rows, report

    return run


def bits(rows: list[Row]) -> list[object]:
    """What is in rows, comparable bit for bit."""
    return [(row.vector if row.vector is None else row.vector.tobytes(), replace(row, vector=None)) for row in rows]


def test_a_second_run_asks_for_changes_alone_and_does_no_work(run: Run, site: Site) -> None:
    urls = [site.add(f"/{n}", image, ETag=f'"{n}"') for n, image in enumerate(IMAGES)]
    urls.append(site.add("/page", b"<html>", ETag='"page"'))
    urls.append(site.add("/half", IMAGES[0][:900], ETag='"half"'))
    first, _ = run([*urls, None])
    second, report = run([*urls, None])
    assert bits(second) == bits(first) == bits(run([*urls, None], cache=None)[0])
    assert [status for _, status in site.answers[6:12]] == [304] * 6
    assert (report.n_cached, report.n_bytes, report.model_busy) == (6, 0, 0.0)
    assert "known from the cache: 6 images" in str(report)


def test_what_is_new_or_has_changed_is_embedded(run: Run, site: Site) -> None:
    urls = [site.add("/a", IMAGES[0], ETag='"1"'), site.add("/b", IMAGES[1], ETag='"1"')]
    run(urls)
    site.add("/b", IMAGES[2], ETag='"2"')
    urls.append(site.add("/c", IMAGES[3]))
    rows, report = run(urls)
    assert bits(rows) == bits(run(urls, cache=None)[0])
    assert report.n_cached == 1


@pytest.mark.parametrize(
    ("headers", "conditions"),
    [
        pytest.param({"ETag": '"a"'}, {"If-None-Match"}, id="etag"),
        pytest.param({"ETag": 'W/"a"'}, {"If-None-Match"}, id="weak etag"),
        pytest.param({"Last_Modified": LONG_AGO}, {"If-Modified-Since"}, id="date"),
        pytest.param({"ETag": '"a"', "Last_Modified": LONG_AGO}, CONDITIONS, id="both"),
        pytest.param({"ETag": "a", "Last_Modified": LONG_AGO}, {"If-Modified-Since"}, id="date and no etag"),
        pytest.param({}, set(), id="nothing"),
        pytest.param({"ETag": "a"}, set(), id="no etag"),
        pytest.param({"ETag": '"é"'}, set(), id="no ascii"),
        pytest.param({"Last_Modified": "yesterday"}, set(), id="no date"),
        pytest.param({"Last_Modified": LONG_AGO, "Date": "Mon, 02 Jan 2006 15:04:35 GMT"}, set(), id="just modified"),
        pytest.param({"ETag": '"a"', "Cache_Control": "private, No-Store"}, set(), id="no-store"),
        pytest.param({"ETag": '"a"', "Vary": "*"}, set(), id="never the same"),
        pytest.param({"ETag": '"a"', "X_Robots_Tag": "nosnippet"}, set(), id="robots"),
    ],
)
def test_a_server_is_asked_for_changes_where_it_named_a_state(
    run: Run, site: Site, headers: dict[str, Any], conditions: set[str]
) -> None:
    url = site.add("/a", IMAGES[0], **headers)
    first, _ = run([url])
    second, report = run([url])
    assert bits(second) == bits(first)
    assert site.conditions == [set(), conditions]
    assert (report.n_cached, report.model_busy) == (1, 0.0)


def test_an_unchanged_image_behind_a_redirect_is_asked_for_where_it_is(run: Run, site: Site) -> None:
    image = site.add("/image", IMAGES[0], ETag='"1"')
    url = site.add("/moved", b"", status=302, Location=image, ETag='"1"')
    first, _ = run([url])
    second, _ = run([url])
    assert [row.image.final_url for row in second if row.image] == [image]
    assert bits(second) == bits(first)
    assert site.answers == [("/moved", 302), ("/image", 200), ("/moved", 302), ("/image", 304)]


def test_a_redirect_that_leads_elsewhere_is_followed(run: Run, site: Site) -> None:
    url = site.add("/moved", b"", status=302, Location=site.add("/a", IMAGES[0], ETag='"1"'))
    run([url])
    site.add("/moved", b"", status=302, Location=site.add("/b", IMAGES[1], ETag='"1"'))
    rows, _ = run([url])
    assert site.answers[-1] == ("/b", 200)
    assert bits(rows) == bits(run([url], cache=None)[0])


def test_an_unchanged_image_may_opt_out(run: Run, site: Site) -> None:
    url = site.add("/a", IMAGES[0], ETag='"1"')
    run([url])
    site.on_unchanged = {"X-Robots-Tag": "noai"}
    assert [row.error for row in run([url])[0]] == ["opt_out"]


def test_an_answer_that_names_another_state_is_not_believed(run: Run, site: Site) -> None:
    url = site.add("/a", IMAGES[0], ETag='"1"')
    first, _ = run([url])
    site.on_unchanged = {"ETag": '"2"'}
    assert bits(run([url])[0]) == bits(first)
    assert [status for _, status in site.answers] == [200, 304, 200]


def test_an_unchanged_image_that_nobody_asked_about_is_a_status(run: Run, site: Site) -> None:
    url = site.add("/a", b"", status=304)
    assert [row.error for row in run([url])[0]] == ["http_304"]


def test_with_other_headers_a_url_is_another_image(run: Run, site: Site) -> None:
    url = site.add("/me", IMAGES[0], Last_Modified=LONG_AGO)
    origin = url.removesuffix("/me")
    run([url], header=(f"{origin}: Cookie: name=anna",))
    run([url], header=(f"{origin}: Cookie: name=bert",))
    assert site.conditions == [set(), set()]


@pytest.mark.parametrize("options", [{"normalize": False}, {"decode": "reference"}, {"max_pixels": 10_000}])
def test_what_decides_vectors_decides_what_is_known(
    checkpoint: str, site: Site, tmp_path: Path, options: dict[str, Any]
) -> None:
    def n_cached(**options: Any) -> int:
        report = Report()
        settings = Settings(precision="fp32", isolate="never", cache=tmp_path, **options)
        list(embed_alone([IMAGES[0]], ClipModel(load(checkpoint), settings), settings, report))
        return report.n_cached

    assert [n_cached(), n_cached(), n_cached(**options), n_cached(**options)] == [0, 1, 0, 1]


def test_what_may_be_another_time_is_not_kept(run: Run, site: Site) -> None:
    url = site.add("/a", IMAGES[0], status=503, ETag='"1"')
    run([url])
    site.add("/a", IMAGES[0], ETag='"1"')
    assert [row.error for row in run([url])[0]] == [None]


def test_tables_are_the_same_bytes_with_and_without(checkpoint: str, site: Site, tmp_path: Path) -> None:
    urls = [site.add(f"/{n}", image, ETag=f'"{n}"') for n, image in enumerate(IMAGES)]
    (tmp_path / "in.csv").write_text("\n".join(["image_url", *urls, site.add("/page", b"<html>"), ""]))

    def table(name: str, **options: Any) -> bytes:
        settings = {"model": checkpoint, "allow_address": (site.address,), "quiet": True, **options}
        embed_file(tmp_path / "in.csv", tmp_path / name, **settings)
        return (tmp_path / name).read_bytes()

    with_cache = {"cache": tmp_path / "cache"}
    assert table("a.parquet") == table("b.parquet", **with_cache) == table("c.parquet", **with_cache)


def test_nobody_else_may_read_it_and_no_url_stands_in_it(run: Run, site: Site, tmp_path: Path) -> None:
    run([site.add("/private?signature=secret", IMAGES[0], ETag='"1"')])
    (path,) = (tmp_path / "cache").iterdir()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    assert b"signature" not in path.read_bytes()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="expected a folder"):
        Settings(cache=tmp_path / "file")


# What befalls the file


def store_in(folder: Path, **options: Any) -> Store:
    return Store(folder, **{"max_bytes": 1 << 30, **options})


def file_in(folder: Path) -> Path:
    return next(folder.glob("*.sqlite3"))


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 1000, None], ids=["empty", "overwritten", "torn"])
def test_a_damaged_file_costs_no_row(
    run: Run, site: Site, tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    cells: list[object] = [*IMAGES]
    first, _ = run(cells)
    path = file_in(tmp_path / "cache")
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(len(whole) - 4096) if damage is None else damage)
    second, _ = run(cells)
    third, report = run(cells)
    assert bits(third) == bits(second) == bits(first)
    assert ("the cache was damaged" in caplog.text, report.n_cached) == (True, len(cells))


def test_an_entry_with_a_wrong_bit_is_not_there(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put([(b"key", b"entry"), (b"other", b"entry")])
    store.close()
    with sqlite3.connect(file_in(tmp_path)) as connection:
        ((sealed,),) = connection.execute("SELECT entry FROM entries WHERE key = ?", (b"key",)).fetchall()
        connection.execute("UPDATE entries SET entry = ? WHERE key = ?", (sealed[:-1] + b"z", b"key"))
    connection.close()
    store = store_in(tmp_path)
    assert (store.get(b"key"), store.get(b"other")) == (None, b"entry")
    store.close()


def test_a_damaged_file_is_put_aside_unless_others_use_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = store_in(tmp_path)
    file_in(tmp_path).write_bytes(b"no database at all" * 1000)
    store = store_in(tmp_path)
    assert (store.get(b"key"), "while others use it" in caplog.text) == (None, True)
    other.close()
    store = store_in(tmp_path)
    store.put([(b"key", b"entry")])
    assert (store.get(b"key"), min(path.suffix for path in tmp_path.iterdir())) == (b"entry", ".damaged")
    store.close()


# A folder that a stranger filled


def rewrite_entries(path: Path, change: Callable[[bytes], object]) -> int:
    """Put other entries in the place of all, with the checksums that they should have; return how many."""
    with sqlite3.connect(path) as connection:
        entries = connection.execute("SELECT key, entry FROM entries").fetchall()
        for key, sealed in entries:
            entry = change(sealed[8:])
            if isinstance(entry, bytes):
                entry = blake2b(key + entry, digest_size=8).digest() + entry
            connection.execute("UPDATE entries SET entry = ? WHERE key = ?", (entry, key))
    connection.close()
    return len(entries)


def with_facts(**changed: object) -> Callable[[bytes], bytes]:
    def change(entry: bytes) -> bytes:
        head, _, vector = entry.partition(b"\n")
        facts = json.loads(head)
        known = facts if "error" in facts else {}
        known.update({name: value for name, value in changed.items() if name in known})
        if known.get("image"):
            known["image"].update({name: value for name, value in changed.items() if name in known["image"]})
        return json.dumps(facts).encode() + b"\n" + vector

    return change


def with_vector(write: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda entry: b"\n".join([entry.partition(b"\n")[0], write(entry.partition(b"\n")[2])])


@pytest.mark.parametrize(
    "change",
    [
        with_vector(lambda vector: vector[:-4] + b"\0\0\xc0\x7f"),
        with_vector(lambda vector: vector[:-4] + b"\0\0\x80\x7f"),
        with_vector(lambda vector: vector[:-4]),
        with_vector(lambda vector: vector + vector),
        with_vector(lambda _: b""),
        with_facts(error="weather", detail="it rains"),
        with_facts(error="http_404", detail="gone"),
        with_facts(error=["corrupt_image"], detail="gone"),
        with_facts(sha256="00" * 32),
        with_facts(width=-1),
        with_facts(width=1 << 40),
        with_facts(format="\x1b[31m"),
        with_facts(final_url="http://other.example/"),
        with_facts(image=None),
        lambda _: b"[" * 100_000,
        lambda _: b"{}",
        lambda _: b"",
        lambda _: "text",
        lambda _: 5,
    ],
    ids=[
        *("nan", "infinity", "short", "long", "no vector", "unknown code", "code of a server", "codes", "another file"),
        *("negative", "huge", "escape", "final url", "no image", "deep", "empty object", "empty", "a text", "a number"),
    ],
)
def test_entries_that_pixvec_never_wrote_are_not_there(
    run: Run, tmp_path: Path, change: Callable[[bytes], object]
) -> None:
    cells: list[object] = [*IMAGES[:2]]
    first, _ = run(cells)
    assert rewrite_entries(file_in(tmp_path / "cache"), change) == len(cells)
    second, report = run(cells)
    assert (bits(second), report.n_cached) == (bits(first), 0)


@pytest.mark.parametrize("field", ["etag", "last_modified", "place", "sha256"])
def test_what_a_stranger_says_of_a_url_adds_no_header(run: Run, site: Site, tmp_path: Path, field: str) -> None:
    cells: list[object] = [site.add("/a.jpg", IMAGES[0], ETag='"1"')]
    first, _ = run(cells)

    def change(entry: bytes) -> bytes:
        return entry if b"error" in entry else json.dumps({**json.loads(entry), field: "a\r\nX-Evil: 1"}).encode()

    rewrite_entries(file_in(tmp_path / "cache"), change)
    second, _ = run(cells)
    assert bits(second) == bits(first)
    assert site.conditions == [set(), set()]


def journal_that_deletes(victim: Path, database: Path) -> bytes:
    """Write a rollback journal of SQLite's that has nothing to roll back, and belongs to a journal of several files.

    StoredSource of the format: https://www.sqlite.org/fileformat2.html, section 3, and ``pager.c`` of SQLite 3.45.
    """
    magic, page_bytes, name = bytes.fromhex("d9d505f920a163d7"), 16_384, os.fsencode(victim)
    header = magic + struct.pack(">IIIII", 0, 0, database.stat().st_size // page_bytes, 512, page_bytes)
    lock_page = (1 << 30) // page_bytes + 1
    return (
        header.ljust(512, b"\0")
        + struct.pack(">I", lock_page)
        + name
        + struct.pack(">II", len(name), sum(name))
        + magic
    )


def test_a_journal_that_names_other_files_is_not_obeyed(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cells: list[object] = [IMAGES[0]]
    first, _ = run(cells)
    path = file_in(tmp_path / "cache")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path.with_name(f"{path.name}-journal").write_bytes(journal_that_deletes(victim, path))
    second, _ = run(cells)
    assert (bits(second), victim.exists(), "may be harmful" in caplog.text) == (bits(first), True, True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT * FROM entries")
    assert not victim.exists()  # so the journal is one that SQLite obeys


ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT x'00' AS key, x'00' AS entry, i AS used_s"
)
SCHEMAS = {
    "endless view": f"DROP TABLE entries; CREATE VIEW entries AS {ENDLESS} FROM n WHERE i < 0",
    "trigger": "CREATE TRIGGER t AFTER UPDATE ON entries BEGIN DELETE FROM entries; END",
    "another table": "CREATE TABLE other (x)",
    "another column": "ALTER TABLE entries ADD COLUMN other",
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_a_file_of_another_schema_is_put_aside(
    run: Run, tmp_path: Path, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    cells: list[object] = [IMAGES[0]]
    first, _ = run(cells)
    with sqlite3.connect(file_in(tmp_path / "cache")) as connection:
        connection.executescript(schema)
    connection.close()
    second, report = run(cells)
    assert (bits(second), report.n_cached, "begins anew" in caplog.text) == (bits(first), 0, True)


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_only_regular_files_are_opened(
    run: Run, tmp_path: Path, ending: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    cells: list[object] = [IMAGES[0]]
    first, _ = run(cells)
    path = file_in(tmp_path / "cache")
    path = path.with_name(path.name + ending)
    path.unlink(missing_ok=True)
    victim = tmp_path / "victim"
    victim.write_bytes(b"what a stranger wants to be overwritten")
    path.symlink_to(victim) if kind == "link" else os.mkfifo(path)
    second, report = run(cells)
    assert (bits(second), report.n_cached, "regular file" in caplog.text) == (bits(first), 0, True)
    assert victim.read_bytes() == b"what a stranger wants to be overwritten"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put([(b"key", b"entry")])
    store.close()
    tmp_path.chmod(0o500)
    store = store_in(tmp_path)
    store.put([(b"other", b"entry")])
    assert (store.get(b"key"), store.get(b"other")) == (b"entry", None)
    store.close()
    tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_made_is_done_without(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    rows, _ = run([IMAGES[0]], cache="/proc/nowhere")
    assert ([row.error for row in rows], "going on without the cache" in caplog.text) == ([None], True)


def test_what_was_not_used_for_longest_leaves_first(tmp_path: Path) -> None:
    now_s = 0.0
    store = store_in(tmp_path, max_bytes=1 << 20, clock=lambda: now_s)
    store.put([(f"{number}".encode(), bytes(2000)) for number in range(400)])
    now_s = 1e6
    assert store.get(b"0") is not None
    for number in range(400, 600):
        store.put([(f"{number}".encode(), bytes(2000))])
    kept = [number for number in range(600) if store.get(f"{number}".encode())]
    store.close()
    assert kept == [0, *range(257, 600)]


def test_it_stays_in_its_bounds(tmp_path: Path) -> None:
    store = store_in(tmp_path, max_bytes=1 << 20)
    for first in range(0, 5_000, 50):
        store.put([(f"{number}".encode(), bytes(2000)) for number in range(first, first + 50)])
    assert store.get(b"4999") is not None
    store.close()
    assert (1 << 18) < file_in(tmp_path).stat().st_size <= 1.2 * (1 << 20)


def test_a_bound_that_was_lowered_is_reached_little_by_little(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put([(f"{number}".encode(), bytes(2000)) for number in range(1_500)])
    store.close()
    store = store_in(tmp_path, max_bytes=1 << 20)
    for number in range(8):
        store.put([(f"new {number}".encode(), bytes(2000))])
    store.close()
    assert file_in(tmp_path).stat().st_size <= 1.2 * (1 << 20)


PROCESS = """
import sys
from pathlib import Path
from pixvec.pipeline.cache.store import Store
store = Store(Path(sys.argv[1]), max_bytes=1 << 30)
print("open", flush=True)
for number in range(int(sys.argv[3])):
    store.put([(f"{sys.argv[2]} {number}".encode(), bytes(2000))])
    print(number, flush=True)
store.close()
"""


def start(folder: Path, name: str, n: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, str(folder), name, str(n)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_several_processes_may_use_it_at_once(tmp_path: Path) -> None:
    processes = [start(tmp_path, name, 50) for name in "abc"]
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 3
    store = store_in(tmp_path)
    assert sum(store.get(f"{name} {number}".encode()) is not None for name in "abc" for number in range(50)) == 150
    store.close()


def test_what_was_written_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    with start(tmp_path, "a", 1_000_000) as process:
        assert process.stdout
        written = [process.stdout.readline() for _ in range(50)]
        process.send_signal(signal.SIGKILL)
    store = store_in(tmp_path)
    assert all(store.get(f"a {int(number)}".encode()) for number in written[1:])
    store.close()


# Round trips

texts = st.text(max_size=40)
facts = st.builds(
    ImageFacts, sha256=st.binary(min_size=32, max_size=32), format=texts,
    width=st.integers(1), height=st.integers(1), frames=st.integers(1), n_bytes=st.integers(0),
)  # fmt: skip
vectors = st.lists(st.floats(width=32), min_size=1, max_size=9).map(lambda numbers: np.array(numbers, np.float32))


@given(st.builds(Row, vector=vectors, image=facts) | st.builds(Row, error=texts, detail=texts))
def test_a_row_comes_back_bit_for_bit(row: Row) -> None:
    assert bits([unpack_row(pack_row(row))]) == bits([row])


@given(st.builds(StoredSource, sha256=st.binary(max_size=32), validators=st.builds(Validators, texts, texts, texts)))
def test_what_is_known_of_a_url_comes_back(source: StoredSource) -> None:
    assert unpack_source(pack_source(source)) == source


@settings(max_examples=20)
@given(st.lists(st.dictionaries(st.binary(min_size=1, max_size=2), st.binary(max_size=99)), max_size=5))
def test_what_was_put_last_is_there(
    tmp_path_factory: pytest.TempPathFactory, batches: list[dict[bytes, bytes]]
) -> None:
    store = store_in(tmp_path_factory.mktemp("store"))
    expected: dict[bytes, bytes] = {}
    for batch in batches:
        store.put(list(batch.items()))
        expected |= batch
    assert {key: store.get(key) for key in expected} == expected
    store.close()
