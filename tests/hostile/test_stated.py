"""What strangers state, in a table's metadata, the files beside it and a model's folder: nothing of it opens a door."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.cli import WRONG_USE, execute
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.weight_files import write_torch_zip
from tests.loopback import LoopbackServer

REFUSED = "neither demo nor in the hub's cache"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("model"))


def write_table(path: Path, said: object = None, *, text: str | None = None) -> Path:
    """A finished table whose metadata says something of its vectors, as JSON or as a text of any kind."""
    metadata = {b"pixvec": json.dumps(said) if text is None else text}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.eye(2, 32, dtype=np.float32).ravel()), 32)
    fields = [
        pa.field("image_url", pa.string()),
        pa.field("embedding", vectors.type, metadata=metadata),
        pa.field("embedding_error", pa.string()),
        pa.field("embedding_detail", pa.string()),
    ]
    columns = [pa.array(["http://a.test/1", "http://a.test/2"]), vectors, *[pa.nulls(2, pa.string())] * 2]
    pq.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields)), path)
    return path


@pytest.mark.parametrize("command", ["search", "retry"])
@pytest.mark.parametrize("name", ["absolute", "./model", "model", "~/model", "..", "org/name", "org/name@../../x"])
def test_a_model_that_only_a_table_names_is_not_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: Path,
    name: str,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(model, "model")
    stated = str(tmp_path / "model") if name == "absolute" else name
    write_table(Path("t.parquet"), {"model": stated, "embedded": "images", "column": "image_url"})
    arguments = {
        "search": ["search", "t.parquet", "a cat"],
        "retry": ["embed", "in.csv", "-o", "t.parquet", "--retry-failed"],
    }[command]
    assert execute(arguments) == WRONG_USE
    printed = capsys.readouterr().err
    assert REFUSED in printed
    again = [*arguments[:2], *(["'a cat'"] if command == "search" else arguments[2:-1])]
    assert all(word in printed for word in again)
    quoted = f"'{stated}'" if stated.startswith("~") else stated
    assert printed.rstrip().endswith((f"--model {quoted}", "--retry-failed"))
    assert f"--model {quoted}" in printed


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x; rm -rf ~", "--model 'x; rm -rf ~'"),
        ("$(touch here)", "--model '$(touch here)'"),
        ("a' b", """--model 'a'"'"' b'"""),
        ("\x1b[2J\u202e", r"\x1b[2J\u202e"),
        ("`quiet=True`", "--model '`quiet=True`'"),
    ],
)
def test_the_command_that_names_it_is_escaped(
    tmp_path: Path, name: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["search", str(write_table(tmp_path / "t.parquet", {"model": name})), "cat"]) == WRONG_USE
    printed = capsys.readouterr().err
    assert shown in printed
    assert [c for c in printed if not c.isprintable() and c != "\n"] == []


def test_python_names_the_option(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.parquet", {"model": "./m"})
    with pytest.raises(pixvec.ModelError, match=r"name it with `model='\./m'`"):
        pixvec.search(table, "cat")


def test_whoever_names_the_model_searches_with_it(tmp_path: Path, model: Path) -> None:
    table = write_table(tmp_path / "t.parquet", {"model": "./elsewhere"})
    assert pixvec.search(table, "cat", model=str(model)).num_rows == 2


CACHED = """
import sys, pixvec
print(pixvec.search(sys.argv[1], "cat", k=1).num_rows, len(sys.argv))
"""


class _Counting(LoopbackServer):
    n_requests = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.n_requests += 1
        super().process_request(request, client_address)


@pytest.fixture
def hub() -> Iterator[_Counting]:
    from http.server import SimpleHTTPRequestHandler  # noqa: PLC0415 (it is what must not be reached)

    with _Counting(SimpleHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_repository_is_taken_from_the_cache_alone(
    tmp_path: Path, model: Path, hub: _Counting, is_cached: bool
) -> None:
    snapshot = tmp_path / "hub" / "models--org--tiny" / "snapshots" / ("0" * 40)
    if is_cached:
        shutil.copytree(model, snapshot)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    table = write_table(tmp_path / "t.parquet", {"model": "org/tiny"})
    environment = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}"}
    done = subprocess.run(
        [sys.executable, "-c", CACHED, str(table)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), REFUSED in done.stderr) == (("1 2", False) if is_cached else ("", True))
    assert hub.n_requests == 0


# What vectors were made with

TEXTS = {
    "deep": "[" * 100_000,
    "deep within": '{"vision": ' + '{"a": ' * 900 + "1" + "}" * 901,
    "huge": '{"model": "' + "x" * (2 << 20) + '"}',
    "long number": '{"model": "demo", "dim": ' + "9" * 5_000 + "}",
    "not finite": '{"model": "demo", "dim": 1e999}',
    "broken text": '{"model": "\ud800"}'.encode(errors="surrogatepass").decode("latin-1"),
    "no JSON": "model=demo",
    "no object": '["model"]',
    "no model": '{"embedded": "images"}',
    "lists": '{"model": ["demo"], "weights_sha256": ["x"], "revision": ["y"], "column": ["z"]}',
    "objects": '{"model": {}, "weights_sha256": {}, "revision": {}, "column": {}, "liftable": {}}',
    "numbers": '{"model": 5, "weights_sha256": 5, "column": 5, "files_under": 5, "allow_address": 5, "liftable": [5]}',
    "nulls": '{"model": null, "weights_sha256": null, "column": null}',
    "nothing": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_a_provenance_of_any_kind_is_no_bug_of_any_command(tmp_path: Path, model: Path, text: str) -> None:
    table = str(write_table(tmp_path / "t.parquet", text=text))
    assert execute(["report", table, "--html", str(tmp_path / "report.html")]) == 0
    assert execute(["search", table, "cat"]) == WRONG_USE
    assert execute(["search", table, "cat", "--model", str(model), "-o", str(tmp_path / "found.csv")]) == 0
    assert execute(["dedupe", table, "--html", str(tmp_path / "dedupe.html")]) == 0
    assert execute(["link", table, "-o", str(tmp_path / "links.parquet")]) == 0
    assert execute(["embed", "in.csv", "-o", table, "--retry-failed"]) == WRONG_USE
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(table, folder / "a.parquet")
    write_table(folder / "b.parquet", {"model": "demo", "weights_sha256": "00"})
    assert execute(["link", str(folder), "-o", str(tmp_path / "more.parquet")]) == 0


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_folder(path: Path) -> None:
    path.mkdir()


def as_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


IRREGULAR = [as_pipe, as_device, as_folder, as_huge]


@pytest.mark.parametrize("put", IRREGULAR)
@pytest.mark.parametrize("name", ["t.csv.provenance.json", "t.csv.log.jsonl", "t.csv.thumbnails.parquet"])
def test_what_stands_beside_a_table_is_read_only_if_it_is_a_file(
    tmp_path: Path, put: Callable[[Path], None], name: str
) -> None:
    table = tmp_path / "t.csv"
    table.write_text('image_url,v,v_error,v_detail\nhttp://a.test/,"[1.0, 2.0]",,\nhttp://a.test/b,"[1.0, 2.0]",,\n')
    put(tmp_path / name)
    assert execute(["report", str(table)]) == 0
    assert execute(["dedupe", str(table), "--html", str(tmp_path / "page.html")]) == 0


# A model's folder


@pytest.mark.parametrize("put", IRREGULAR)
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_model_is_made_of_files(
    tmp_path: Path, model: Path, put: Callable[[Path], None], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / name).unlink()
    put(folder / name)
    assert execute(["models", "check", str(folder)]) == WRONG_USE
    assert str(folder) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tower", "changed"),
    [
        ("vision_config", {"hidden_size": 1 << 40}),
        ("vision_config", {"num_hidden_layers": 10**9}),
        ("vision_config", {"num_attention_heads": 10**9}),
        ("vision_config", {"image_size": 4_096, "patch_size": 1}),
        ("vision_config", {"image_size": 10**9}),
        ("vision_config", {"layer_norm_eps": 1e-300}),
        ("vision_config", {"layer_norm_eps": 1e300}),
        ("text_config", {"vocab_size": 10**12}),
        ("text_config", {"max_position_embeddings": 10**9}),
        ("text_config", {"eos_token_id": 10**12}),
        ("vision_config", {"num_hidden_layers": 3}),
        ("vision_config", {"intermediate_size": 129}),
        ("vision_config", {"hidden_act": "x" * 100_000}),
    ],
    ids=str,
)
def test_numbers_out_of_proportion_and_missing_layers_are_the_models_fault(
    tmp_path: Path, model: Path, tower: str, changed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config[tower].update(changed)
    (folder / "config.json").write_text(json.dumps(config))
    (tmp_path / "in.csv").write_text("image_url\nhttp://127.0.0.1:1/a.png\n")
    arguments = ["embed", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"), "--model", str(folder)]
    assert execute(arguments) == WRONG_USE
    printed = capsys.readouterr().err
    assert (str(folder) in printed, "bug" in printed, len(printed) < 2_000) == (True, False, True)


def test_a_missing_layer_of_the_text_tower_leaves_images(tmp_path: Path, model: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(pixvec.ModelError, match=r"'text_model\.encoder\.layers\.2\..*is missing from the weights"):
        pixvec.embed_texts(["cat"], model=str(folder))
    assert pixvec.Embedder(model=str(folder)).dim == 32


def test_a_pickle_that_takes_long_is_refused(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    for pickled, said in ((b"}" * (2 << 20), "its pickle has 2,097,152 bytes"), (b"}0" * 400_000, "is refused")):
        write_torch_zip(folder / "pytorch_model.bin", {}, pickled=pickled)
        assert execute(["models", "check", str(folder)]) == WRONG_USE
        assert said in capsys.readouterr().err


def test_a_link_to_a_name_gives_no_identity(tmp_path: Path, model: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    (tmp_path / "blobs").mkdir()
    (folder / "model.safetensors").rename(tmp_path / "blobs" / ("0123456789abcdef" * 4))
    (folder / "model.safetensors").symlink_to(tmp_path / "blobs" / ("0123456789abcdef" * 4))
    with pixvec.Embedder(model=str(folder)) as embedder:
        assert embedder.provenance()["weights_sha256"] == hashlib.sha256(weights).hexdigest()


def test_weights_that_change_while_they_are_open_name_no_space(tmp_path: Path, model: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    with pixvec.Embedder(model=str(folder)) as embedder:
        other = make_checkpoint(tmp_path / "other", seed=1)
        (other / "model.safetensors").replace(folder / "model.safetensors")
        with pytest.raises(pixvec.ModelError, match="the weights changed after they were opened"):
            embedder.provenance()
