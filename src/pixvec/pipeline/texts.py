"""Texts to rows, in their order and bounded: what `pipeline` is for images, with nothing to fetch and to decode.

A text that comes again is embedded once. As in `pipeline`, a row's error becomes data here, and whatever else is raised
is a bug, which ends the call.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator
from typing import Final

import numpy as np

from pixvec.errors import PixvecError, RowError
from pixvec.model import ClipModel, ModelOptions, NotFiniteError, finite_rows
from pixvec.model.tokenizer import Tokens
from pixvec.pipeline.report import OnProgress, Report
from pixvec.values import Row, Vector

_WAITING_ROWS: Final = 1_024
"""Rows that wait at most for a batch to fill, where most cells are empty or repeat themselves."""
_REMEMBERED: Final = 16_384
"""Texts whose vectors are kept, of 2 KB each, for rows that repeat them; as many as `pipeline` keeps."""
_LOGGER: Final = logging.getLogger("pixvec")


def embed_text_cells(
    cells: Iterable[object],
    model: ClipModel,
    options: ModelOptions,
    report: Report,
    on_progress: OnProgress | None = None,
    *,
    keep_going: bool = False,
) -> Generator[Row, None, None]:
    """Take every cell to its row, and hand the rows out in the order of the cells, a batch at a time.

    Parameters
    ----------
    cells
        Texts, and None.
    model, options
        What embeds, and how many texts at once.
    report
        Counts what happens.
    on_progress
        Called with `report` after each batch.
    keep_going
        Make a bug of ours that one text meets its row's reason, ``internal_error``, and go on.

    Raises
    ------
    ModelError
        Before any cell is read, when the model has no text tower or no tokenizer.
    Exception
        A bug of ours, after all rows before it; with a note that names the row.
    """
    pipeline = _TextPipeline(model, options.batch_size, report, keep_going=keep_going)
    for number, cell in enumerate(cells):
        try:
            pipeline.add(cell)
        except Exception as bug:
            if not isinstance(bug, PixvecError):
                bug.add_note(f"pixvec: this is a bug, met at row {number} (counted from 0)")
            yield from pipeline.take()
            raise
        if pipeline.is_full:
            yield from pipeline.take()
            if on_progress:
                on_progress(report)
    yield from pipeline.take()
    if on_progress:
        on_progress(report)


class _TextPipeline:
    """The rows that wait for the next batch, and the vectors of texts that came before."""

    def __init__(self, model: ClipModel, batch_size: int, report: Report, *, keep_going: bool) -> None:
        self._tokenize, self._embed_tokens = model.tokenize, model.embed_tokens
        self._batch_size = batch_size
        self._report = report
        self._keep_going = keep_going
        self._waiting: list[bytes | Row] = []
        self._new: dict[bytes, Tokens] = {}
        self._known: OrderedDict[bytes, tuple[Vector, bool]] = OrderedDict()
        self._n_taken = 0
        self._tokenize([])  # says now that the model reads no texts
        report.is_of_texts = True

    @property
    def is_full(self) -> bool:
        return len(self._new) == self._batch_size or len(self._waiting) == _WAITING_ROWS

    def add(self, cell: object) -> None:
        """Let a cell wait: the hash of its text, or the row that it is decided to be."""
        try:
            self._waiting.append(self._expect(_text(cell)))
        except RowError as error:
            self._waiting.append(Row(error=error.code, detail=error.detail))
        except Exception as bug:
            if not self._keep_going or isinstance(bug, PixvecError):
                raise
            self._waiting.append(_internal_error(bug))

    def take(self) -> Iterator[Row]:
        """Decide all rows that wait, in their order.

        Raises
        ------
        NotFiniteError
            When one comes to no vector, after all rows before it; with a note that names it.
        """
        self._embed_new()
        waiting, self._waiting = self._waiting, []
        for it in waiting:
            row = self._row(it) if isinstance(it, bytes) else it
            self._report.count(row, None)
            self._n_taken += 1
            yield row
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _expect(self, text: str) -> bytes:
        sha256 = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
        if sha256 in self._new or sha256 in self._known:
            self._report.n_repeats += 1
        else:
            self._new[sha256] = self._tokenize([text])
        return sha256

    def _embed_new(self) -> None:
        if not self._new:
            return
        started = time.monotonic()
        tokens = _joined(list(self._new.values()))
        vectors = self._embed_tokens(tokens)
        self._report.model_busy += time.monotonic() - started
        for sha256, vector, is_cut in zip(self._new, vectors, tokens.is_cut.tolist(), strict=True):
            self._known[sha256] = (vector.copy(), is_cut)  # a view would keep the whole batch alive
        self._new.clear()

    def _not_finite(self, bug: NotFiniteError) -> Row:
        if not self._keep_going:
            bug.add_note(f"pixvec: this is a bug, met at row {self._n_taken} (counted from 0)")
            raise bug
        return _internal_error(bug)

    def _row(self, sha256: bytes) -> Row:
        self._known.move_to_end(sha256)
        vector, is_cut = self._known[sha256]
        if not finite_rows(vector[None])[0]:
            return self._not_finite(NotFiniteError())
        self._report.n_cut += is_cut
        return Row(vector=vector)


def _joined(tokens: list[Tokens]) -> Tokens:
    columns = ([getattr(one, name) for one in tokens] for name in ("ids", "ends", "is_cut"))
    return Tokens(*map(np.concatenate, columns))


def _internal_error(bug: Exception) -> Row:
    _LOGGER.warning("a bug, met at a text", exc_info=bug)
    return Row(error="internal_error", detail=f"a bug of pixvec's: {type(bug).__name__}")


def _text(cell: object) -> str:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        raise RowError("null_input", "the cell is empty")
    if not isinstance(cell, str):
        raise RowError("not_a_text", f"a cell of type {type(cell).__name__} holds no text")
    return cell
