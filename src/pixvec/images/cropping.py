"""The bytes of an image -> its crop, in two steps: between them, what the image costs is known and nothing is spent.

In: one body after another. Out: what its header says, then its crop.
"""

from __future__ import annotations

from dataclasses import dataclass

from pixvec.images.decode import Header, OpenedImage, Policy
from pixvec.images.preprocess import crop_image
from pixvec.images.thumbnail import webp_thumbnail


@dataclass(frozen=True, slots=True)
class CropPlan:
    """What all images of a call have in common; each field is as `OpenedImage` or `preprocess.CropSteps` has it."""

    policy: Policy
    formats: frozenset[str]
    max_pixels: int
    min_side: int | None
    resize: int | tuple[int, int] | None
    resample: int
    center_crop: tuple[int, int] | None
    thumbnail: int | None = None
    """The longer side, in pixels, of the thumbnail that is made too; None makes none."""


class Cropper:
    """Crops one image at a time: `open`, then `crop`."""

    def __init__(self, plan: CropPlan) -> None:
        self._plan = plan
        self._opened: OpenedImage | None = None

    def open(self, body: bytes) -> Header:
        """Read an image's header.

        Raises
        ------
        ImageError
            The bytes hold no image that can be decoded within the limits.
        """
        plan = self._plan
        self._opened = OpenedImage(
            body, policy=plan.policy, formats=plan.formats, max_pixels=plan.max_pixels, min_side=plan.min_side
        )
        return self._opened.header

    def crop(self) -> bytes:
        """Decode the image that was opened and crop it: its S * S * 3 bytes of sRGB, row by row.

        Where the plan asks for a thumbnail, that follows, made of the same pixels.

        Raises
        ------
        ImageError
            The bytes hold no whole image, or the decoder ran out of memory.
        """
        if self._opened is None:
            raise RuntimeError("no image was opened")
        opened, self._opened = self._opened, None
        decoded = opened.decode()
        pixels = crop_image(decoded.image, self._plan, size=decoded.size, box=decoded.box).tobytes()
        return pixels if self._plan.thumbnail is None else pixels + webp_thumbnail(decoded, self._plan.thumbnail)
