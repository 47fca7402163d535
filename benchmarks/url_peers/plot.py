"""Outcomes -> a bar chart as SVG, readable on light and on dark pages, with the reader's own fonts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from side_by_side import Figures

from url_peers.measure import Outcome
from url_peers.page import measured
from url_peers.ways import WAYS

TITLE: Final = "From URLs to vectors, images per second"
_WIDTH, _NAMES_WIDTH, _VALUES_WIDTH = 720, 260, 60
_ROW_HEIGHT, _BAR_HEIGHT, _TOP, _MARGIN = 28, 16, 44, 16
_STYLE: Final = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f }
  .page { fill: #ffffff } .bar { fill: #8c959f } .ours { fill: #0969da } .title, .ours-name { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #161b22 } .bar { fill: #6e7681 } .ours { fill: #58a6ff }
  }
"""


def drawn(outcomes: Sequence[Outcome]) -> str:
    """Draw images per second of those that make vectors."""
    rows = measured(outcomes, "vectors")
    height = _TOP + _ROW_HEIGHT * len(rows) + _MARGIN // 2
    longest = max((figures.per_second for _, figures in rows), default=1.0)
    bars = [_bar(number, *row, longest) for number, row in enumerate(rows)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">',
            f"<title>{TITLE}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{_WIDTH}" height="{height}" rx="6"/>',
            f'<text class="title" x="{_MARGIN}" y="26">{TITLE}</text>',
            *bars,
            "</svg>\n",
        ]
    )


def _bar(number: int, outcome: Outcome, figures: Figures, longest: float) -> str:
    top = _TOP + _ROW_HEIGHT * number
    baseline = top + _BAR_HEIGHT - 3
    length = (_WIDTH - _NAMES_WIDTH - _VALUES_WIDTH) * figures.per_second / longest
    is_ours = WAYS[outcome.name].environment == "pixvec"
    kind, name_kind = ("ours", ' class="ours-name"') if is_ours else ("bar", "")
    name = escape(WAYS[outcome.name].title)
    return "\n".join(
        [
            f'<text{name_kind} x="{_NAMES_WIDTH - 10}" y="{baseline}" text-anchor="end">{name}</text>',
            f'<rect class="{kind}" x="{_NAMES_WIDTH}" y="{top}" width="{length:.1f}" height="{_BAR_HEIGHT}" rx="2"/>',
            f'<text x="{_NAMES_WIDTH + length + 8:.1f}" y="{baseline}">{figures.per_second:.1f}</text>',
        ]
    )
