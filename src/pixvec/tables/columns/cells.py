"""What a cell of a column may be, and what it is in the pipeline: text, a path, the bytes of an image, or None."""

from __future__ import annotations

import io
import re
import sys
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import FetchError, RowError
from pixvec.tables.columns.pixels import array_png, image_png

_STRUCT_KEYS: Final = frozenset(["bytes", "path"])
_URL_START: Final = re.compile(rb"\s*(data:|([a-z][a-z0-9+-]+:)?//)", re.IGNORECASE)
"""What no image begins with, and a URL does."""


def image_cell(cell: object, *, explode: str = "") -> object:
    """Give one null for all, and as bytes, text or a path whatever holds an image or names one.

    Parameters
    ----------
    cell
        A cell as its column has it.
    explode
        How several URLs in one cell become rows, for the error of such a cell.

    Returns
    -------
    object
        The cell; where it cannot be read, the `RowError` of its row, as data: it ends no iteration.
    """
    if isinstance(cell, str) or _is_null(cell):
        return None if _is_null(cell) else cell
    try:
        return _read(cell, explode)
    except RowError as error:
        return error


def value_cell(cell: object) -> object:
    """Give one null for all, and whatever else a cell holds as it is."""
    return None if _is_null(cell) else cell


def _read(cell: object, explode: str) -> object:
    match cell:
        case bytes() | bytearray() | memoryview():
            return _body_or_url(bytes(cell))
        case dict() if cell and cell.keys() <= _STRUCT_KEYS:
            return cell.get("path") if cell.get("bytes") is None else _read(cell["bytes"], explode)
        case list() | tuple() | set():
            raise _several(len(cell), explode)
        case np.ndarray() if cell.dtype.kind in "OUS":
            raise _several(cell.size, explode)
        case np.ndarray():
            return array_png(cell)
    pillow = sys.modules.get("PIL.Image")  # whoever has an image has imported Pillow
    if pillow is not None and isinstance(cell, pillow.Image):
        return image_png(cell)
    return _read_file(cell) if callable(getattr(cell, "read", None)) else cell


def _is_null(cell: object) -> bool:
    # pandas' NA and NaT are known by name, so that pandas need not be imported to know them.
    is_nan = isinstance(cell, float | np.floating) and bool(np.isnan(cell))
    return cell is None or is_nan or type(cell).__name__ in {"NAType", "NaTType"}


def _body_or_url(body: bytes) -> bytes | str:
    """Read the text of a URL that a binary column holds."""
    if not _URL_START.match(body):
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _several(n: int, explode: str) -> FetchError:
    return FetchError("invalid_url", f"a list of {n:,}, not one URL: {explode}")


def _read_file(file: Any) -> bytes | str:
    """Read an open file from its start, wherever its owner stopped."""
    if isinstance(file, io.BytesIO) and not file.closed:
        return _body_or_url(file.getvalue())
    try:
        if file.seekable():
            file.seek(0)
        body = file.read()
    except Exception as error:
        raise RowError("file_error", f"the open file cannot be read ({type(error).__name__})") from error
    if not isinstance(body, bytes):
        raise RowError("file_error", "the open file gives text: open it with mode 'rb'")
    return _body_or_url(body)


def is_image_array(array: NDArray[Any]) -> bool:
    """Tell whether an array holds the pixels of one image, or of several that are stacked."""
    return array.dtype == np.uint8 and array.ndim in {2, 3, 4}
