"""Rows -> an aligned table of text, in which whatever strangers wrote is shown and does nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import click

from pixvec.cli.console import terminal_width, visible
from pixvec.formatting.width import fitted, width

_NUMBER: Final = re.compile(r"-?[\d,.]+")
_GAP: Final = "  "
_LEAST: Final = 4
"""No column is cut to fewer cells."""


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, n_cells: int | None, n_whole: int = 0) -> str:
    """Align columns under their names, numbers to the right.

    Parameters
    ----------
    n_cells
        The width that it must fit into, for which the widest columns are cut; None for no limit.
    n_whole
        How many columns, the first ones, are never cut; numbers never are.
    """
    lines = [[visible(cell) for cell in line] for line in (header, *rows)]
    columns = list(zip(*lines, strict=True))
    widths = [max(map(width, column)) for column in columns]
    are_numbers = [len(column) > 1 and all(map(_NUMBER.fullmatch, column[1:])) for column in columns]
    if n_cells is not None:
        are_whole = [place < n_whole or is_number for place, is_number in enumerate(are_numbers)]
        widths = _narrowed(widths, are_whole, n_cells)
    return "\n".join(_line(line, widths, are_numbers) for line in lines)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, n_whole: int = 0) -> None:
    """Print a table on stdout, as wide as the terminal; whole where it goes elsewhere."""
    first, *others = plain_table(header, rows, n_cells=terminal_width(), n_whole=n_whole).split("\n")
    click.echo("\n".join([click.style(first, bold=True), *others]))


def _narrowed(widths: Sequence[int], are_whole: Sequence[bool], n_cells: int) -> list[int]:
    """Cut the widest columns to one width, the largest with which the table fits."""
    room = n_cells - len(_GAP) * (len(widths) - 1)
    for most in range(max(widths), _LEAST - 1, -1):
        narrowed = [n if is_whole else min(n, most) for n, is_whole in zip(widths, are_whole, strict=True)]
        if sum(narrowed) <= room:
            break
    return narrowed


def _line(cells: Sequence[str], widths: Sequence[int], are_numbers: Sequence[bool]) -> str:
    padded = []
    for cell, n_cells, is_number in zip(cells, widths, are_numbers, strict=True):
        shown = fitted(cell, n_cells)
        space = " " * (n_cells - width(shown))
        padded.append(space + shown if is_number else shown + space)
    return _GAP.join(padded).rstrip()
