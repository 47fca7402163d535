"""How many cells of a terminal texts take, and texts made to fit."""

from __future__ import annotations

import pytest

from pixvec.formatting.width import fitted, width, wrapped


@pytest.mark.parametrize(
    ("text", "n_cells"),
    [
        ("", 0),
        ("plain", 5),
        ("日本語", 6),
        ("ﾊﾝｶｸ", 4),
        ("\N{FULLWIDTH LATIN SMALL LETTER F}" * 4, 8),
        ("e\u0301tude", 5),
        ("한글", 4),
        ("\u1112\u1161\u11ab", 2),
        ("\N{WATERMELON}", 2),
        ("\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}", 2),
        ("\N{HEAVY BLACK HEART}\ufe0f", 2),
        ("\N{HEAVY BLACK HEART}", 1),
        ("\N{REGIONAL INDICATOR SYMBOL LETTER F}\N{REGIONAL INDICATOR SYMBOL LETTER R}", 2),
    ],
)
def test_the_cells_of_a_text(text: str, n_cells: int) -> None:
    assert width(text) == n_cells


@pytest.mark.parametrize(
    ("text", "n_cells", "expected"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("日本語です", 10, "日本語です"),
        ("日本語です", 9, "日本語で…"),
        ("日本語です", 8, "日本語…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
    ],
)
def test_a_text_is_cut_between_characters_to_the_cells_there_are(text: str, n_cells: int, expected: str) -> None:
    assert fitted(text, n_cells) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fits in the line", "fits in the line"),
        ("one two three four five six", "one two three four\n  five six"),
        ("label    one two three four", "label    one two\n         three four"),
        ("  at one.example, two.example", "  at one.example,\n  two.example"),
        ("日本語 日本語 日本語 日本語", "日本語 日本語 日本語\n  日本語"),
        ("see https://a.example/a-long-url", "see\n  https://a.example/a-long-url"),
    ],
)
def test_a_line_is_broken_between_words(line: str, expected: str) -> None:
    assert wrapped(line, 20) == expected
