"""The drawn world: the same seed is the same image, everything can be seen, captions say what is there."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops
from tools.world import (
    ATTRIBUTES,
    COLORS,
    KINDS,
    Scene,
    Thing,
    attributes,
    caption,
    describe,
    distinct_scenes,
    draw_scene,
    imagine,
    is_held_out,
    phrase,
)
from tools.world.palette import stands_out
from tools.world.scenes import STYLES, TEXTURES, WEATHERS


def pixels(scene: Scene, size: int = 96) -> NDArray[np.uint8]:
    return np.asarray(draw_scene(scene, size))


def test_a_seed_is_an_image() -> None:
    assert all(np.array_equal(pixels(imagine(seed)), pixels(imagine(seed))) for seed in range(20))
    assert len({pixels(imagine(seed)).tobytes() for seed in range(200)}) == 200


def test_the_world_is_wide() -> None:
    assert len(KINDS) >= 40
    assert len(COLORS) >= 12
    assert len({describe(imagine(seed)) for seed in range(2000)}) > 1900


@pytest.mark.parametrize("size", [1, 17, 96, 300])
def test_an_image_has_the_size_asked_for(size: int) -> None:
    assert draw_scene(imagine(0), size).size == (size, size)


def test_a_scene_looks_alike_at_any_size() -> None:
    scenes = [scene for scene in distinct_scenes(40) if scene.style != "noisy"]  # noise is drawn pixel by pixel
    for scene in scenes:
        small = draw_scene(scene, 240).resize((96, 96), Image.Resampling.BOX)
        assert np.abs(np.asarray(small, dtype=np.int16) - pixels(scene)).mean() < 12


@pytest.mark.parametrize("style", STYLES)
def test_every_kind_can_be_seen_in_every_style(style: str) -> None:
    for kind in KINDS:
        drawn = draw_scene(Scene(thing=Thing(kind, "blue"), size="large"))
        assert (
            differing(drawn, draw_scene(Scene(thing=Thing(kind, "blue"), size="large", style=style))) > 0.02
            or style == "filled"
        )
        assert differing(drawn, Image.new("RGB", drawn.size, drawn.getpixel((1, 1)))) > 0.02


def differing(one: Image.Image, other: Image.Image) -> float:
    return float((np.asarray(ImageChops.difference(one, other)).max(axis=2) > 8).mean())


@pytest.mark.parametrize("name", ["texture", "weather"])
def test_every_value_makes_a_different_image(name: str) -> None:
    if name == "texture":
        scenes = [Scene(thing=Thing("circle", "red", texture)) for texture in TEXTURES]
    else:
        scenes = [Scene(thing=Thing("circle", "red"), backdrop="field", weather=weather) for weather in WEATHERS]
    images = [draw_scene(scene) for scene in scenes]
    assert min(differing(one, two) for i, one in enumerate(images) for two in images[:i]) > 0.02


def test_as_many_things_are_drawn_as_are_counted() -> None:
    areas = [(pixels(Scene(thing=Thing("square", "black"), count=n, seed=n))[:, :, 0] < 100).mean() for n in (2, 3)]
    assert 1.1 < areas[1] / areas[0] < 2.0


def test_a_position_is_where_the_thing_is() -> None:
    x, y = (
        {
            position: center(pixels(Scene(thing=Thing("square", "black"), position=position)))[axis]
            for position in ("left", "right", "top", "bottom")
        }
        for axis in (1, 0)
    )
    assert x["left"] < 40 < 56 < x["right"]
    assert y["top"] < 40 < 56 < y["bottom"]


def center(image: NDArray[np.uint8]) -> list[float]:
    return [float(places.mean()) for places in np.nonzero(image[:, :, 0] < 100)]


def test_held_out_things_are_kept_apart() -> None:
    for held_out in (False, True):
        things = [thing for seed in range(500) for thing in imagine(seed, held_out=held_out).things]
        assert {is_held_out(thing.kind, thing.color) for thing in things} == {held_out}


def test_one_or_two_colors_of_each_kind_are_held_out() -> None:
    by_kind = Counter(kind for kind in KINDS for color in COLORS if is_held_out(kind, color))
    by_color = Counter(color for kind in KINDS for color in COLORS if is_held_out(kind, color))
    assert (set(KINDS), {1, 2}) == (set(by_kind), set(by_kind.values()))
    assert set(COLORS) == set(by_color)


def test_things_stand_out() -> None:
    for seed in range(300):
        scene = imagine(seed)
        assert all(stands_out(thing.color, scene.backdrop, night=scene.night) for thing in scene.things)


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        (Scene(thing=Thing("cat", "red")), "a red cat in the middle on a white background"),
        (
            Scene(thing=Thing("apple", "orange", "striped"), size="large", style="outlined"),
            "an outline drawing of a large striped orange apple on a white background",
        ),
        (
            Scene(thing=Thing("leaf", "green"), count=3, backdrop="sea", night=True, weather="fog"),
            "three green leaves at sea at night in the fog",
        ),
        (
            Scene(thing=Thing("sun", "yellow"), other=Thing("glasses", "pink"), relation="above", backdrop="field"),
            "a yellow sun above pink glasses in a field",
        ),
    ],
    ids=["one thing", "style and texture", "several", "two kinds"],
)
def test_a_description_says_everything(scene: Scene, expected: str) -> None:
    assert expected == describe(scene)


def test_captions_vary() -> None:
    rng = np.random.default_rng(0)
    assert len({caption(imagine(3), rng) for _ in range(40)}) > 20


def test_a_caption_names_the_kind_and_no_other_color() -> None:
    rng = np.random.default_rng(0)
    scene = Scene(thing=Thing("star", "red", "striped"), count=4)
    for _ in range(100):
        words = set(caption(scene, rng).replace(",", "").split())
        assert "stars" in words
        assert words & set(COLORS) <= {"red", "white"}  # white is its backdrop


def test_distinct_scenes_are_described_apart() -> None:
    scenes = distinct_scenes(400, held_out=True)
    assert len({describe(scene) for scene in scenes}) == len(scenes) == 400


def test_what_two_things_do_not_share_has_no_name() -> None:
    scene = Scene(thing=Thing("sun", "red"), other=Thing("cat", "blue"), relation="above", backdrop="sea")
    assert attributes(scene) == {"backdrop": "sea"}


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        ("kind", "umbrella", "an umbrella"),
        ("color", "red", "something red"),
        ("texture", "dotted", "something dotted"),
        ("count", "a", "one thing"),
        ("count", "five", "five things"),
        ("position", "top", "at the top"),
        ("style", "sketchy", "sketch of something"),
        ("backdrop", "lilac", "on a lilac background"),
        ("backdrop", "desert", "in the desert"),
        ("weather", "snow", "in the snow"),
    ],
)
def test_a_phrase_names_one_attribute(attribute: str, value: str, expected: str) -> None:
    assert expected == phrase(attribute, value)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_every_attribute_comes_up(name: str) -> None:
    seen = {attributes(imagine(seed)).get(name) for seed in range(1000)}
    assert set(ATTRIBUTES[name]) <= seen
