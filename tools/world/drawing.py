"""A scene -> its image, of any size; the same scene is the same image.

Drawn at twice the size and scaled down. What the scene does not say (places, angles, shades) its seed decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tools.world.kinds import KINDS
from tools.world.palette import COLORS, Color, backdrop_colors, brightness, darken, lighten, mix
from tools.world.parts import Part, Points, Tone
from tools.world.scenes import Scene, Thing

_OVERSAMPLING: Final = 2
_CENTERS: Final = {
    "center": (0.5, 0.5),
    "left": (0.26, 0.5),
    "right": (0.74, 0.5),
    "top": (0.5, 0.26),
    "bottom": (0.5, 0.74),
}
_RADII: Final = {"small": (0.18, 0.21), "medium": (0.25, 0.29), "large": (0.37, 0.44)}
_SIDES: Final = {
    "left of": ("left", "right"),
    "right of": ("right", "left"),
    "above": ("top", "bottom"),
    "below": ("bottom", "top"),
}

_Place: TypeAlias = tuple[float, float, float]
"""Where a thing is: x, y and radius, as shares of the image's side."""


def draw_scene(scene: Scene, size: int = 96) -> Image.Image:
    """Draw a square image of `size` pixels."""
    rng = np.random.default_rng(scene.seed)
    side = size * _OVERSAMPLING
    image = _draw_backdrop(scene, side, rng)
    for thing, (x, y, radius) in _places(scene, rng):
        _ThingDrawing(image, thing, scene.style, radius * side, rng).draw(x * side, y * side)
    _draw_weather(image, scene.weather, rng)
    return _finish(image.reduce(_OVERSAMPLING), scene.style, rng)


def _places(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[Thing, _Place]]:
    if scene.relation is not None:
        for thing, side in zip(scene.things, _SIDES[scene.relation], strict=True):
            yield thing, _place(side, (0.2, 0.24), rng)
    elif scene.count == 1:
        yield scene.thing, _place(scene.position, _RADII[scene.size], rng)
    else:
        n_columns = 2 if scene.count <= 4 else 3
        radius = rng.uniform(0.4, 0.47) / n_columns
        for cell in rng.permutation(n_columns**2)[: scene.count]:
            x, y = ((index + 0.5 + rng.uniform(-0.06, 0.06)) / n_columns for index in divmod(int(cell), n_columns))
            yield scene.thing, (x, y, radius)


def _place(position: str, radii: tuple[float, float], rng: np.random.Generator) -> _Place:
    x, y = _CENTERS[position]
    return x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.05, 0.05), rng.uniform(*radii)


def _draw_backdrop(scene: Scene, side: int, rng: np.random.Generator) -> Image.Image:
    shift = rng.normal(0, 4, 3)
    upper, lower = (_shift(color, shift) for color in backdrop_colors(scene.backdrop, night=scene.night))
    image = Image.new("RGB", (side, side), _rgb(upper))
    pen = ImageDraw.Draw(image)
    horizon = side * rng.uniform(0.52, 0.72)
    if scene.night:
        for x, y in rng.uniform(0, [side, horizon], (24, 2)):
            pen.circle((x, y), side * 0.006, (240, 240, 215))
    if scene.backdrop == "city":
        for left in np.arange(-0.05, 1, 0.16) * side:
            top = horizon - side * rng.uniform(0.12, 0.42)
            pen.rectangle((left, top, left + side * 0.13, horizon), _rgb(darken(mix(upper, lower, 0.5), 0.2)))
    pen.rectangle((0, horizon, side, side), _rgb(lower))
    if scene.backdrop == "desert":
        pen.ellipse((-0.3 * side, horizon - 0.1 * side, 0.7 * side, 1.2 * side), _rgb(darken(lower, 0.1)))
    if scene.backdrop == "sea":
        for x, y in rng.uniform([0, horizon], [side, side], (14, 2)):
            pen.line((x, y, x + side * 0.09, y), _rgb(lighten(lower, 0.4)), round(side * 0.01))
    return image


class _ThingDrawing:
    """One thing, at one place of an image, in the image's style."""

    def __init__(self, image: Image.Image, thing: Thing, style: str, radius: float, rng: np.random.Generator) -> None:
        self._image = image
        self._body = Image.new("L", image.size)  # where the thing's body is, for its texture
        self._pen, self._body_pen = ImageDraw.Draw(image), ImageDraw.Draw(self._body)
        self._thing = thing
        self._style = style
        self._radius = radius
        self._rng = rng
        self._matrix = _pose(rng) * radius / 100
        self._tones = _tones(_shift(COLORS[thing.color], rng.normal(0, 6, 3)))
        self._has_edge = rng.random() < 0.35

    def draw(self, x: float, y: float) -> None:
        """Draw it around a point."""
        for part in KINDS[self._thing.kind]:
            points = part.points @ self._matrix + (x, y)
            match self._style:
                case "outlined":
                    self._outline(part, points, self._radius * 0.07)
                case "sketchy":
                    self._sketch(part, points)
                case _:
                    self._paint(part, points)
        self._add_texture()

    def _outline(self, part: Part, points: Points, width: float) -> None:
        color = _rgb(self._tones["body" if part.tone == "pale" else part.tone])
        path = _flat(points) if part.width else _closed(points)
        self._pen.line(path, color, _at_least_a_pixel(width), joint="curve")

    def _sketch(self, part: Part, points: Points) -> None:
        for _ in range(3):
            wobbly = points + self._rng.normal(0, self._radius * 0.025, points.shape)
            self._outline(part, wobbly, self._radius * 0.035)
        self._fill(self._body_pen, part, points, 255 if part.tone == "body" else 0)

    def _paint(self, part: Part, points: Points) -> None:
        self._fill(self._pen, part, points, _rgb(self._tones[part.tone]))
        self._fill(self._body_pen, part, points, 255 if part.tone == "body" else 0)
        if self._has_edge and part.width is None:
            self._pen.line(_closed(points), _rgb(self._tones["ink"]), _at_least_a_pixel(self._radius * 0.05))

    def _fill(self, pen: ImageDraw.ImageDraw, part: Part, points: Points, color: int | tuple[int, int, int]) -> None:
        if part.width is None:
            pen.polygon(_flat(points), color)
        else:
            pen.line(_flat(points), color, _at_least_a_pixel(part.width * self._radius / 100), joint="curve")

    def _add_texture(self) -> None:
        texture = "hatched" if self._style == "sketchy" else self._thing.texture
        box = self._body.getbbox()  # None for an outline, which has no body
        if texture == "plain" or box is None:
            return
        color = self._tones["body"]
        if texture != "hatched":
            color = darken(color, 0.5) if brightness(color) > 100 else lighten(color, 0.65)
        pattern = _pattern(texture, box, self._radius, self._rng)
        within = np.where(pattern, np.asarray(self._body.crop(box)), 0).astype(np.uint8)
        self._image.paste(_rgb(color), box, Image.fromarray(within))


def _pose(rng: np.random.Generator) -> NDArray[np.float64]:
    """Turn and stretch a little."""
    angle = np.radians(rng.normal(0, 7))
    stretch = rng.uniform(0.88, 1.12)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(np.diag([stretch, 1 / stretch]) @ turn)


def _pattern(
    texture: str, box: tuple[int, int, int, int], radius: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return where the second colour of a texture is, (H, W)."""
    left, top, right, bottom = box
    y, x = np.mgrid[top:bottom, left:right]  # (H, W)
    period = radius * rng.uniform(0.3, 0.4)
    angle = rng.choice([0, np.pi / 4, np.pi / 2, 3 * np.pi / 4])
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    match texture:
        case "striped":
            return np.asarray(along % period < period / 2)
        case "dotted":
            u, v = along % period - period / 2, across % period - period / 2
            return np.asarray(u * u + v * v < (period * 0.3) ** 2)
        case "checked":
            return np.asarray((along % (2 * period) < period) != (across % (2 * period) < period))
        case _:
            return np.asarray(along % (period * 0.5) < period * 0.14)


def _draw_weather(image: Image.Image, weather: str, rng: np.random.Generator) -> None:
    side = image.width
    pen = ImageDraw.Draw(image)
    match weather:
        case "rain":
            for x, y in rng.uniform(-0.1 * side, side, (70, 2)):
                pen.line((x, y, x + side * 0.025, y + side * 0.08), (205, 222, 245), _at_least_a_pixel(side * 0.008))
        case "snow":
            for x, y in rng.uniform(0, side, (70, 2)):
                pen.circle((x, y), side * rng.uniform(0.007, 0.015), (255, 255, 255))
        case "fog":
            fog = Image.new("RGB", image.size, (214, 217, 222))
            image.paste(Image.blend(image, fog, rng.uniform(0.45, 0.6)))


def _finish(image: Image.Image, style: str, rng: np.random.Generator) -> Image.Image:
    match style:
        case "blurred":
            return image.filter(ImageFilter.GaussianBlur(image.width * rng.uniform(0.014, 0.022)))
        case "noisy":
            noise = rng.normal(0, rng.uniform(22, 38), (*image.size, 1))
            return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
        case _:
            return image


def _tones(color: Color) -> dict[Tone, Color]:
    dark, bright = brightness(color) < 60, brightness(color) > 200
    return {
        "body": color,
        "deep": lighten(color, 0.25) if dark else darken(color),
        "pale": darken(color, 0.2) if bright else lighten(color),
        "ink": (215, 215, 220) if dark else (30, 28, 36),
    }


def _at_least_a_pixel(width: float) -> int:
    return max(1, round(width))


def _shift(color: Color, by: NDArray[np.float64]) -> Color:
    red, green, blue = (min(255.0, max(0.0, one + two)) for one, two in zip(color, by, strict=True))
    return red, green, blue


def _rgb(color: Color) -> tuple[int, int, int]:
    return round(color[0]), round(color[1]), round(color[2])


def _flat(points: Points) -> list[float]:
    return list(points.ravel().tolist())


def _closed(points: Points) -> list[float]:
    return _flat(np.concatenate([points, points[:1]]))
