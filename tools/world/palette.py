"""The colours and backdrops of the drawn world, and which of them can be told from each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

Color: TypeAlias = tuple[float, float, float]
"""Red, green and blue, from 0 to 255."""

COLORS: Final[Mapping[str, Color]] = {
    "red": (215, 35, 35),
    "orange": (248, 138, 20),
    "yellow": (250, 218, 30),
    "green": (40, 155, 55),
    "turquoise": (40, 200, 195),
    "blue": (35, 75, 215),
    "purple": (130, 45, 175),
    "pink": (250, 130, 185),
    "brown": (125, 75, 35),
    "black": (25, 25, 28),
    "grey": (130, 130, 132),
    "white": (250, 250, 250),
}

BACKDROPS: Final[Mapping[str, tuple[Color, Color]]] = {
    "white": ((252, 252, 252), (252, 252, 252)),
    "cream": ((250, 238, 205), (250, 238, 205)),
    "light blue": ((190, 220, 250), (190, 220, 250)),
    "light green": ((200, 238, 200), (200, 238, 200)),
    "light grey": ((205, 205, 208), (205, 205, 208)),
    "dark grey": ((70, 70, 76), (70, 70, 76)),
    "dark blue": ((25, 32, 80), (25, 32, 80)),
    "lilac": ((222, 205, 245), (222, 205, 245)),
    "room": ((238, 214, 196), (170, 128, 96)),
    "field": ((165, 212, 250), (128, 190, 92)),
    "beach": ((160, 215, 248), (238, 214, 152)),
    "sea": ((185, 222, 245), (62, 128, 185)),
    "city": ((200, 214, 228), (150, 150, 155)),
    "desert": ((250, 206, 140), (222, 160, 92)),
}
"""The colours of a backdrop's upper and lower part."""

OUTDOORS: Final = frozenset({"field", "beach", "sea", "city", "desert"})

_MIN_DISTANCE: Final = 75.0


def darken(color: Color, by: float = 0.35) -> Color:
    """Mix with black."""
    return mix(color, (0, 0, 0), by)


def lighten(color: Color, by: float = 0.6) -> Color:
    """Mix with white."""
    return mix(color, (255, 255, 255), by)


def mix(color: Color, other: Color, share: float) -> Color:
    """Mix a colour with a share of another."""
    red, green, blue = (one + share * (two - one) for one, two in zip(color, other, strict=True))
    return red, green, blue


def brightness(color: Color) -> float:
    """Return how bright a colour looks, from 0 to 255."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def backdrop_colors(backdrop: str, *, night: bool) -> tuple[Color, Color]:
    """Return the upper and the lower colour as the time of day leaves them."""
    upper, lower = BACKDROPS[backdrop]
    return (mix(upper, (12, 16, 45), 0.88), mix(lower, (10, 14, 35), 0.62)) if night else (upper, lower)


def stands_out(color: str, backdrop: str, *, night: bool) -> bool:
    """Tell whether a thing of this colour can be seen before a backdrop."""
    return all(math.dist(COLORS[color], other) > _MIN_DISTANCE for other in backdrop_colors(backdrop, night=night))
