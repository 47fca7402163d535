"""A small world to draw: images of some fifty kinds of thing, and captions that say what is in them.

In: a seed. Out: a `Scene`, its image and its captions. The demo model was trained on it, and tests and the demo
search in it.
"""

from tools.world.captions import ATTRIBUTES, attributes, caption, describe, distinct_scenes, phrase
from tools.world.drawing import draw_scene
from tools.world.kinds import KINDS
from tools.world.palette import BACKDROPS, COLORS
from tools.world.scenes import Scene, Thing, imagine, is_held_out

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
