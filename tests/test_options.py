"""Options: defined once, checked, and handed to functions as keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from pixvec.errors import UsageError
from pixvec.options import Options, limit, option, options_of, takes_options


@dataclass(frozen=True, kw_only=True)
class Paint(Options):
    color: Literal["red", "blue"] = option("red", "what it looks like")
    coats: int = option(2, "how often", minimum=1, maximum=9)
    glossy: bool = option(False, "whether it shines")
    note: str | None = option(None, "what to remember")
    on: Sequence[str] = option((), "what to paint")
    dries_s: float = limit(60.0, minimum=0.1)


@takes_options(Paint)
def paint(wall: str, paint: Paint) -> tuple[str, Paint]:
    """Paint a wall."""
    return wall, paint


def test_fields_become_keyword_arguments() -> None:
    assert paint("north", color="blue", dries_s=5.0) == ("north", Paint(color="blue", dries_s=5.0))


def test_the_signature_shows_every_field() -> None:
    assert list(inspect.signature(paint).parameters) == ["wall", "color", "coats", "glossy", "note", "on", "dries_s"]


def test_inputs_may_be_named() -> None:
    assert paint(wall="north") == ("north", Paint())  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing a required argument: 'wall'"):
        paint()  # type: ignore[call-arg]


def test_numpy_numbers_will_do() -> None:
    assert Paint(coats=np.int64(3), dries_s=np.float32(1.5)).coats == 3  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["door", ["door"], ("door",)], ids=["word", "list", "tuple"])
def test_an_option_that_takes_several_takes_one_too(given: Sequence[str]) -> None:
    assert paint("north", on=given)[1].on == ("door",)  # for type checkers too


def test_options_are_the_fields_with_help() -> None:
    assert [known.name for known in options_of(Paint)] == ["color", "coats", "glossy", "note", "on"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"color": "green"}, "`color='green'`: expected one of red, blue"),
        ({"coats": 0}, "`coats=0`: expected at least 1"),
        ({"coats": 10}, "`coats=10`: expected at most 9"),
        ({"dries_s": float("nan")}, "`dries_s=nan`: expected at least 0.1"),
        ({"coats": "2"}, "`coats='2'`: expected int, got str"),
        ({"coats": True}, "`coats=True`: expected int, got bool"),
        ({"coats": None}, "`coats=None`: expected int, got NoneType"),
        ({"glossy": 1}, "`glossy=1`: expected bool, got int"),
        ({"note": 3}, "`note=3`: expected str, got int"),
        ({"dries_s": 0}, "`dries_s=0`: expected at least 0.1"),
        ({"dries_s": "1"}, "`dries_s='1'`: expected float, got str"),
        ({"on": 3}, "`on=3`: expected Sequence, got int"),
        ({"colour": "red"}, "there is no option 'colour'; did you mean 'color'?"),
        (
            {"zzz": "red"},
            "there is no option 'zzz'; expected one of 'color', 'coats', 'glossy', 'note', 'on', 'dries_s'",
        ),
    ],
)
def test_a_wrong_option_is_named(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        paint("north", **keywords)
    assert str(caught.value) == message


@dataclass(frozen=True, kw_only=True)
class Frame(Options):
    width: int = option(40, "how wide it is", minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % 2:
            raise UsageError(f"`width={self.width}`: expected an even number")


@dataclass(frozen=True, kw_only=True)
class Image(Frame, Paint):
    """Options of two parts, of which one has a check of its own."""


@pytest.mark.parametrize("keywords", [{"width": 0}, {"width": 3}, {"coats": 10}], ids=str)
def test_a_class_of_several_parts_checks_them_all(keywords: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(keywords))}="):
        Image(**keywords)
