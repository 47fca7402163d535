"""A small world to draw: pictures of some fifty kinds of thing, and captions that say what is in them.

In: a seed. Out: a `Scene`, its picture and its captions. The demo model was trained on it, and tests and the demo
search in it.
"""

from pixvec.testing.world.captions import ATTRIBUTES, attributes, caption, describe, distinct_scenes, phrase
from pixvec.testing.world.drawing import draw_scene
from pixvec.testing.world.kinds import KINDS
from pixvec.testing.world.palette import BACKDROPS, COLORS
from pixvec.testing.world.scenes import Scene, Thing, imagine, is_held_out

__all__ = [
    "ATTRIBUTES",
    "BACKDROPS",
    "COLORS",
    "KINDS",
    "Scene",
    "Thing",
    "attributes",
    "caption",
    "describe",
    "distinct_scenes",
    "draw_scene",
    "imagine",
    "is_held_out",
    "phrase",
]
