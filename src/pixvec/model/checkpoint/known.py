"""Models that are known to work, with what one wants to know before fetching one.

Sizes are those of the weights in fp32. Names, licences and what they were trained on are from the models' cards on the
Hugging Face hub; OpenAI's are licensed in the repository of its code. Any other CLIP in the same format works too.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model.

    Parameters
    ----------
    name
        The id of its repository, or ``demo``.
    dim
        How many numbers a vector has.
    image_size
        The side of what it sees of an image, in pixels.
    megabytes
        Of the weights, as they are fetched.
    licence, trained_on
        In a word or two.
    """

    name: str
    dim: int
    image_size: int
    megabytes: int
    licence: str
    trained_on: str


_WEB: Final = "400 M pairs from the web"
_LAION: Final = "LAION-2B"
_DATACOMP: Final = "DataComp-1B"
_ALIKE: Final = 0.85
"""A typo or two; another member of a family is not meant."""
_ALIKE_UNOWNED: Final = 0.7
"""Hardly any model of the hub has a name without its owner."""

KNOWN_MODELS: Final = (
    KnownModel("openai/clip-vit-base-patch32", 512, 224, 605, "MIT", _WEB),
    KnownModel("openai/clip-vit-base-patch16", 512, 224, 598, "MIT", _WEB),
    KnownModel("openai/clip-vit-large-patch14", 768, 224, 1710, "MIT", _WEB),
    KnownModel("openai/clip-vit-large-patch14-336", 768, 336, 1712, "MIT", _WEB),
    KnownModel("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", 512, 224, 605, "MIT", _LAION),
    KnownModel("laion/CLIP-ViT-B-16-laion2B-s34B-b88K", 512, 224, 598, "MIT", _LAION),
    KnownModel("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", 768, 224, 1710, "MIT", _LAION),
    KnownModel("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", 1024, 224, 3944, "MIT", _LAION),
    KnownModel("laion/CLIP-ViT-g-14-laion2B-s12B-b42K", 1024, 224, 5467, "MIT", _LAION),
    KnownModel("laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", 1280, 224, 10158, "MIT", _LAION),
    KnownModel("laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K", 512, 224, 605, "MIT", _DATACOMP),
    KnownModel("laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", 512, 224, 598, "MIT", _DATACOMP),
    KnownModel("laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", 768, 224, 1710, "MIT", _DATACOMP),
    KnownModel("demo", 128, 96, 6, "Apache-2.0", "drawings; comes with pixvec"),
)
"""By family, the small before the large."""


def meant_model(name: str) -> str:
    """Give the hint about the known model that a name is nearly, with its owner or without; empty where none is."""
    owned = {_bare(known.name): known.name for known in KNOWN_MODELS}
    cutoff = _ALIKE if "/" in name else _ALIKE_UNOWNED
    near = get_close_matches(_bare(name.partition("@")[0]), owned, n=1, cutoff=cutoff)
    return f"; did you mean {owned[near[0]]!r}?" if near and owned[near[0]] != name else ""


def _bare(name: str) -> str:
    return name.rpartition("/")[2].casefold()
