"""A seed -> a scene of the drawn world: what is in it, in words of our own, and nothing of how it looks.

One in eight pairs of kind and colour is held out: `imagine` never puts such a thing into an image unless asked to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tools.world.kinds import KINDS
from tools.world.palette import BACKDROPS, COLORS, OUTDOORS, stands_out

TEXTURES: Final = ("plain", "striped", "dotted", "checked")
STYLES: Final = ("filled", "outlined", "sketchy", "blurred", "noisy")
SIZES: Final = ("small", "medium", "large")
POSITIONS: Final = ("center", "left", "right", "top", "bottom")
RELATIONS: Final = ("left of", "right of", "above", "below")
WEATHERS: Final = ("dry", "rain", "snow", "fog")
MAX_COUNT: Final = 5


@dataclass(frozen=True, slots=True)
class Thing:
    """What a drawn thing is, its colour and its texture."""

    kind: str
    color: str
    texture: str = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an image shows.

    Parameters
    ----------
    thing, count
        What is drawn, and how often.
    size, position
        How large and where it is; "medium" and "center" where there are several things.
    other, relation
        A second thing, and where the first is as seen from it.
    backdrop, night, weather, style
        What it is drawn on, and how.
    seed
        What words don't tell: places, angles and shades.
    """

    thing: Thing
    count: int = 1
    size: str = "medium"
    position: str = "center"
    other: Thing | None = None
    relation: str | None = None
    backdrop: str = "white"
    night: bool = False
    weather: str = "dry"
    style: str = "filled"
    seed: int = 0

    @property
    def things(self) -> tuple[Thing, ...]:
        """The one or two things that it shows."""
        return (self.thing,) if self.other is None else (self.thing, self.other)


def is_held_out(kind: str, color: str) -> bool:
    """Tell whether things of this kind and colour are kept from training: one or two colours of each kind."""
    return (5 * list(KINDS).index(kind) + 7 * list(COLORS).index(color)) % 8 == 3


def imagine(seed: int, *, held_out: bool = False) -> Scene:
    """Make up a scene; with `held_out` each thing in it is of a pair kept from training, else none is."""
    rng = np.random.default_rng([seed, held_out])
    style = _pick(rng, STYLES, (0.56, 0.11, 0.11, 0.11, 0.11))
    backdrop = _pick(rng, tuple(BACKDROPS))
    night = backdrop in OUTDOORS and rng.random() < 0.3
    thing = _thing(rng, backdrop, style, night=night, held_out=held_out)
    scene = Scene(thing=thing, backdrop=backdrop, night=night, style=style, seed=seed)
    scene = _arrange(scene, rng, held_out=held_out)
    return replace(scene, weather=_pick(rng, WEATHERS, (0.55, 0.15, 0.15, 0.15))) if backdrop in OUTDOORS else scene


def _arrange(scene: Scene, rng: np.random.Generator, *, held_out: bool) -> Scene:
    """Let it show its thing once, several times, or beside another thing."""
    layout = rng.random()
    if layout < 0.55:
        size = _pick(rng, SIZES, (0.25, 0.35, 0.4))
        return replace(scene, size=size, position="center" if size == "large" else _pick(rng, POSITIONS))
    if layout < 0.8:
        return replace(scene, count=int(rng.integers(2, MAX_COUNT + 1)))
    other = _thing(rng, scene.backdrop, scene.style, night=scene.night, held_out=held_out)
    if other.kind == scene.thing.kind:
        return scene
    return replace(scene, other=other, relation=_pick(rng, RELATIONS))


def _thing(rng: np.random.Generator, backdrop: str, style: str, *, night: bool, held_out: bool) -> Thing:
    kinds, colors = tuple(KINDS), tuple(COLORS)
    while True:
        kind, color = _pick(rng, kinds), _pick(rng, colors)
        if is_held_out(kind, color) == held_out and stands_out(color, backdrop, night=night):
            break
    lines_only = style in {"outlined", "sketchy"}
    return Thing(kind, color, "plain" if lines_only else _pick(rng, TEXTURES, (0.46, 0.18, 0.18, 0.18)))


def _pick(rng: np.random.Generator, choices: tuple[str, ...], weights: tuple[float, ...] | None = None) -> str:
    return choices[int(rng.choice(len(choices), p=weights))]
