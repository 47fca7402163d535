"""A tokenizer's files -> what it knows: its tokens, which of them are merged, and those that were added.

In: ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``. Out: checked values. What else ``tokenizer.json`` says,
such as how a text is normalized and split, is not read: a model's family decides that, as in transformers 5, and a
stranger's regular expression could run for ever.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pixvec.errors import ModelError

MAX_BYTES: Final = 64 << 20
"""The largest tokenizer of a known family, with 256,000 tokens, has 34 MB."""
_MAX_VALUES: Final = 1 << 22
"""As many values as 300 MB of memory hold; that tokenizer has 2 million."""
_MAX_ADDED_CHARS: Final = 1 << 18
"""Of all added tokens, which are looked for all at once: sixteen million take 38 s and 1.5 GB to prepare."""
_MARKS: Final = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is looked for in a text before it is split.

    Parameters
    ----------
    content
        What is looked for.
    single_word
        Whether it is found only where it is no part of a word.
    lstrip, rstrip
        Whether it takes the white space beside it.
    normalized
        Whether it is looked for in the normalized text.
    special
        Whether it is a mark and no word.
    """

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = True


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a tokenizer that merges pairs knows.

    Parameters
    ----------
    ids
        The id of each token, added ones included.
    merges
        The pairs that become one token, the first before the second.
    added
        The added tokens.
    end_of_word
        What a token ends in that ends a word; None where nothing says so.
    """

    ids: dict[str, int]
    merges: list[tuple[str, str]]
    added: tuple[AddedToken, ...] = ()
    end_of_word: str | None = None


def read_vocabulary(files: Sequence[Path], *, n_ids: int) -> Vocabulary:
    """Read a tokenizer's files.

    Parameters
    ----------
    files
        One, ``tokenizer.json``, or two, ``vocab.json`` and ``merges.txt``.
    n_ids
        How many tokens the text tower knows: ids are smaller. An added token with a larger one is left out, as what was
        added for padding alone often is.

    Raises
    ------
    ModelError
        When a file cannot be read, or holds something else.
    """
    if len(files) == 1:
        with _reading(files[0]) as content:
            return _of_json(_parsed(content), n_ids)
    vocab, merges = files
    with _reading(vocab) as content:
        ids = _ids(_parsed(content), n_ids)
    with _reading(merges) as content:
        return Vocabulary(ids, _merges(_lines(content), ids))


@contextmanager
def _reading(path: Path) -> Iterator[bytes]:
    """Give a file's bytes, and name the file in what is wrong with them."""
    try:
        yield _content(path)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not a tokenizer that can be read: {error}") from None


def _content(path: Path) -> bytes:
    """Read a regular file: to open a pipe would wait for its writer, and a device may have no end."""
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it holds more than {MAX_BYTES >> 20} MiB")
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    if sum(map(content.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise ValueError(f"it holds more than {_MAX_VALUES:,} values")
    return _object(json.loads(content), "it")


def _of_json(file: dict[str, Any], n_ids: int) -> Vocabulary:
    model = _object(file.get("model"), "its model")
    if (kind := model.get("type", "BPE")) != "BPE":
        raise ValueError(f"its model is {kind!r:.40}, and not BPE")
    ids = _ids(_object(model.get("vocab"), "its vocabulary"), n_ids)
    added = {token.content: (number, token) for number, token in _added(file.get("added_tokens"), n_ids)}
    if strays := [content for content, (number, _) in added.items() if ids.setdefault(content, number) != number]:
        raise ValueError(f"{strays[0]!r:.40} has two ids")
    merges = _merges(_list(model.get("merges"), "its merges"), ids)
    end_of_word = model.get("end_of_word_suffix") or ""
    return Vocabulary(ids, merges, tuple(token for _, token in added.values()), end_of_word)


def _ids(tokens: dict[str, Any], n_ids: int) -> dict[str, int]:
    for token, number in tokens.items():
        if type(number) is not int or number < 0:
            raise ValueError(f"the id of {token!r:.40} is {number!r:.40}")
        if number >= n_ids:
            raise ValueError(f"the id of {token!r:.40} is {number:,}, and the text tower knows {n_ids:,} tokens")
    return tokens


def _added(tokens: object, n_ids: int) -> Iterator[tuple[int, AddedToken]]:
    listed = _list(tokens or [], "added_tokens")
    n_chars = 0
    for token in listed:
        said = _object(token, "an added token")
        content, number = said.get("content"), said.get("id")
        marks = {mark: said.get(mark, False) for mark in _MARKS}
        are_flags = {*map(type, marks.values())} == {bool}
        match content, number:
            case str(), int() if content and type(number) is int and number >= 0 and are_flags:
                n_chars += len(content)
                if number < n_ids:
                    yield number, AddedToken(content, **marks)
            case _:
                raise ValueError(f"an added token is {said!r:.200}")
        if n_chars > _MAX_ADDED_CHARS:
            raise ValueError(f"its added tokens have more than {_MAX_ADDED_CHARS:,} characters")


def _merges(pairs: Sequence[object], ids: Mapping[str, int]) -> list[tuple[str, str]]:
    merges = []
    for pair in pairs:
        # Half a pair may hold a space where the pair is a list, as files have had it since 2024.
        halves = pair.split(" ") if isinstance(pair, str) else pair
        match halves:
            case [str() as first, str() as second] if first in ids and second in ids and first + second in ids:
                merges.append((first, second))
            case _:
                raise ValueError(f"{pair!r:.80} is not a merge of two tokens that make a third")
    return merges


def _lines(content: bytes) -> list[str]:
    """Cut ``merges.txt`` into lines, the first of which may say its version."""
    lines = [line.removesuffix("\r") for line in content.decode().split("\n")]
    return [line for line in lines if line and not line.startswith("#version")]


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")  # noqa: TRY004 (what is wrong is the file)
    return value


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is not a JSON array")  # noqa: TRY004 (what is wrong is the file)
    return value
