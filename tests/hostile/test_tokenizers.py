"""A model's tokenizer may be anybody's: what it cannot do is run for ever, end the process, or cost images."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import pixvec
from pixvec.cli import execute
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.images import image_bytes

TEXTS = ["a cat", "the mat!  on\nthe <|endoftext|> Hat", "Élan 12 \U0001f418", "<|startoftext|>it's"]
Tokenizer: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[Tokenizer], object]


def change(folder: Path, made_of: Change) -> str:
    """Make a checkpoint, and change its tokenizer."""
    path = make_checkpoint(folder) / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    made_of(tokenizer)
    path.write_text(json.dumps(tokenizer))
    return str(folder)


def embed(model: str) -> list[bytes]:
    with pixvec.Embedder(model=model, precision="fp32") as embedder:
        return [vector.tobytes() for vector in embedder.embed_texts(TEXTS).vectors]


def refused(model: str) -> str:
    """Embed texts, which must not work; give what is said."""
    with pixvec.Embedder(model=model) as embedder, pytest.raises(pixvec.ModelError) as caught:
        embedder.embed_texts(["a cat"])
    return str(caught.value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return embed(str(make_checkpoint(tmp_path_factory.mktemp("whole"))))


NEVER_ENDS = {"type": "Replace", "pattern": {"Regex": "(a|aa)+$"}, "content": ""}
PANICS = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
ABORTS = {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": ""}, "content": "x" * 999}] * 6}
SPLITS = {"type": "Split", "pattern": {"Regex": "(a|aa)+$"}, "behavior": "Removed", "invert": False}
MARKS = {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}}


@pytest.mark.parametrize(
    "made_of",
    [
        lambda it: it.update(normalizer=NEVER_ENDS, pre_tokenizer=SPLITS, post_processor=MARKS),
        lambda it: it.update(normalizer=PANICS, truncation={"max_length": 0}, padding={"pad_id": -1}),
        lambda it: it.update(normalizer=ABORTS, decoder={"type": "no such"}, version=9),
        lambda it: it["model"].update(dropout=1.0, byte_fallback=True, ignore_merges=True, unk_token="!"),
        lambda it: it["model"].update(merges=[merge.split(" ") for merge in it["model"]["merges"]]),
        lambda it: it.update(added_tokens=[{"id": 10**6, "content": "a cat"}]),
    ],
    ids=["never ends", "panics", "aborts", "another model", "pairs as lists", "a token that the tower does not know"],
)
def test_vocabulary_and_merges_decide_and_the_familys_own_code_does_the_rest(
    made_of: Change, whole: list[bytes], tmp_path: Path
) -> None:
    assert embed(change(tmp_path, made_of)) == whole


def test_an_added_token_is_looked_for_as_it_says(tmp_path: Path) -> None:
    cat = {"id": 7, "content": "a cat", "lstrip": True, "rstrip": True}
    vectors = {
        name: embed(change(tmp_path / name, lambda it, flags=flags: it["added_tokens"].append({**cat, **flags})))[0]  # type: ignore[misc]
        for name, flags in {"known": {}, "of a word": {"single_word": True}, "other": {"content": "a dog"}}.items()
    }
    assert vectors["known"] == vectors["of a word"] != vectors["other"]


@pytest.mark.parametrize(
    ("made_of", "message"),
    [
        (lambda it: it["model"].update(type="WordPiece"), "'WordPiece', and not BPE"),
        (lambda it: it["model"].update(end_of_word_suffix=None), "another kind than CLIP's"),
        (lambda it: it["model"]["vocab"].pop("a</w>"), "another kind than CLIP's (it has no token 'a</w>')"),
        (lambda it: it["model"]["vocab"].update(a=10**6), "the id of 'a' is 1,000,000, and the text tower knows"),
        (lambda it: it["model"]["vocab"].update(a=-1), "the id of 'a' is -1"),
        (lambda it: it["model"]["vocab"].update(a=True), "the id of 'a' is True"),
        (lambda it: it["model"].update(vocab=[["a", 0]]), "its vocabulary is not a JSON object"),
        (lambda it: it["model"]["merges"].append("no such"), "'no such' is not a merge"),
        (lambda it: it["model"]["merges"].append(7), "7 is not a merge"),
        (lambda it: it["added_tokens"].append({"id": 7, "content": "<|endoftext|>"}), "has two ids"),
        (lambda it: it["added_tokens"].append({"id": 7, "content": ""}), "an added token is"),
        (lambda it: it["added_tokens"].append({"id": 7, "content": "x", "lstrip": 1}), "an added token is"),
        (lambda it: it["added_tokens"].append({"id": 7, "content": "x" * 300_000}), "more than 262,144"),
        (lambda it: it["model"]["vocab"].update({"\ud800": 7}), "tokenizer.json is not a tokenizer that can be read"),
        (lambda it: it.pop("model"), "its model is not a JSON object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tokenizer_that_is_none_of_clips_refuses_texts(made_of: Change, message: str, tmp_path: Path) -> None:
    assert message in refused(change(tmp_path, made_of))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "tokenizer.json is not a tokenizer that can be read"),
        (b"{} " + b" " * (64 << 20), "more than 64 MiB"),
        (b"[" + b"[]," * (2 << 20), "more than 4,194,304 values"),
        (b"\xff\xfe", "tokenizer.json is not a tokenizer that can be read"),
    ],
    ids=["nested", "long", "of many values", "no text"],
)
def test_a_file_that_is_out_of_proportion_is_not_read(content: bytes, message: str, tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path)
    (model / "tokenizer.json").write_bytes(content)
    assert message in refused(str(model))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", b"[]", "vocab.json is not a tokenizer that can be read: it is not a JSON object"),
        ("merges.txt", b"#version: 0.2\na b c\n", "merges.txt is not a tokenizer that can be read: 'a b c'"),
        ("merges.txt", b"\xff \xff\n", "merges.txt is not a tokenizer that can be read"),
    ],
)
def test_the_older_files_are_held_to_the_same(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path, tokenizer="vocab.json")
    (model / name).write_bytes(content)
    assert message in refused(str(model))


def test_the_older_files_may_have_windows_line_breaks(whole: list[bytes], tmp_path: Path) -> None:
    merges = make_checkpoint(tmp_path, tokenizer="vocab.json") / "merges.txt"
    merges.write_bytes(merges.read_bytes().replace(b"\n", b"\r\n"))
    assert embed(str(tmp_path)) == whole


def test_images_are_embedded_whatever_the_tokenizer(tmp_path: Path) -> None:
    model = change(tmp_path, lambda it: it["model"].update(type="WordPiece"))
    with pixvec.Embedder(model=model, isolate="never") as embedder:
        with pytest.raises(pixvec.ModelError, match="not BPE"):
            embedder.embed_texts(["a cat"])
        assert embedder.embed([image_bytes(size=(40, 40))]).errors == [None]


@pytest.mark.parametrize(
    ("text", "message"),
    [({"eos_token_id": 5}, "eos_token_id is 5"), ({"max_position_embeddings": 1}, "no room for start and end")],
)
def test_a_text_tower_that_finds_no_end_refuses_texts(text: dict[str, int], message: str, tmp_path: Path) -> None:
    assert message in refused(str(make_checkpoint(tmp_path, text=text)))


def test_a_pipe_is_no_tokenizer(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path)
    (model / "tokenizer.json").unlink()
    os.mkfifo(model / "tokenizer.json")
    assert "tokenizer" in refused(str(model))


def test_a_command_says_it_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = change(tmp_path / "model", lambda it: it["model"].update(type="WordLevel"))
    (tmp_path / "in.csv").write_text("t\na cat\n")
    words = ["embed", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"), "--texts", "t", "--model", model]
    assert execute(words) == 2
    _, said = capfd.readouterr()
    assert said.strip().splitlines()[-1].endswith("its model is 'WordLevel', and not BPE")
    assert "Traceback" not in said
