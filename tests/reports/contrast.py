"""How well text can be read on its ground, as the accessibility guidelines compute it."""

from __future__ import annotations

import re


def contrast(one: str, other: str) -> float:
    """Give the ratio of two colours, ``#rrggbb``: 1 for equal ones, 21 for black on white."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def palettes(page: str) -> dict[str, dict[str, str]]:
    """Read the colours that a page names, in light and in dark."""
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    return {"light": _named(light), "dark": _named(light) | _named(dark)}


def _named(css: str) -> dict[str, str]:
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]+)\b", css))
    return {
        name: colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
        for name, colour in colours.items()
    }


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[start : start + 2], 16) / 255) for start in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
