"""Texts to token ids, as CLIP's tokenizer in Hugging Face transformers 5.23 makes them (`tokenization_clip.py`).

In: texts. Out: ids (N, T) int32, padded and cut to the model's length, and each text's end-of-text place (N, 1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from pixvec.checkpoint import Checkpoint, TextConfig
from pixvec.errors import ModelError

_START, _END = "<|startoftext|>", "<|endoftext|>"
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
        self._tokenizer = _open_tokenizer(checkpoint)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(config.max_position_embeddings)

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


def _open_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    files = checkpoint.tokenizer_files
    if not files:
        raise ModelError(f"{checkpoint.name} has no tokenizer (tokenizer.json, or vocab.json and merges.txt)")
    try:
        if len(files) == 1:
            return Tokenizer.from_file(str(files[0]))
        return _from_vocabulary(models.BPE.from_file(*map(str, files), unk_token=_END, end_of_word_suffix="</w>"))
    except Exception as error:  # noqa: BLE001 (tokenizers raises bare Exception for every malformed file)
        raise ModelError(f"{checkpoint.name}: {files[0].name} is not a tokenizer that can be read: {error}") from None


def _from_vocabulary(model: models.BPE) -> Tokenizer:
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
    start, end = ((token, _token_id(tokenizer, token)) for token in (_START, _END))
    tokenizer.post_processor = processors.RobertaProcessing(end, start, trim_offsets=False, add_prefix_space=False)
    tokenizer.add_special_tokens([_START, _END])
    return tokenizer


def _token_id(tokenizer: Tokenizer, token: str) -> int:
    number = tokenizer.token_to_id(token)
    if number is None:
        raise ValueError(f"it has no {token}")
    return number
