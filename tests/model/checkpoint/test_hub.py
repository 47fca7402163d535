"""The real client of the hub, in programs of their own, against a hub on loopback that counts its requests."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pixvec.testing.checkpoints import WeightsFormat, make_checkpoint
from tests.loopback import LoopbackServer

COMMIT = "0123456789012345678901234567890123456789"
LOAD = """
import sys, time
from pixvec import errors
from pixvec.model import checkpoint
start = time.perf_counter()
try:
    loaded = checkpoint.load(sys.argv[1])
    print(loaded.revision, loaded.weights.paths[0].name, loaded.weights_hash, len(loaded.tokenizer_files))
except errors.ModelError as error:
    print(error, "in time" if time.perf_counter() - start < 15 else "late")
"""


class Hub(LoopbackServer):
    """A hub with one model, `org/tiny`, whose files are those of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(HubHandler)
        self.folder = folder
        self.requests: list[str] = []
        self.refusal: tuple[int, str] | None = None
        self.silence_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class HubHandler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        time.sleep(self.server.silence_s)
        if self.server.refusal:
            status, code = self.server.refusal
            self.answer(b"{}", status=status, headers={"X-Error-Code": code})
        elif self.path.startswith("/api/models/org/tiny/revision/"):
            names = ",".join(f'{{"rfilename": "{path.name}"}}' for path in sorted(self.server.folder.iterdir()))
            self.answer(f'{{"id": "org/tiny", "sha": "{COMMIT}", "siblings": [{names}]}}'.encode())
        else:
            content = (self.server.folder / self.path.rpartition("/")[2]).read_bytes()
            etag = hashlib.sha256(content).hexdigest()
            self.answer(content, headers={"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        warning = {"X-HF-Warning": "auth; a line that the user should not see"}
        for name, value in {"Content-Length": str(len(body)), **warning, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with Hub(tmp_path / "model") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def load(hub: Hub, name: str = "org/tiny", **environment: str) -> str:
    """Load a model in a program of its own; return what it printed, having checked that nobody else did."""
    home = hub.folder.parent / "home"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "XDG_CACHE_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", LOAD, name]
    done = subprocess.run(command, env=inherited | settings | environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("weights_format", "first"),
    [
        ("safetensors", "model.safetensors"),
        ("sharded", "model-00001-of-00002.safetensors"),
        ("bin", "pytorch_model.bin"),
    ],
)
def test_a_model_is_fetched_after_one_question_and_then_never_again(
    hub: Hub, weights_format: WeightsFormat, first: str
) -> None:
    make_checkpoint(hub.folder, weights_format=weights_format)
    printed = load(hub)
    assert printed.startswith(f"{COMMIT} {first} ")
    assert [line for line in hub.requests if "/api/" in line] == ["GET /api/models/org/tiny/revision/main"]
    hub.requests.clear()
    assert printed == load(hub)
    assert printed == load(hub, f"org/tiny@{COMMIT}")
    assert printed == load(hub, HF_HUB_OFFLINE="1")
    assert hub.requests == []


def test_a_link_in_the_cache_is_replaced_and_not_written_through(hub: Hub) -> None:
    make_checkpoint(hub.folder)
    (victim := hub.folder.parent / "victim").write_text("precious")
    refs = hub.folder.parent / "home" / "hub" / "models--org--tiny" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").symlink_to(victim)
    assert load(hub).startswith(COMMIT)
    assert (victim.read_text(), [(path.name, path.read_text()) for path in refs.iterdir()]) == (
        "precious",
        [("main", COMMIT)],
    )


def test_safetensors_are_fetched_and_a_bin_beside_them_is_not(hub: Hub) -> None:
    make_checkpoint(hub.folder, weights_format="bin")
    make_checkpoint(hub.folder, weights_format="safetensors")
    load(hub)
    assert not [line for line in hub.requests if line.endswith(".bin")]


def test_the_weights_hash_is_the_name_in_the_hubs_cache(hub: Hub) -> None:
    make_checkpoint(hub.folder)
    digest = hashlib.sha256((hub.folder / "model.safetensors").read_bytes()).hexdigest()
    assert f"{COMMIT} model.safetensors {digest} 1" == load(hub)
    assert not (hub.folder.parent / "home" / "pixvec").exists()


@pytest.mark.parametrize("tokenizer", ["tokenizer.json", None], ids=["whole", "no-tokenizer"])
def test_the_cache_answers_when_the_hub_does_not(hub: Hub, tokenizer: Any) -> None:
    make_checkpoint(hub.folder, tokenizer=tokenizer)
    printed = load(hub)
    hub.refusal = (503, "")
    assert printed == load(hub)


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((404, "RepoNotFound"), "there is no model at"),
        ((401, ""), "does not let this login see"),
        ((403, "GatedRepo"), "is gated: accept its terms at"),
        ((404, "RevisionNotFound"), "has no revision 'main'"),
        ((403, ""), "does not let this login see"),
        ((503, ""), "Three ways out: give a folder"),
    ],
    ids=["unknown", "unauthorized", "gated", "revision", "forbidden", "down"],
)
def test_a_refusal_is_one_clear_line(hub: Hub, refusal: tuple[int, str], said: str) -> None:
    hub.refusal = refusal
    printed = load(hub)
    assert said in printed
    assert printed.endswith("in time")
    assert 1 == len(printed.splitlines()) == len(hub.requests)


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:1"}, "refused"),
        ({"HF_ENDPOINT": "nonsense"}, "failed"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ],
    ids=["closed", "nonsense", "offline"],
)
def test_a_hub_out_of_reach_names_the_three_ways_out(hub: Hub, environment: dict[str, str], why: str) -> None:
    printed = load(hub, **environment)
    assert why in printed
    assert all(way in printed for way in ("a folder", "HF_HOME, with HF_HUB_OFFLINE=1", "`model='demo'`", "in time"))


def test_a_hub_that_never_answers_is_given_up_in_time(hub: Hub) -> None:
    hub.silence_s = 18
    printed = load(hub)
    assert "Three ways out" in printed
    assert printed.endswith("in time")


def test_a_repository_without_a_model_is_named(hub: Hub) -> None:
    hub.folder.mkdir()
    (hub.folder / "README.md").write_text("nothing")
    assert "org/tiny at main holds no model that pixvec can read" in load(hub)


@pytest.mark.parametrize("name", ["org/..", "a--b/c"])
def test_a_name_that_no_repository_has_is_refused_without_a_request(hub: Hub, name: str) -> None:
    assert "cannot be the id of a model's repository" in load(hub, name)
    assert hub.requests == []
