"""Crops and texts to embeddings: CLIP's two towers, each compiled once, for batches of any size.

In: crops (N, S, S, 3) uint8, or texts. Out: embeddings (N, D) float32, unit length when asked. Which bits an image
gives depends on nothing but the image: not on its batch, its place in it, or the number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pixvec.concurrency.forks import forget_in_children, once
from pixvec.errors import ModelError
from pixvec.model.checkpoint import Checkpoint, load
from pixvec.model.engine import Graph, Precision, Program, compile_graph, resolve_precision
from pixvec.model.tokenizer import ClipTokenizer, Tokens
from pixvec.model.towers import image_tower, text_tower
from pixvec.options import Options, option
from pixvec.values import Crops, Vectors

NOT_FINITE: Final = "the model gives a vector that is not finite"
_SAMPLE_GREY: Final = 128
_SAMPLE_TEXT: Final = "a photo"


class NotFiniteError(ArithmeticError):
    """A model that comes to vectors came to none for one image or text."""

    def __init__(self) -> None:
        super().__init__(f"{NOT_FINITE} for this input, and for others does")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options, group="model"):
    """Which model, and how it computes."""

    model: str | os.PathLike[str] = option(
        "openai/clip-vit-base-patch32", "a Hugging Face repository id[@revision], a folder, or demo"
    )
    precision: Literal["auto", "bf16", "fp32"] = option("auto", "auto: bf16 where the processor computes in it")
    normalize: bool = option(True, "vectors of length 1")
    batch_size: int = option(32, "images or texts in one step of the model", minimum=1)


class ClipModel:
    """A checkpoint's two towers, ready to run; may be used from several threads.

    Parameters
    ----------
    checkpoint
        Where config and weights come from; its files stay mapped as long as the model lives.
    options
        Precision, normalization and batch size.
    """

    def __init__(self, checkpoint: Checkpoint, options: ModelOptions) -> None:
        self.checkpoint = checkpoint
        self.dim = checkpoint.vision.projection_dim
        self.image_size = checkpoint.vision.image_size
        self.precision: Precision = resolve_precision(options.precision)
        self._options = options
        self._image_tower = self._tower(partial(image_tower, checkpoint), partial(_sample_crop, self.image_size))

    @classmethod
    def load(cls, options: ModelOptions) -> Self:
        """Find, map and build the model that `options` name.

        Raises
        ------
        ModelError
            When it cannot be found or read.
        """
        return cls(load(options.model), options)

    def embed_crops(self, crops: Crops, *, stop: threading.Event | None = None) -> Vectors:
        """Embed crops, (N, S, S, 3) uint8: (N, D) float32. A row that is not finite is no vector: see `finite_rows`.

        Raises
        ------
        ModelError
            When the model comes to nothing finite, whatever it sees.
        StoppedError
            When `stop` is set before it is done.
        """
        return self._finish(self._image_tower(crops, stop=stop))

    def embed_texts(self, texts: list[str]) -> Vectors:
        """Embed texts, cut at the model's length: (N, D) float32.

        Raises
        ------
        ModelError
            When the checkpoint has no text tower or no tokenizer, or a text comes to nothing finite.
        """
        vectors = self.embed_tokens(self.tokenize(texts))
        if len(bad := np.flatnonzero(~finite_rows(vectors))):
            raise ModelError(f"{self.checkpoint.name}: {NOT_FINITE} for text {bad[0]:,} (counted from 0)")
        return vectors

    def tokenize(self, texts: list[str]) -> Tokens:
        """Cut texts into tokens, as many as the model reads.

        Raises
        ------
        ModelError
            When the checkpoint has no text tower or no tokenizer.
        """
        tokenizer, _ = self._text
        return tokenizer(texts)

    def embed_tokens(self, tokens: Tokens) -> Vectors:
        """Embed texts by their tokens: (N, D) float32. A row that is not finite is no vector: see `finite_rows`.

        Raises
        ------
        ModelError
            When the model comes to nothing finite, whatever it reads.
        """
        _, tower = self._text
        return self._finish(tower(tokens.ids, tokens.ends))

    @once
    def _text(self) -> tuple[ClipTokenizer, _Tower]:
        config = self.checkpoint.text_tower()
        tokenizer = ClipTokenizer(self.checkpoint, config)

        def sample() -> tuple[NDArray[Any], ...]:
            tokens = tokenizer([_SAMPLE_TEXT])
            return tokens.ids, tokens.ends

        return tokenizer, self._tower(partial(text_tower, self.checkpoint, config), sample)

    def _tower(self, build: Callable[[], Graph], sample: Callable[[], tuple[NDArray[Any], ...]]) -> _Tower:
        return _Tower(
            build,
            sample,
            name=self.checkpoint.name,
            dim=self.dim,
            precision=self.precision,
            batch_size=self._options.batch_size,
        )

    def _finish(self, vectors: Vectors) -> Vectors:
        return l2_normalize(vectors) if self._options.normalize else vectors


class _Tower:
    """A graph that is built and compiled when the first batch comes.

    Parameters
    ----------
    sample
        Gives an input that any model comes to a vector of, unless its weights or settings are beyond its numbers.
    name
        The model's, for what is said of it.
    """

    def __init__(
        self,
        build: Callable[[], Graph],
        sample: Callable[[], tuple[NDArray[Any], ...]],
        *,
        name: str,
        dim: int,
        precision: Precision,
        batch_size: int,
    ) -> None:
        self._build = build
        self._sample = sample
        self._name = name
        self._dim = dim
        self._precision = precision
        self._batch_size = batch_size
        self.forget_parent()
        forget_in_children(self)

    def forget_parent(self) -> None:
        """Have nothing compiled yet."""
        self._compiled: Program | None = None
        self._compiling = threading.Lock()

    def __call__(self, *inputs: NDArray[Any], stop: threading.Event | None = None) -> Vectors:
        vectors = np.empty((len(inputs[0]), self._dim), dtype=np.float32)
        for start in range(0, len(vectors), self._batch_size):
            batch = slice(start, start + self._batch_size)
            vectors[batch] = self._program(*(array[batch] for array in inputs), stop=stop)
        if not finite_rows(vectors).all():
            self._check_sample(stop)
        return vectors

    def _check_sample(self, stop: threading.Event | None) -> None:
        """Tell an input that comes to nothing finite from a model that does; a sound model never gets here."""
        if not finite_rows(self._program(*self._sample(), stop=stop)).all():
            raise ModelError(
                f"{self._name}: {NOT_FINITE}, whatever it is given: its weights are damaged, or they and its settings "
                f"are beyond the numbers that it computes in ({self._precision})"
            )

    @property
    def _program(self) -> Program:
        with self._compiling:
            if self._compiled is None:
                self._compiled = compile_graph(self._build(), self._precision)
            return self._compiled


def _sample_crop(side: int) -> tuple[NDArray[Any], ...]:
    return (np.full((1, side, side, 3), _SAMPLE_GREY, np.uint8),)


def finite_rows(vectors: Vectors) -> NDArray[np.bool_]:
    """Tell which rows of (N, D) are vectors: those all of whose numbers are finite, (N,)."""
    return np.asarray(np.isfinite(vectors).all(axis=1))


def l2_normalize(vectors: Vectors) -> Vectors:
    """Scale each row of (N, D) to length 1; a zero row stays zero, and one that is not finite is not made so."""
    lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1, keepdims=True))  # (N, 1)
    with np.errstate(invalid="ignore"):
        return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
