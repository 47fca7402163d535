"""The bytes of strangers' images -> crops, so that no image costs more than its row.

In: bodies, from any number of threads. Out: crops and the facts about their images. Decoders are written in C, and a
image may be made to crash them: they run in processes of their own, one image at a time in each, so that it is
known which image a process was lost to.
"""

from __future__ import annotations

import logging
import math
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final, Protocol

import numpy as np

from pixvec.errors import ImageError, RunError, UsageError
from pixvec.images.cropping import Cropper, CropPlan
from pixvec.images.decode import DecodeOptions, Header, decoded_formats
from pixvec.images.workers.budget import PixelBudget
from pixvec.images.workers.pool import Workers
from pixvec.images.workers.worker import WORKER, Worker, WorkerLostError, WorkerStartError
from pixvec.model.checkpoint import ProcessorConfig
from pixvec.values import Crop, ImageFacts

__all__ = ["CropMaker"]

_LOGGER = logging.getLogger("pixvec")


class CropMaker:
    """Makes crops of images, in any number of threads; the images being decoded share a budget of pixels.

    Parameters
    ----------
    options
        The policy, the limits, and whether decoding is isolated.
    processor
        What a crop is; its `output_size` is known.
    min_side
        As of `decode.OpenedImage`.
    thumbnail
        As of `cropping.CropPlan`.
    program
        The interpreter's arguments that start a worker.

    Attributes
    ----------
    lacks
        The layers of the workers' sandbox that this system lacks; "workers" where it has none of them. Grows.
    """

    def __init__(
        self,
        options: DecodeOptions,
        processor: ProcessorConfig,
        *,
        min_side: int | None = None,
        thumbnail: int | None = None,
        program: tuple[str, ...] = WORKER,
    ) -> None:
        height, width = processor.output_size or (0, 0)
        self._shape = height, width, 3
        self._options = options
        self._program = program
        self._budget = PixelBudget(options.max_pixels_in_flight)
        self._plan = CropPlan(
            policy=options.decode,
            formats=decoded_formats(options.formats),
            max_pixels=options.max_pixels,
            min_side=min_side,
            resize=processor.resize,
            resample=processor.resample,
            center_crop=processor.center_crop,
            thumbnail=thumbnail,
        )
        self.lacks: set[str] = set()
        self._workers = Workers(self._start_worker, max_wait_s=options.max_worker_wait_s)
        self._croppers: _Croppers = _Here(self._plan) if options.isolate == "never" else self._workers
        self._is_decided = options.isolate == "never"
        self._deciding = threading.Lock()

    def start(self) -> None:
        """Start a first worker ahead of the first image.

        Raises
        ------
        UsageError
            Isolation is demanded, and no worker can be started.
        """
        if self._is_decided:
            return
        with suppress(WorkerStartError):
            self._workers.start_ahead()
            if self._options.isolate == "auto":
                return
        self._decide()

    def crop(self, body: bytes, *, sha256: bytes, where: str = "") -> tuple[Crop, ImageFacts]:
        """Decode an image and crop it, and tell what it is; with its thumbnail, where one is asked for.

        Parameters
        ----------
        body
            The bytes of a file.
        sha256
            Their hash, for the facts.
        where
            Where they come from: pixels are shared between the places.

        Returns
        -------
        tuple
            The crop, (S, S, 3), and the facts.

        Raises
        ------
        ImageError
            The bytes hold no image that can be decoded within the limits.
        UsageError
            Isolation is demanded, and no worker can be started.
        RunError
            A worker is needed, and none can be started any more.
        """
        self._decide()
        header, answer = self._twice_at_most(body, where)
        n_pixel_bytes = math.prod(self._shape)
        thumbnail = answer[n_pixel_bytes:] or None
        facts = ImageFacts(
            sha256, header.format, header.width, header.height, header.frames, len(body), thumbnail=thumbnail
        )
        return np.frombuffer(answer, np.uint8, n_pixel_bytes).reshape(self._shape), facts  # (S, S, 3)

    def close(self) -> None:
        """End the workers; images that are being decoded are given up."""
        self._workers.close()

    def _twice_at_most(self, body: bytes, where: str) -> tuple[Header, bytes]:
        """Try an image again whose worker was lost: it may have been ended by somebody else, for want of memory."""
        lost: WorkerLostError | None = None
        while True:
            try:
                return self._once(body, where)
            except WorkerStartError as error:
                raise RunError(f"no decode worker can be started any more: {error}") from None
            except WorkerLostError as error:
                if lost or error.is_the_image:
                    raise ImageError("decoder_crash", str(error)) from None
                lost = error

    def _once(self, body: bytes, where: str) -> tuple[Header, bytes]:
        with self._croppers.lend() as cropper:
            self._note(cropper.lacks)
            with self._budget.hold(len(body), where):  # text and profiles beside the pixels take up to 5 bytes for each
                header = cropper.open(body)
            with self._budget.hold(header.n_pixels + len(body), where):
                return header, cropper.crop()

    def _note(self, lacks: frozenset[str]) -> None:
        if lacks - self.lacks:
            self.lacks |= lacks
            _LOGGER.debug("decoding has to do without: %s", ", ".join(sorted(lacks)))

    def _start_worker(self) -> Worker:
        n_crop_bytes = math.prod(self._shape)
        return Worker(self._plan, n_crop_bytes=n_crop_bytes, options=self._options, program=self._program)

    def _decide(self) -> None:
        """Find out with the first worker whether workers can be had; what happens to later ones changes nothing."""
        if self._is_decided:
            return
        with self._deciding:
            if not self._is_decided and not self._workers.were_had:
                try:
                    with self._workers.lend():
                        pass
                except WorkerStartError as error:
                    self._do_without(error)
            self._is_decided = True

    def _do_without(self, error: WorkerStartError) -> None:
        if self._options.isolate == "always":
            raise UsageError(f"`isolate='always'`, and no decode worker can be started: {error}") from None
        _LOGGER.warning("decoding in this process, since no decode worker can be started: %s", error)
        self._croppers = _Here(self._plan)


class _Lent(Protocol):
    """A worker, or what does without."""

    @property
    def lacks(self) -> frozenset[str]: ...

    def open(self, body: bytes) -> Header: ...

    def crop(self) -> bytes: ...


class _Croppers(Protocol):
    def lend(self) -> AbstractContextManager[_Lent]: ...


class _CropperHere(Cropper):
    lacks: Final = frozenset({"workers"})


class _Here:
    """Croppers in this process."""

    def __init__(self, plan: CropPlan) -> None:
        self._plan = plan

    def lend(self) -> AbstractContextManager[_CropperHere]:
        return nullcontext(_CropperHere(self._plan))
