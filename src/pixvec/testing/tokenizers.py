"""A vocabulary's size -> the files of a small tokenizer of CLIP's kind.

In: how many ids the text tower knows. Out: ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``: every byte is a
token, inside a word and at its end, and a few pairs are merged. The marks of start and end have the last two ids.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

BOS: Final = "<|startoftext|>"
EOS: Final = "<|endoftext|>"
MIN_VOCAB_SIZE: Final = 2 * 256 + 5 + 2

_MERGES: Final = ("i n", "t h", "a t</w>", "th e</w>", "o n</w>")
_WORDS: Final = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def write_tokenizer(folder: Path, *, vocab_size: int) -> None:
    """Write ``tokenizer.json``, which the tokenizers library reads by itself."""
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer(vocab_size)))


def write_vocabulary(folder: Path, *, vocab_size: int) -> None:
    """Write ``vocab.json`` and ``merges.txt``, the form before there was ``tokenizer.json``."""
    (folder / "vocab.json").write_text(json.dumps(_vocabulary(vocab_size)))
    (folder / "merges.txt").write_text("\n".join(("#version: 0.2", *_MERGES, "")))


def _tokenizer(vocab_size: int) -> dict[str, Any]:
    vocabulary = _vocabulary(vocab_size)
    whitespace = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
    split = {"type": "Split", "pattern": {"Regex": _WORDS}, "behavior": "Removed", "invert": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_mark(BOS, vocabulary[BOS]), _mark(EOS, vocabulary[EOS])],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, whitespace, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": [EOS, vocabulary[EOS]],
            "cls": [BOS, vocabulary[BOS]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": EOS,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "vocab": vocabulary,
            "merges": list(_MERGES),
        },
    }


def _mark(content: str, token_id: int) -> dict[str, Any]:
    switches = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": content == BOS, "special": True}
    return {"id": token_id, "content": content, **switches}


def _vocabulary(vocab_size: int) -> dict[str, int]:
    if vocab_size < MIN_VOCAB_SIZE:
        raise ValueError(f"a tokenizer of bytes needs {MIN_VOCAB_SIZE} ids, not {vocab_size}")
    letters = _byte_letters()
    merged = ["".join(merge.split()) for merge in _MERGES]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *merged]
    return {token: i for i, token in enumerate(tokens)} | {BOS: vocab_size - 2, EOS: vocab_size - 1}


def _byte_letters() -> list[str]:
    """Return the letter that stands for each byte: itself where it prints, else one from U+0100 on.

    The order, and so the ids, are those of OpenAI's CLIP: github.com/openai/CLIP, clip/simple_tokenizer.py.
    """
    printing = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(byte) for byte in printing] + [chr(256 + i) for i in range(256 - len(printing))]
