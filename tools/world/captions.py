"""A scene -> a caption, as people write them: with synonyms, in several orders, and with parts left out.

`describe` says all there is; `caption` says it as somebody might; `phrase` names one thing about an image.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final

import numpy as np

from tools.world.kinds import KINDS
from tools.world.palette import BACKDROPS, COLORS
from tools.world.scenes import POSITIONS, STYLES, TEXTURES, WEATHERS, Scene, Thing, imagine

_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "circle": ("disc", "round shape"),
    "cross": ("plus sign",),
    "diamond": ("gem", "jewel"),
    "house": ("home", "hut"),
    "fir": ("fir tree", "pine tree", "christmas tree"),
    "boat": ("sailing boat", "ship"),
    "car": ("automobile",),
    "face": ("smiley", "smiling face"),
    "flower": ("blossom",),
    "cat": ("kitten", "cat's head"),
    "cup": ("mug", "coffee cup"),
    "umbrella": ("parasol",),
    "moon": ("crescent moon", "crescent"),
    "mountain": ("peak",),
    "bicycle": ("bike",),
    "train": ("locomotive", "steam train"),
    "book": ("open book",),
    "clock": ("wall clock",),
    "mushroom": ("toadstool",),
    "rocket": ("spaceship",),
    "glasses": ("pair of glasses", "spectacles"),
    "hat": ("top hat",),
    "envelope": ("letter",),
    "plane": ("airplane", "aeroplane"),
    "lamp": ("table lamp",),
    "shirt": ("t-shirt",),
    "balloon": ("toy balloon",),
    "grey": ("gray",),
    "turquoise": ("cyan", "teal"),
    "purple": ("violet",),
    "striped": ("stripy", "with stripes"),
    "dotted": ("spotted", "polka dot", "with dots"),
    "checked": ("chequered", "checkered"),
    "small": ("little", "tiny"),
    "large": ("big", "huge"),
    "outlined": ("outline drawing of", "line drawing of", "outline of"),
    "sketchy": ("sketch of", "pencil sketch of", "rough sketch of"),
    "blurred": ("blurred image of", "blurry image of", "out of focus image of"),
    "noisy": ("noisy image of", "grainy image of", "grainy photo of"),
    "filled": ("image of", "drawing of", "image of", "illustration of", "photo of"),
    "center": ("in the middle", "in the center", "in the centre"),
    "left": ("on the left", "at the left", "on the left side"),
    "right": ("on the right", "at the right", "on the right side"),
    "top": ("at the top", "near the top"),
    "bottom": ("at the bottom", "near the bottom"),
    "left of": ("to the left of", "left of"),
    "right of": ("to the right of", "right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
    "room": ("in a room", "indoors", "inside a room"),
    "field": ("in a field", "in a meadow", "on green grass"),
    "beach": ("on the beach", "on a sandy beach"),
    "sea": ("at sea", "on the water", "by the sea"),
    "city": ("in the city", "in a town", "before a skyline"),
    "desert": ("in the desert", "among sand dunes"),
    "rain": ("in the rain", "while it rains", "on a rainy day"),
    "snow": ("in the snow", "in falling snow", "while it snows"),
    "fog": ("in the fog", "in fog", "in the mist"),
    "night": ("at night", "by night", "under the stars"),
    "day": ("by day", "in daylight"),
}
_NUMBERS: Final = ("", "a", "two", "three", "four", "five")
_PLURALS: Final = {
    "glasses": "glasses",
    "pair of glasses": "pairs of glasses",
    "spectacles": "spectacles",
    "leaf": "leaves",
    "cat's head": "cats' heads",
    "cactus": "cacti",
    "cross": "crosses",
    "ice cream": "ice creams",
}

ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": tuple(KINDS),
    "color": tuple(COLORS),
    "count": _NUMBERS[1:],
    "texture": TEXTURES[1:],
    "position": POSITIONS,
    "style": STYLES[1:],
    "backdrop": tuple(BACKDROPS),
    "weather": WEATHERS[1:],
}
"""What `phrase` can name, attribute by attribute."""


def attributes(scene: Scene) -> dict[str, str]:
    """Return the attributes of a scene that have one value that can be named; with two things, fewer have."""
    values = {"style": scene.style, "backdrop": scene.backdrop, "weather": scene.weather}
    if scene.other is None:
        thing = scene.thing
        values |= {"kind": thing.kind, "color": thing.color, "texture": thing.texture}
        values["count"] = _NUMBERS[scene.count]
        if scene.count == 1 and scene.size != "large":
            values["position"] = scene.position
    return {name: value for name, value in values.items() if value in ATTRIBUTES[name]}


def phrase(attribute: str, value: str, rng: np.random.Generator | None = None) -> str:
    """Name one attribute of an image: "a cat", "something red", "two things", "in the rain"."""
    speaker = _Speaker(rng)
    match attribute:
        case "kind":
            return speaker.kind(value)
        case "color" | "texture":
            return f"something {speaker.word(value, or_itself=True)}"
        case "count":
            return "one thing" if value == "a" else f"{value} things"
        case "style":
            return f"{speaker.word(value)} something"
        case "backdrop":
            return speaker.backdrop(value)
        case _:
            return speaker.word(value)


def describe(scene: Scene) -> str:
    """Say everything about a scene, always in the same words."""
    return _Speaker(None).say(scene)


def distinct_scenes(n: int, *, first_seed: int = 0, held_out: bool = False) -> list[Scene]:
    """Make up `n` scenes of which `describe` says no two in the same words."""
    scenes: dict[str, Scene] = {}
    for seed in itertools.count(first_seed):
        scene = imagine(seed, held_out=held_out)
        scenes.setdefault(describe(scene), scene)
        if len(scenes) == n:
            break
    return list(scenes.values())


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Say what somebody might say about a scene."""
    return _Speaker(rng).say(scene)


class _Speaker:
    """Says things: with a generator in varied words and leaving things out, without one always in the same words."""

    def __init__(self, rng: np.random.Generator | None) -> None:
        self._rng = rng

    def say(self, scene: Scene) -> str:
        subject = self._things(scene.thing, scene.count, scene.size)
        if scene.other is not None and scene.relation is not None:
            subject = f"{subject} {self.word(scene.relation)} {self._things(scene.other, 1, 'medium')}"
        said = [f"{self._style(scene.style)}{subject}", *self._circumstances(scene)]
        return ", ".join(said) if self._chance(0.3, otherwise=False) else " ".join(said)

    def kind(self, kind: str) -> str:
        noun = self.word(kind, or_itself=True)
        return " ".join([*self._article(1, [noun]), noun])

    def backdrop(self, backdrop: str) -> str:
        if backdrop in _SYNONYMS:
            return self.word(backdrop)
        return self._pick(
            (f"on a {backdrop} background", f"on {backdrop}", f"against {backdrop}", f"{backdrop} background")
        )

    def word(self, key: str, *, or_itself: bool = False) -> str:
        """Pick a word for a value; where the value is itself a word, mostly that."""
        words = _SYNONYMS.get(key, ())
        if or_itself and (self._rng is None or self._rng.random() < 0.6 or not words):
            return key
        return self._pick(words)

    def _circumstances(self, scene: Scene) -> list[str]:
        said = []
        if scene.count == 1 and scene.other is None and scene.size != "large" and self._chance(0.5):
            said.append(self.word(scene.position))
        if self._chance(0.5):
            said.append(self.backdrop(scene.backdrop))
        if scene.night and self._chance(0.7):
            said.append(self.word("night"))
        if scene.weather != "dry" and self._chance(0.75):
            said.append(self.word(scene.weather))
        if self._rng is not None:
            self._rng.shuffle(said)
        return said

    def _things(self, thing: Thing, count: int, size: str) -> str:
        before: list[str] = []
        after: list[str] = []
        if size != "medium" and self._chance(0.65):
            before.append(self.word(size, or_itself=True))
        if thing.texture != "plain" and self._chance(0.8):
            texture = self.word(thing.texture, or_itself=True)
            (after if texture.startswith("with") else before).append(texture)
        if self._chance(0.88):
            before.append(self.word(thing.color, or_itself=True))
        kind = self.word(thing.kind, or_itself=True)
        noun = kind if count == 1 else _PLURALS.get(kind, f"{kind}s")
        return " ".join([*self._article(count, [*before, noun]), *before, noun, *after])

    def _article(self, count: int, following: list[str]) -> list[str]:
        if count > 1:
            return [str(count) if self._chance(0.15, otherwise=False) else _NUMBERS[count]]
        if following[-1] in {"glasses", "spectacles"} or self._chance(0.25, otherwise=False):
            return []
        return ["an" if following[0][0] in "aeiou" else "a"]

    def _style(self, style: str) -> str:
        if not self._chance(0.3 if style == "filled" else 0.75, otherwise=style != "filled"):
            return ""
        named = self.word(style)
        return f"{'an' if named[0] in 'aeiou' else 'a'} {named} " if self._chance(0.6) else f"{named} "

    def _pick(self, words: tuple[str, ...]) -> str:
        return words[0 if self._rng is None else int(self._rng.integers(len(words)))]

    def _chance(self, probability: float, *, otherwise: bool = True) -> bool:
        """Toss a coin; without a generator it lies as `otherwise` says."""
        return otherwise if self._rng is None else bool(self._rng.random() < probability)
