"""What a run says and exits with when most rows fail: the reason, what helps, and the command to give next."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import pixvec
from pixvec.cli import execute
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

N_ROWS = 6

Told = tuple[int, str]
"""An exit status, and what was printed on stderr."""


def pixvec_(command: str) -> Told:
    """Give a command as it would be typed."""
    stderr = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(stderr):
        status = execute(shlex.split(command)[1:])
    return status, stderr.getvalue()


def next_command(told: str) -> str:
    (command,) = [line.removeprefix("next: ") for line in told.splitlines() if line.startswith("next: ")]
    return command


@pytest.fixture
def folder(server: ImageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table of images of this machine, in which commands are given."""
    urls = [server.add(f"/{row}.png", body=image_bytes("PNG", size=(40, 40), seed=row)) for row in range(N_ROWS)]
    titles = [f"a cat, {row}" for row in range(N_ROWS)]
    pd.DataFrame({"title": titles, "image_url": urls}).to_csv(tmp_path / "my in.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def embed(checkpoint: str, folder: Path) -> Callable[..., str]:
    """Write a command on that table."""

    def command(output: str, *flags: str, input: str = "my in.csv") -> str:
        words = ["embed", input, "-o", output, "--model", checkpoint, "--isolate", "never", *flags]
        return shlex.join(["pixvec", *words])

    return command


@pytest.mark.parametrize("output", ["out.parquet", "my out.csv", "out/", "out.npy"])
def test_a_run_in_which_all_rows_failed_says_what_to_give_next(
    output: str, embed: Callable[..., str], server: ImageServer
) -> None:
    status, told = pixvec_(embed(output))
    assert status == 3
    assert (
        f"most rows failed with address_blocked. Allow a server of your own with --allow-address {server.address}, "
        in told
    )
    assert "none of its 6 rows has a vector" in told
    again = "--restart" if output == "out.npy" else "--retry-failed"
    assert f"--allow-address {server.address} " in next_command(told)
    assert f" {again}" in next_command(told)
    status, told = pixvec_(next_command(told))
    assert (status, "6 rows: 6 vectors, 0 without" in told) == (0, True)
    assert "next: " not in told


@pytest.mark.parametrize("output", ["out.parquet", "out.csv", "out/"])
def test_the_command_with_the_right_flag_says_that_a_retry_takes_the_rows(
    output: str, embed: Callable[..., str], server: ImageServer
) -> None:
    pixvec_(embed(output))
    assert pixvec_(embed(output))[0] == 3
    status, told = pixvec_(embed(output, "--allow-address", server.address))
    assert status == 3
    assert "decided under narrower options: address_blocked 6; --retry-failed embeds them again" in told
    assert f"{output} was finished already" in told
    assert pixvec_(next_command(told))[0] == 0


def test_all_rows_may_fail_where_that_is_said(embed: Callable[..., str]) -> None:
    for max_failed, status in ("100%", 0), ("99.9%", 3), ("6", 3), ("100%", 0):
        assert pixvec_(embed("out.csv", "--max-failed", max_failed))[0] == status


@pytest.mark.parametrize("output", ["out.csv", "out.npy"])
def test_a_column_without_cells_is_no_failure(output: str, embed: Callable[..., str], folder: Path) -> None:
    pd.DataFrame({"image_url": [None, " "], "id": [1, 2]}).to_csv(folder / "empty.csv", index=False)
    for _ in range(2):
        assert pixvec_(embed(output, "-c", "image_url", input="empty.csv"))[0] == 0


def test_an_array_whose_rows_all_failed_is_no_success_the_second_time(embed: Callable[..., str]) -> None:
    assert [pixvec_(embed("out.npy"))[0] for _ in range(2)] == [3, 3]


def test_secrets_are_not_printed(embed: Callable[..., str], server: ImageServer) -> None:
    flags = ["--header", f"{server.address}: Authorization: Bearer s3cret", "--header", "b.example: A: s3cret"]
    _, told = pixvec_(embed("out.csv", *flags))
    assert "s3cret" not in told
    assert "--header … --header …" in next_command(told)


def test_addresses_that_nobody_should_open_are_not_suggested(embed: Callable[..., str], folder: Path) -> None:
    pd.DataFrame({"image_url": ["http://169.254.169.254/latest/", "http://169.254.169.254/a.png"]}).to_csv(
        folder / "in.csv", index=False
    )
    _, told = pixvec_(embed("out.csv", input="in.csv"))
    assert "--allow-address ADDRESS:PORT" in next_command(told)


def test_what_passes_by_itself_is_tried_again(embed: Callable[..., str], server: ImageServer) -> None:
    for row in range(N_ROWS):
        server.add(f"/{row}.png", status=500)
    status, told = pixvec_(embed("out.csv", "--allow-address", server.address))
    assert (status, next_command(told).endswith("--retry-failed")) == (3, True)


def test_what_no_option_helps_against_is_looked_at(embed: Callable[..., str], server: ImageServer) -> None:
    for row in range(N_ROWS - 1):
        server.add(f"/{row}.png", body=b"<html>")
    status, told = pixvec_(embed("out.csv", "--allow-address", server.address))
    assert (status, next_command(told)) == (0, "pixvec report out.csv")
    assert "most rows failed with not_an_image. Open the URL in a browser" in told


def test_where_no_reason_is_that_of_most_nothing_is_said(embed: Callable[..., str], server: ImageServer) -> None:
    for row in range(3):
        server.add(f"/{row}.png", body=b"<html>")
    _, told = pixvec_(embed("out.csv", "--allow-address", server.address))
    assert "most rows" not in told
    assert "next: " not in told


def test_a_finished_run_tells_no_pace(embed: Callable[..., str], server: ImageServer) -> None:
    command = embed("out.csv", "--allow-address", server.address)
    _, first = pixvec_(command)
    _, second = pixvec_(command)
    assert ("rows/s" in first, "bottleneck" in first, "fetched" in first) == (True, True, True)
    assert ("rows/s" in second, "bottleneck" in second, "fetched" in second) == (False, False, False)


def test_private_addresses_that_were_dialled_are_told(embed: Callable[..., str], server: ImageServer) -> None:
    for number, flags in enumerate((["--allow-private"], ["--allow-address", server.address])):
        _, told = pixvec_(embed(f"{number}.csv", *flags))
        assert f"\nprivate addresses dialled: {server.address}\n" in told
        *_, end = map(json.loads, Path(f"{number}.csv.log.jsonl").read_text().splitlines())
        assert end["private_addresses"] == [server.address]
    _, told = pixvec_(embed("refused.csv"))
    assert "private addresses dialled" not in told


@pytest.mark.parametrize(
    ("cells", "flags", "is_refused"),
    [
        (["a cat", "the dog"], [], True),
        (["anna.jpg", "photos/ben.jpg"], [], True),
        (["cats/anna", "ben.jpg"], ["--files-under", "."], False),
        (["a cat", "the dog"], ["--files-under", "."], True),
        (["a cat", None, "my in.csv"], ["--files-under", "."], False),
        (["n/a", "https://a.invalid/1.jpg"], [], False),
        (['["https://a.invalid/1.jpg"]', "1.jpg, https://a.invalid/2.jpg"], [], False),
        (["ftp://a.invalid/1.jpg", "s3://bucket/1.jpg"], [], False),
        (["data:image/png;base64,AAAA"], [], False),
        ([" ", None], [], False),
    ],
)
def test_a_named_column_that_holds_no_urls_is_refused_before_work(
    cells: list[str | None], flags: list[str], is_refused: bool, embed: Callable[..., str], folder: Path
) -> None:
    pd.DataFrame({"title": cells}).to_json(folder / "in.jsonl", orient="records", lines=True)
    status, told = pixvec_(embed("out.csv", "-c", "title", *flags, input="in.jsonl"))
    assert ("column 'title' holds no URLs" in told, status == 2) == (is_refused, is_refused)
    assert (folder / "out.csv").exists() != is_refused


def test_a_column_is_looked_at_until_a_url_comes(embed: Callable[..., str], folder: Path) -> None:
    pd.DataFrame({"title": ["a cat"] * 2_000 + ["https://a.invalid/1.jpg"]}).to_csv(folder / "in.csv", index=False)
    assert pixvec_(embed("out.csv", "-c", "title", "--max-failed", "100%", input="in.csv"))[0] == 0


@pytest.mark.parametrize("cells", [[b"a", "a cat"], [{"bytes": b"a", "path": None}]])
def test_a_column_of_images_is_not_refused(cells: list[object], checkpoint: str) -> None:
    table = pixvec.embed_table(pd.DataFrame({"title": cells}), column="title", model=checkpoint, isolate="never")
    assert table["embedding_error"].iloc[0] == "not_an_image"


def test_a_frame_whose_column_holds_no_urls_is_refused(checkpoint: str) -> None:
    with pytest.raises(pixvec.UsageError, match=r"column 'title' holds no URLs: its first 2 cells .* `column`"):
        pixvec.embed_table(pa.table({"title": ["a cat", "the dog"]}), column="title", model=checkpoint)
    table = pixvec.embed_table(pa.table({"title": ["a cat"]}), texts="title", model=checkpoint)
    assert table["embedding"].null_count == 0


def test_the_warning_of_a_column_says_what_helps(checkpoint: str, server: ImageServer) -> None:
    advice = rf"address_blocked: Allow a server of your own with `allow_address=\['{server.address}'\]`"
    with pytest.warns(pixvec.PixvecWarning, match=advice):
        pixvec.embed_images([server.url("/a.png")] * 2, model=checkpoint, isolate="never")


def test_in_python_all_rows_failed_is_an_error(folder: Path, checkpoint: str) -> None:
    with pytest.raises(pixvec.TooManyFailedError, match="none of its 6 rows has a vector, which only") as caught:
        pixvec.embed_file("my in.csv", "out.csv", model=checkpoint, isolate="never")
    assert (caught.value.report.main_reason, caught.value.report.n_rows) == ("address_blocked", N_ROWS)
    assert (folder / "out.csv").exists()


def test_what_cannot_be_read_on_is_to_be_mended_first(embed: Callable[..., str], server: ImageServer) -> None:
    flags = ["--allow-address", server.address, "--part-rows", "2", "--limit", "5000"]
    rows = "".join(f"{row},{server.url(f'/{row % N_ROWS}.png')},{'x' * 4_000}\n" for row in range(600))
    Path("in.csv").write_bytes(f"id,image_url,note\n{rows}".encode() + b"600,\xff,\n")
    status, told = pixvec_(embed("out.csv", "-c", "image_url", *flags, input="in.csv"))
    assert status == 1
    assert "in.csv, line 602: not UTF-8" in told
    assert "the same command goes on" not in told.replace("once the input is mended, the same command goes on", "")
    assert "once the input is mended, the same command goes on" in told
    Path("in.csv").write_text(f"id,image_url,note\n{rows}")
    assert pixvec_(embed("out.csv", "-c", "image_url", *flags, input="in.csv"))[0] == 0
