"""The outlines that things are made of, in a square from -100 to 100, x to the right and y down.

Points are written as in SVG: ``"0,-90 98,80 -98,80"``. A part must not know of colours or sizes: it only says which
tone of its thing's colour it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tone: TypeAlias = Literal["body", "deep", "pale", "ink"]
"""The thing's colour and texture, a darker one, a lighter one, or what stands out on it."""

Points: TypeAlias = NDArray[np.float64]
"""(P, 2), each point's x and y."""

Angles: TypeAlias = tuple[float, float]
"""Where an arc starts and ends, in degrees, clockwise from the right."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A polygon, or with a `width` an open line."""

    points: Points
    tone: Tone = "body"
    width: float | None = None


def poly(points: str, tone: Tone = "body") -> Part:
    """Make a polygon."""
    return Part(_read(points), tone)


def line(points: str, *, width: float = 12, tone: Tone = "body") -> Part:
    """Make an open line."""
    return Part(_read(points), tone, width)


def box(left: float, top: float, right: float, bottom: float, tone: Tone = "body") -> Part:
    """Make an upright rectangle."""
    return poly(f"{left},{top} {right},{top} {right},{bottom} {left},{bottom}", tone)


def oval(x: float, y: float, rx: float, ry: float, tone: Tone = "body", *, angles: Angles = (0, 360)) -> Part:
    """Make an ellipse, or what a chord cuts off it."""
    return Part(_ellipse(x, y, rx, ry, angles), tone)


def disc(x: float, y: float, radius: float, tone: Tone = "body") -> Part:
    """Make a filled circle."""
    return oval(x, y, radius, radius, tone)


def arc(
    x: float, y: float, rx: float, ry: float, *, angles: Angles = (0, 372), width: float = 12, tone: Tone = "body"
) -> Part:
    """Make a line along an ellipse; a whole one overlaps its start, so that it has no gap."""
    return Part(_ellipse(x, y, rx, ry, angles), tone, width)


def discs(n: int, distance: float, radius: float, tone: Tone = "body", *, y: float = 0) -> list[Part]:
    """Make discs in a circle."""
    angles = _round(n)
    return [disc(distance * np.cos(angle), y + distance * np.sin(angle), radius, tone) for angle in angles]


def rays(n: int, inner: float, outer: float, *, width: float) -> list[Part]:
    """Make lines away from the middle."""
    directions = np.stack([np.cos(_round(n)), np.sin(_round(n))], axis=1)  # (N, 2)
    return [Part(np.stack([inner * direction, outer * direction]), width=width) for direction in directions]


def star(n_points: int, outer: float, inner: float) -> Part:
    """Make a star that stands on two of its points."""
    angles = _round(2 * n_points) - np.pi / 2
    radii = np.where(np.arange(2 * n_points) % 2, inner, outer)
    return Part(np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1))


def heart() -> Part:
    """Make a heart."""
    t = np.linspace(0, 2 * np.pi, 40)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return Part(np.stack([x, -y - 2.5], axis=1) * 6)


def moon() -> Part:
    """Make a crescent."""
    outer, inner = _ellipse(0, 0, 95, 95, (50, 310)), _ellipse(45, 0, 75, 80, (280, 80))
    return Part(np.concatenate([outer, inner]))


def _read(points: str) -> Points:
    return np.array([point.split(",") for point in points.split()], dtype=np.float64)


def _round(n: int) -> NDArray[np.float64]:
    return np.arange(n) * 2 * np.pi / n


def _ellipse(x: float, y: float, rx: float, ry: float, angles: Angles) -> Points:
    n_points = max(6, round(abs(angles[1] - angles[0]) / 15) + 1)
    turns = np.radians(np.linspace(*angles, n_points))
    return np.stack([x + rx * np.cos(turns), y + ry * np.sin(turns)], axis=1)
