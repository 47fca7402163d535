"""What a cell of a column may be, and what it is on the road: text, a path, the bytes of a picture, or None."""

from __future__ import annotations

import io
import sys
from typing import Any, Final

import numpy as np

from pixvec.errors import ImageError

_ORIENTATION: Final = 0x0112
_PNG_MODES: Final = frozenset(["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
_STRUCT_KEYS: Final = frozenset(["bytes", "path"])


def image_cell(cell: object) -> object:
    """Give one null for all, the bytes or path of the struct that `datasets` writes, and the pixels of a Pillow image.

    A Pillow image that cannot be read becomes the error of its row, as data: it ends no iteration.
    """
    if isinstance(cell, str | bytes):
        return cell
    if isinstance(cell, dict) and cell and cell.keys() <= _STRUCT_KEYS:
        return cell.get("path") if cell.get("bytes") is None else cell["bytes"]
    if _is_null(cell):
        return None
    pillow = sys.modules.get("PIL.Image")  # whoever has an image has imported Pillow
    return _as_png(cell) if pillow is not None and isinstance(cell, pillow.Image) else cell


def _is_null(cell: object) -> bool:
    # pandas' NA and NaT are known by name, so that pandas need not be imported to know them.
    is_nan = isinstance(cell, float | np.floating) and bool(np.isnan(cell))
    return cell is None or is_nan or type(cell).__name__ in {"NAType", "NaTType"}


def _as_png(image: Any) -> bytes | ImageError:
    """Write an image's pixels without loss, and not compressed: they are read again at once."""
    body = io.BytesIO()
    try:
        exif = image.getexif()
        turned = {"exif": exif.tobytes()} if _ORIENTATION in exif else {}
        image = image.convert("LA") if image.mode == "La" else image  # Pillow takes it nowhere else
        plain = image if image.mode in _PNG_MODES else image.convert("RGB")
        plain.save(body, "PNG", compress_level=0, icc_profile=None, **turned)
    except Exception as error:  # noqa: BLE001 (a decoder's errors have no tree)
        return ImageError("corrupt_image", f"Pillow could not read the image ({type(error).__name__})")
    return body.getvalue()
