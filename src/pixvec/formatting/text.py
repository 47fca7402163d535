"""Numbers, and cells of tables -> words as people read them."""

from __future__ import annotations

import json
import math
from typing import Any, Final

ROW: Final = "row (from 0)"
"""The heading over row numbers; a single one stands as: row 7 (counted from 0)."""
_MAX_HASH_BYTES: Final = 32
"""No image is as short."""
_UNITS: Final = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def count(n: int, one: str, many: str | None = None) -> str:
    """Say how many, and of what."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def share(n: float, total: float) -> str:
    """Say a part as percent; one that is neither nothing nor everything never looks so."""
    percent = 100 * n / total if total else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def size(n_bytes: float) -> str:
    """Say a size in decimal units."""
    for unit, n in _UNITS:
        if n_bytes >= n:
            return f"{n_bytes / n:.1f} {unit}"
    return f"{n_bytes:.0f} bytes"


def duration(seconds: float) -> str:
    """Say a time in its two largest units; a short one to a tenth of a second."""
    if 0 < seconds < 0.1:
        return "under 0.1 s"
    if 0 < seconds < 9.95 and seconds % 1:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (whole % 60, "s")]
    first = next((place for place, (n, _) in enumerate(parts) if n), 3)
    return " ".join(f"{n} {unit}" for n, unit in parts[first : first + 2] if n) or "0 s"


def plain_cell(cell: Any) -> Any:
    """Say a cell in JSON's types: hashes as hex, longer bytes by their number, what is no number as null."""
    match cell:
        case dict():
            return {name: plain_cell(part) for name, part in cell.items()}
        case list():
            return [plain_cell(part) for part in cell]
        case bytes():
            return cell.hex() if len(cell) <= _MAX_HASH_BYTES else f"{len(cell):,} bytes"
        case float():
            return cell if math.isfinite(cell) else None
        case None | bool() | int() | str():
            return cell
    return str(cell)


def plain_text(cell: Any) -> str:
    """Say a cell as text: as it is, or in JSON."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bytes):
        return str(plain_cell(cell))
    return "" if cell is None else json.dumps(plain_cell(cell), ensure_ascii=False)
