"""Texts to token ids, as CLIP's tokenizer in Hugging Face transformers 5.23 makes them (`tokenization_clip.py`).

In: texts. Out: ids (N, T) int32, padded and cut to the model's length, and each text's end-of-text place (N, 1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Encoding, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from pixvec.errors import ModelError
from pixvec.model.checkpoint import Checkpoint, TextConfig
from pixvec.model.checkpoint.folder import blaming
from pixvec.model.checkpoint.vocabulary import Vocabulary, read_vocabulary

_START, _END, _END_OF_WORD = "<|startoftext|>", "<|endoftext|>", "</w>"
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_BLANK = re.compile(r"[ \t\r\n]")
_HEAD_CHARS = 20
"""Characters for each token that the model reads, which is plenty in most languages."""
_OLD_END_ID = 2
"""Configs of 2021 give this id for the end of text; transformers then takes the place of the largest id."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the text tower reads of N texts.

    Parameters
    ----------
    ids
        (N, T) int32, T being the model's length.
    ends
        The place of the token whose output is the text's, (N, 1) int32.
    is_cut
        Whether a text was longer than the model reads, (N,) bool.
    """

    ids: NDArray[np.int32]
    ends: NDArray[np.int32]
    is_cut: NDArray[np.bool_]


class ClipTokenizer:
    """CLIP's tokenizer with the model's length."""

    def __init__(self, checkpoint: Checkpoint, config: TextConfig) -> None:
        self._config = config
        with blaming(checkpoint.name):
            self._tokenizer = _open_tokenizer(checkpoint.tokenizer_files, config)

    def __call__(self, texts: list[str]) -> Tokens:
        """Cut texts into tokens; lone surrogates, which Python's texts may hold and no file's, are replaced."""
        encodings = [self._encode(text.encode(errors="replace").decode()) for text in texts]
        # What follows the end of a text is never attended to, so any id may fill the row.
        ids = np.zeros((len(texts), self._config.max_position_embeddings), dtype=np.int32)
        for row, encoding in zip(ids, encodings, strict=True):
            row[: len(encoding.ids)] = encoding.ids
        is_cut = np.array([bool(encoding.overflowing) for encoding in encodings], dtype=bool)
        return Tokens(ids, self._ends(ids), is_cut)

    def _encode(self, text: str) -> Encoding:
        """Encode a text, of a long one only the beginning if that is more than the model reads.

        The rest would change no token of it, since words end at blanks, and would cost 4 s a megabyte.
        """
        blank = _BLANK.search(text, _HEAD_CHARS * self._config.max_position_embeddings)
        if blank and (head := self._tokenizer.encode(text[: blank.start()])).overflowing:
            return head
        return self._tokenizer.encode(text)

    def _ends(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        is_old = self._config.eos_token_id == _OLD_END_ID
        marks = ids if is_old else np.equal(ids, self._config.eos_token_id)
        ends: NDArray[np.int32] = np.argmax(marks, axis=1, keepdims=True).astype(np.int32)  # (N, T) -> (N, 1)
        return ends


def _open_tokenizer(files: Sequence[Path], config: TextConfig) -> Tokenizer:
    if not files:
        raise ModelError("it has no tokenizer (tokenizer.json, or vocab.json and merges.txt)")
    vocabulary = read_vocabulary(files, n_ids=config.vocab_size)
    _check_kind(vocabulary, files[0])
    _check_config(config, end_id=vocabulary.ids[_END])
    try:
        tokenizer = _built(vocabulary)
        tokenizer.enable_truncation(config.max_position_embeddings)
    except BaseException as error:
        # A panic of the library's is no Exception, and its class has no public name.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelError(f"{files[0].name} is not a tokenizer that can be read: {error}") from None
    return tokenizer


def _check_kind(vocabulary: Vocabulary, file: Path) -> None:
    """Check that a tokenizer is of CLIP's kind: any text is cut into its tokens, with marks around them."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    needed = {_START, _END, *letters, *(letter + _END_OF_WORD for letter in letters)}
    lacking = sorted(needed.difference(vocabulary.ids))
    if vocabulary.end_of_word in {None, _END_OF_WORD} and not lacking:
        return
    why = f"it has no token {lacking[0]!r}" if lacking else f"words end in {vocabulary.end_of_word!r:.40}"
    raise ModelError(
        f"{file.name} is a tokenizer of another kind than CLIP's ({why}): the model embeds images, and no texts"
    )


def _check_config(config: TextConfig, *, end_id: int) -> None:
    """Check that the text tower finds the end of a text, or every text would have the vector of its start."""
    if config.eos_token_id not in {_OLD_END_ID, end_id}:
        raise ModelError(f"its texts end with token {end_id}, and its config's eos_token_id is {config.eos_token_id}")
    if config.max_position_embeddings < 2:
        raise ModelError(f"max_position_embeddings is {config.max_position_embeddings}: no room for start and end")


def _built(vocabulary: Vocabulary) -> Tokenizer:
    model = models.BPE(vocabulary.ids, vocabulary.merges, unk_token=_END, end_of_word_suffix=_END_OF_WORD)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    start, end = ((token, vocabulary.ids[token]) for token in (_START, _END))
    tokenizer.post_processor = processors.RobertaProcessing(end, start, trim_offsets=False, add_prefix_space=False)
    added = {token.content: AddedToken(**asdict(token)) for token in vocabulary.added}
    tokenizer.add_special_tokens([*added.values(), *(mark for mark in (_START, _END) if mark not in added)])
    return tokenizer
