"""Options that only let more rows in may be widened between runs; a retry takes the rows that they lift."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.pipeline.report import Report
from pixvec.tables.result_columns import read_provenance
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from tests.run.conftest import Run, contents, run_options

OUTPUTS = pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out/"])
N_ROWS = 10
KEPT_OUT: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "/large.png": ("too_many_pixels", {"max_pixels": 5_000}, {"max_pixels": 10_000}),
    "/heavy.png": ("too_many_bytes", {"max_bytes": 20_000}, {"max_bytes": 30_000}),
    "/0.tiff": ("unsupported_format", {}, {"formats": "+tiff"}),
    "/moved": ("too_many_redirects", {"max_redirects": 0}, {"max_redirects": 1}),
    "/shy.png": ("opt_out", {}, {"opt_out": "none"}),
    "local.png": ("invalid_url", {}, {"files_under": "."}),
}


@pytest.fixture
def run(tmp_path: Path, server: ImageServer, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Ten rows in five parts; each option of reach keeps one out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local.png").write_bytes(image_bytes("PNG", size=(40, 40), seed=6))
    for row in range(4):
        server.add(f"/{row}.png", body=image_bytes("PNG", size=(40, 40), seed=row))
    server.add("/large.png", body=image_bytes("PNG", size=(90, 90), seed=1))
    server.add("/heavy.png", body=image_bytes("PNG", size=(40, 40), seed=2) + bytes(20_000))
    server.add("/0.tiff", body=image_bytes("TIFF", size=(40, 40), seed=3))
    server.add("/moved", status=302, headers={"Location": "/1.png"})
    server.add("/shy.png", body=image_bytes("PNG", size=(40, 40), seed=4), headers={"X-Robots-Tag": "noai"})
    run = Run(tmp_path, server, {**run_options(server, checkpoint), "part_rows": 2, "max_failed": "100%"})
    paths = [*(f"/{row}.png" for row in range(4)), *KEPT_OUT]
    cells = [server.url(path) if path.startswith("/") else path for path in paths]
    run.write(["id,image_url,note", *(f'0{row},{cell},"a, b"' for row, cell in enumerate(cells))])
    run.options |= {name: value for _, narrow, _ in KEPT_OUT.values() for name, value in narrow.items()}
    return run


def wide() -> dict[str, Any]:
    return {name: value for _, _, wider in KEPT_OUT.values() for name, value in wider.items()}


def stated(run: Run, output: str) -> list[dict[str, Any]]:
    """Read what a table, or each of its parts, says that it was made with."""
    if output == "out.csv":
        return [json.loads((run.folder / "out.csv.provenance.json").read_text())]
    path = run.folder / output
    parts = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = [read_provenance(pq.read_schema(part), "embedding") for part in parts]
    return [fact for fact in facts if fact is not None]


@OUTPUTS
def test_a_retry_takes_the_rows_that_a_wider_option_lifts(output: str, run: Run, server: ImageServer) -> None:
    run(output)
    before, n_requests = contents(run.folder), len(server.requests)
    for code, _, wider in KEPT_OUT.values():
        run.options |= wider
        report = run(output)
        assert (report.was_finished, report.liftable) == (True, {code: 1})
        assert contents(run.folder) == before
        report = run(output, retry_failed=True)
        assert (report.n_new, report.n_vectors - report.n_resumed + report.n_failed) == (1, 1)
        assert code not in report.failures
        before = contents(run.folder)
    assert run(output).n_failed == 0
    assert len(server.requests) - n_requests == len(KEPT_OUT)  # two for the redirect, none for the file
    assert stated(run, output)[-1]["files_folder"] == run.folder.name
    assert stated(run, output)[-1].items() >= {"max_pixels": 10_000, "opt_out": "none", "max_redirects": 1}.items()
    run("again" + output[3:])
    for name in ("out.csv", "out.csv.provenance.json", "out.parquet"):
        if name in before:
            assert before[name] == contents(run.folder)[name.replace("out", "again")]


@OUTPUTS
def test_rows_with_a_vector_keep_their_bits(output: str, run: Run, server: ImageServer) -> None:
    run(output)
    tables = [pixvec_table(run, output)]
    server.add("/0.png", body=image_bytes("PNG", size=(40, 40), seed=99))
    run(output, retry_failed=True, **wide())
    tables.append(pixvec_table(run, output))
    assert tables[0][:4] == tables[1][:4]


def pixvec_table(run: Run, output: str) -> list[Any]:
    if output == "out.csv":
        return (run.folder / output).read_text().splitlines()[1:]
    return list(pq.read_table(run.folder / output).to_pylist())


NARROWER: list[tuple[dict[str, Any], str]] = [
    ({"allow_address": ()}, "allow_address (127.0.0.1:"),
    ({"max_pixels": 4_000}, "max_pixels (10000 then, 4000 now)"),
    ({"opt_out": "noai"}, "opt_out (none then, noai now)"),
    ({"formats": ""}, "formats (AVIF,BMP,GIF,JPEG,PNG,TIFF,WEBP then, AVIF,BMP,GIF,JPEG,PNG,WEBP now)"),
    ({"files_under": None}, "files_under ("),
]


@OUTPUTS
def test_what_lets_less_in_is_refused(output: str, run: Run) -> None:
    run.options |= wide()
    run.stopped(output)
    for again in ({}, {"retry_failed": True}):
        before = contents(run.folder)
        for narrower, differing in NARROWER:
            with pytest.raises(pixvec.UsageError) as refused:
                run(output, **narrower, **again)
            assert differing in str(refused.value)
        assert contents(run.folder) == before
        run(output)


@OUTPUTS
def test_a_resumed_run_goes_on_wider_and_a_retry_takes_what_came_before(output: str, run: Run) -> None:
    stop_at_the_end(run, output)
    report = run(output, **wide())
    assert report.liftable.total() == report.n_failed
    assert report.n_failed > 0
    assert "decided under narrower options: " in str(report)
    assert run(output, **wide()).liftable == report.liftable
    assert run(output, retry_failed=True, **wide()).n_failed == 0
    assert run(output, **wide()).liftable == Counter()
    assert all("liftable" not in facts for facts in stated(run, output))


def stop_at_the_end(run: Run, output: str) -> None:
    """Interrupt a run when most of its rows are decided."""

    def interrupt(_: Report) -> None:
        if len(run.parts(output)) >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(output, progress=interrupt)


@OUTPUTS
def test_rows_that_a_retry_left_out_can_be_taken_later(output: str, run: Run) -> None:
    run(output)
    run(output, retry_codes="opt_out", **wide())
    report = run(output, **wide())
    assert (report.n_failed, report.liftable.total()) == (5, 5)
    assert run(output, retry_failed=True, **wide()).n_failed == 0


def test_a_stopped_retry_is_not_gone_on_with_for_other_rows(run: Run) -> None:
    run("out.csv")
    run.stopped("out.csv", retry_failed=True, part_rows=1, formats="+tiff", opt_out="none")
    with pytest.raises(pixvec.UsageError, match=r"retry \(failed, opt_out, unsupported_format then, failed, "):
        run("out.csv", retry_failed=True, part_rows=1, **wide())
    assert run("out.csv", retry_failed=True, formats="+tiff", opt_out="none").n_failed == 4
    assert run("out.csv", retry_failed=True, **wide()).n_failed == 0


@pytest.mark.parametrize(
    ("then", "now", "may"),
    [
        (["127.0.0.1:80"], ["127.0.0.1"], True),
        (["127.0.0.1"], ["127.0.0.1:80"], False),
        (["127.0.0.1:80"], ["127.0.0.0/8:80", "[::1]:80"], True),
        (["127.0.0.0/8"], ["127.0.0.1"], False),
        (["127.0.0.1:22"], ["127.0.0.1"], False),
        (["127.0.0.1:80"], ["127.0.0.1:81"], False),
        (["127.0.0.1:80"], True, True),
        (["127.0.0.1:22"], True, False),
        (["169.254.169.254"], True, False),
        (["100.100.100.200"], True, False),
        (True, ["0.0.0.0/0"], False),
        ([], True, True),
    ],
)
def test_an_address_may_be_widened_to_what_holds_it(then: Any, now: Any, may: bool, run: Run) -> None:
    run.write(["image_url", ""])
    run.options["allow_address"] = ()
    as_options = [{"allow_private": True} if given is True else {"allow_address": given} for given in (then, now)]
    run("out.csv", **as_options[0])
    if may:
        assert run("out.csv", **as_options[1]).was_finished
    else:
        with pytest.raises(pixvec.UsageError, match="was made otherwise: allow_"):
            run("out.csv", **as_options[1])
