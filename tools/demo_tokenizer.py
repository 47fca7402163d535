"""CLIP's kind of tokenizer, its merges learnt from captions of the drawn world."""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from tools.world import ATTRIBUTES, caption, describe, imagine, phrase

BOS: Final = "<|startoftext|>"
EOS: Final = "<|endoftext|>"
CONTEXT: Final = 32
_VOCAB_SIZE: Final = 1400
_N_SCENES: Final = 20_000
_WORDS: Final = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def make_tokenizer() -> Tokenizer:
    """Learn merges, and put them behind every byte, inside a word and at its end, so that any text has tokens."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    _split_as_clip(learner)
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCAB_SIZE, show_progress=False, initial_alphabet=_letters(), end_of_word_suffix="</w>"
    )
    learner.train_from_iterator(_texts(), trainer)
    merges = [(one, two) for one, two in json.loads(learner.to_str())["model"]["merges"]]
    tokens = [*_letters(), *(f"{letter}</w>" for letter in _letters()), *(one + two for one, two in merges), BOS, EOS]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=EOS, end_of_word_suffix="</w>"))
    _split_as_clip(tokenizer)
    end, start = ((token, vocabulary[token]) for token in (EOS, BOS))
    tokenizer.post_processor = processors.RobertaProcessing(end, start, trim_offsets=False, add_prefix_space=False)
    tokenizer.add_special_tokens([BOS, EOS])
    return tokenizer


def pad(tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """Return ids (N, T), each row filled up with the end-of-text token."""
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    length = max(map(len, ids))
    end = tokenizer.get_vocab_size() - 1
    return torch.tensor([row + [end] * (length - len(row)) for row in ids])


def _split_as_clip(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


def _letters() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _texts() -> list[str]:
    rng = np.random.default_rng(0)
    scenes = [imagine(seed) for seed in range(_N_SCENES)]
    named = [phrase(name, value, rng) for name, values in ATTRIBUTES.items() for value in values for _ in range(20)]
    return [*map(describe, scenes), *(caption(scene, rng) for scene in scenes), *named]
