"""Names that pixvec makes up, beside an output or a cache, may be anything before it comes: nothing else is harmed."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pixvec
from pixvec.cli import execute
from pixvec.errors import UsageError
from pixvec.files.own import OwnFolder
from pixvec.pipeline.cache.store import Store
from pixvec.pipeline.report import Report
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

N_ROWS = 3
SECRET = "precious\n"
VICTIMS = ("victim", "unfinished-notes", "replaced/deep/notes", "replacement/notes", "facts", "o.csv", "o.parquet", "o")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        for seed in range(N_ROWS):
            server.add(f"/{seed}.png", body=image_bytes("PNG", size=(40, 40), seed=seed))
        yield server


@pytest.fixture
def options(checkpoint: str, site: ImageServer) -> dict[str, Any]:
    return {"model": checkpoint, "allow_address": (site.address,), "batch_size": 1, "isolate": "never", "part_rows": 1}


@pytest.fixture
def folder(tmp_path: Path, site: ImageServer) -> Path:
    """A folder with a table, in one that holds files which pixvec's names could lead to."""
    for name in VICTIMS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SECRET)
    (tmp_path / "work").mkdir()
    urls = [site.url(f"/{seed}.png") for seed in range(N_ROWS)]
    (tmp_path / "work" / "in.csv").write_text("\n".join(["image_url", *urls]) + "\n")
    return tmp_path / "work"


@pytest.fixture(autouse=True)
def nothing_else_is_harmed(folder: Path) -> Iterator[None]:
    yield
    assert {name: (folder.parent / name).read_text() for name in VICTIMS} == dict.fromkeys(VICTIMS, SECRET)


def embed(folder: Path, output: str, options: dict[str, Any], **more: Any) -> Report:
    return pixvec.embed_file(folder / "in.csv", f"{folder}/{output}", **{**options, **more})


def stop(folder: Path, output: str, options: dict[str, Any], **more: Any) -> None:
    """Begin a run, and interrupt it when its first part is finished."""

    def interrupt(_: Report) -> None:
        if [*folder.rglob("part-*")]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(folder, output, options, progress=interrupt, **more)


def work_of(folder: Path, output: str) -> Path:
    return folder / f".{output.rstrip('/')}.pixvec"


# What may be in the way -----------------------------------------------------------------------------------------------


def link(path: Path) -> None:
    path.symlink_to("../victim")


def hard_link(path: Path) -> None:
    path.hardlink_to(next(folder for folder in path.parents if (folder / "victim").exists()) / "victim")


def dangling(path: Path) -> None:
    path.symlink_to("../nowhere")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def foreign(path: Path) -> None:
    path.write_text(SECRET)


def folder_of_files(path: Path) -> None:
    path.mkdir()
    (path / "notes").write_text(SECRET)


def seen(path: Path) -> tuple[int, str | None]:
    """Tell what is at a path, and what it says."""
    if path.is_dir() and not path.is_symlink():
        return path.lstat().st_mode, (path / "notes").read_text()
    return path.lstat().st_mode, path.read_text() if path.is_file() else None


# The work folder ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["o.parquet", "o.csv", "o/"])
@pytest.mark.parametrize("target", ["..", "../replaced", "nowhere"])
def test_a_work_folder_that_is_a_link_is_refused(
    output: str, target: str, folder: Path, options: dict[str, Any]
) -> None:
    work_of(folder, output).symlink_to(target)
    for restart in (False, True):
        with pytest.raises(UsageError, match=r"\.pixvec is a link, and not a folder; .* move it away"):
            embed(folder, output, options, restart=restart)
    assert not (folder / output).exists()


def test_a_folder_that_is_not_pixvecs_is_refused(folder: Path, options: dict[str, Any]) -> None:
    work = work_of(folder, "o.parquet")
    for name in ("unfinished-notes", "replaced/notes", "o.parquet"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(SECRET)
    with pytest.raises(UsageError, match=r"\.pixvec is not a folder of pixvec's: it holds o\.parquet; move it away"):
        embed(folder, "o.parquet", options)
    assert all((work / name).read_text() == SECRET for name in ("unfinished-notes", "replaced/notes", "o.parquet"))


@pytest.mark.parametrize("put", [fifo, foreign])
def test_a_work_folder_that_is_no_folder_is_refused(
    put: Callable[[Path], None], folder: Path, options: dict[str, Any]
) -> None:
    put(work_of(folder, "o.csv"))
    before = seen(work_of(folder, "o.csv"))
    with pytest.raises(UsageError, match="is not a folder"):
        embed(folder, "o.csv", options)
    assert seen(work_of(folder, "o.csv")) == before


@pytest.mark.parametrize("words", [["link"], ["dedupe"], ["search", "a dog"], ["report"]], ids=lambda words: words[0])
def test_each_command_that_writes_refuses_a_link(
    words: list[str], folder: Path, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    embed(folder, "t.parquet", options)
    flag, output = ("--html", "o.html") if words == ["report"] else ("-o", "o.csv")
    work_of(folder, output).symlink_to("..")
    model = ["--model", options["model"]] if words[0] == "search" else []
    command, *texts = words
    assert execute([command, f"{folder}/t.parquet", *texts, *model, flag, f"{folder}/{output}"]) == 2
    assert "is a link, and not a folder" in capsys.readouterr().err


# In the work folder ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("put", [link, fifo], ids=["link", "fifo"])
def test_what_is_put_where_a_file_will_be_written_is_not_followed(
    put: Callable[[Path], None], folder: Path, options: dict[str, Any]
) -> None:
    stop(folder, "o.csv", options, thumbnails=16)
    work = work_of(folder, "o.csv")
    missing = [f"unfinished-{row}" for row in range(N_ROWS)]
    for name in (*missing, "unfinished-thumbnails-2", "unfinished-o.csv.thumbnails.parquet", "o.csv", "facts"):
        put_in(work, name, put)
    assert embed(folder, "o.csv", options, thumbnails=16).n_rows == N_ROWS
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("put", [link, fifo], ids=["link", "fifo"])
@pytest.mark.parametrize(
    "name",
    [
        "part-000000000002-000000000003.parquet",
        "thumbnails-part-000000000002-000000000003.parquet",
        "piece-000009.rows",
        "replacement",
        "pixvec.txt",
    ],
)
def test_what_is_put_where_a_file_is_read_is_refused(
    name: str, put: Callable[[Path], None], folder: Path, options: dict[str, Any]
) -> None:
    stop(folder, "o.parquet", options, thumbnails=16)
    work = work_of(folder, "o.parquet")
    (work / name).unlink(missing_ok=True)
    put_in(work, name, put)
    with pytest.raises(UsageError, match=f"{name} is (a link, and )?not a (regular file|folder)"):
        embed(folder, "o.parquet", options, thumbnails=16)
    assert (work / name).is_symlink() == (put is link)


@pytest.mark.parametrize("put", [link, fifo, foreign], ids=["link", "fifo", "foreign"])
def test_parts_of_an_output_folder_are_regular_files_of_pixvecs(
    put: Callable[[Path], None], folder: Path, options: dict[str, Any]
) -> None:
    embed(folder, "o/", options)
    part = folder / "o" / "part-000000000001-000000000002.parquet"
    part.unlink()
    put_in(folder / "o", part.name, put)
    before = seen(part)
    for more in ({}, {"retry_codes": "http_404"}, {"restart": True}):
        with pytest.raises(UsageError, match=r"parquet is (a link|not a regular file|no part of pixvec's)"):
            embed(folder, "o/", options, **more)
    assert seen(part) == before


def test_a_run_works_on_in_its_folder_when_a_link_takes_the_name(folder: Path, options: dict[str, Any]) -> None:
    work, aside = work_of(folder, "o.parquet"), folder / "aside"

    def swap(_: Report) -> None:
        if not aside.exists() and [*work.glob("part-*")]:
            work.rename(aside)
            work.symlink_to("..")

    embed(folder, "o.parquet", options, progress=swap)
    assert aside.is_dir()
    assert (folder / "o.parquet").is_file()
    assert work.is_symlink()


def put_in(folder: Path, name: str, put: Callable[[Path], None]) -> None:
    """Put something into a folder; links lead to the victim from one level further down."""
    put(folder / name)
    if (folder / name).is_symlink():
        (folder / name).unlink()
        (folder / name).symlink_to("../../victim")


# Files beside the output ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("put", [link, hard_link, dangling, fifo, foreign, folder_of_files])
def test_a_log_that_is_not_pixvecs_is_left_alone(
    put: Callable[[Path], None], folder: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    log = folder / "o.parquet.log.jsonl"
    put(log)
    before = seen(log)
    for restart in (False, True):
        assert embed(folder, "o.parquet", options, restart=restart).n_rows == N_ROWS
    assert seen(log) == before
    assert caplog.text.count("so the run goes on without a log") == 2


@pytest.mark.parametrize("put", [link, dangling, fifo, foreign, folder_of_files])
@pytest.mark.parametrize("ending", [".provenance.json", ".thumbnails.parquet"])
def test_a_file_that_is_not_pixvecs_is_not_replaced(
    ending: str, put: Callable[[Path], None], folder: Path, options: dict[str, Any]
) -> None:
    path = folder / f"o.csv{ending}"
    put(path)
    before = seen(path)
    for restart in (False, True):
        with pytest.raises(UsageError, match=f"o.csv{ending} is (a link|not|a folder).*: move it away"):
            embed(folder, "o.csv", options, restart=restart, thumbnails=16)
    assert (seen(path), (folder / "o.csv").exists()) == (before, False)


@pytest.mark.parametrize("put", [link, dangling, fifo, foreign, folder_of_files])
def test_files_beside_a_table_are_read_without_links(
    put: Callable[[Path], None], folder: Path, site: ImageServer, options: dict[str, Any]
) -> None:
    embed(folder, "t.csv", options, thumbnails=16)
    for ending in (".provenance.json", ".thumbnails.parquet", ".log.jsonl"):
        (folder / f"t.csv{ending}").unlink()
        put(folder / f"t.csv{ending}")
    words = ("--allow-address", site.address, "--model", options["model"], "--isolate", "never")
    assert execute(["report", f"{folder}/t.csv"]) == 0
    assert execute(["search", f"{folder}/t.csv", "a dog", *words, "-o", f"{folder}/s.html"]) == 0


def test_a_table_that_is_a_link_keeps_its_files_beside_what_it_leads_to(
    folder: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "t.csv").symlink_to("elsewhere/t.csv")
    embed(folder, "t.csv", options, thumbnails=16)
    assert sorted(path.name for path in (folder / "elsewhere").iterdir()) == [
        *("t.csv", "t.csv.log.jsonl", "t.csv.provenance.json", "t.csv.thumbnails.parquet")
    ]
    assert embed(folder, "t.csv", options, thumbnails=16).was_finished
    with caplog.at_level(logging.WARNING, "pixvec"):
        hits = pixvec.search(folder / "t.csv", "a dog", model=options["model"])
    assert (hits.num_rows, caplog.text) == (N_ROWS, "")


def test_what_else_was_in_a_folder_that_is_replaced_stays(folder: Path, options: dict[str, Any]) -> None:
    embed(folder, "o/", options)
    kept = {folder / "o" / name for name in (".git/config", "_notes.txt")}
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text(SECRET)
    embed(folder, "o/", options, restart=True, part_rows=2)
    assert {path.read_text() for path in kept} == {SECRET}
    assert sorted(path.name for path in (folder / "o").glob("part-*")) == [
        *("part-000000000000-000000000002.parquet", "part-000000000002-000000000003.parquet")
    ]
    assert not work_of(folder, "o/").exists()


# Other users ----------------------------------------------------------------------------------------------------------


@as_root
def test_another_users_files_are_refused(
    folder: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    embed(folder, "o.parquet", options)
    os.chown(folder / "o.parquet.log.jsonl", 4321, -1)
    logged = (folder / "o.parquet.log.jsonl").read_text()
    embed(folder, "o.parquet", options, restart=True)
    assert (folder / "o.parquet.log.jsonl").read_text() == logged
    assert "is another user's (user id 4321)" in caplog.text
    work_of(folder, "o.parquet").mkdir()
    os.chown(work_of(folder, "o.parquet"), 4321, -1)
    with pytest.raises(UsageError, match=r"\.pixvec is another user's \(user id 4321\)"):
        embed(folder, "o.parquet", options)


@as_root
@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="other systems open no folder that they may not list")
def test_files_beside_a_table_are_found_in_a_folder_that_may_not_be_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o711)
    monkeypatch.chdir(folder)
    os.seteuid(65534)
    try:
        with OwnFolder.at(Path()) as opened:
            with opened.read("in.csv", of_anyone=True) as file:
                assert file.readline() == b"image_url\n"
            with pytest.raises(UsageError, match=r"in\.csv is another user's"):
                opened.read("in.csv")
    finally:
        os.seteuid(0)


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such call")
def test_files_are_ours_where_the_file_system_maps_users(folder: Path) -> None:
    """As NFS does it: what root makes is nobody's."""
    folder.chmod(0o777)
    os.chown(folder / "in.csv", 4321, -1)
    libc = ctypes.CDLL(None)
    with OwnFolder.at(folder) as opened:
        libc.setfsuid(65534)
        try:
            with opened.create("made") as file:
                file.write(b"whole")
            assert opened.read_bytes("made") == b"whole"
            with pytest.raises(UsageError, match=r"in\.csv is another user's"):
                opened.read("in.csv")
            assert opened.names() == ["in.csv", "made"]
        finally:
            libc.setfsuid(0)
    assert (folder / "made").stat().st_uid == 65534


# The cache ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("put", [link, hard_link, dangling, fifo, folder_of_files])
def test_a_cache_is_regular_files_or_done_without(
    ending: str, put: Callable[[Path], None], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = folder / "cache"
    cache.mkdir()
    put_in(cache, f"pixvec-rows-1.sqlite3{ending}", put)
    store = Store(cache, max_bytes=1 << 30)
    store.put([(b"key", b"entry")])
    assert store.get(b"key") is None
    store.close()
    assert f"pixvec-rows-1.sqlite3{ending} is " in caplog.text


@pytest.mark.parametrize("put", [link, fifo, folder_of_files])
def test_a_damaged_cache_is_put_aside_without_replacing_what_is_not_its_own(
    put: Callable[[Path], None], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = folder / "cache"
    cache.mkdir()
    (cache / "pixvec-rows-1.sqlite3").write_bytes(b"no database at all" * 1000)
    put_in(cache, "pixvec-rows-1.damaged", put)
    before = seen(cache / "pixvec-rows-1.damaged")
    Store(cache, max_bytes=1 << 30).close()
    assert seen(cache / "pixvec-rows-1.damaged") == before
    assert "going on without the cache" in caplog.text
