"""The bytes of strangers' pictures -> crops, so that no picture costs more than its row.

In: bodies, from any number of threads. Out: crops and the facts about their pictures. Decoders are written in C, and a
picture may be made to crash them: they run in processes of their own, one picture at a time in each, so that it is
known which picture a process was lost to. It must not know what a crop is for.
"""

from __future__ import annotations

import logging
import math
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np

from pixvec.checkpoint import ProcessorConfig
from pixvec.cropping import Cropper, CropPlan
from pixvec.decode import DecodeOptions, Header, decoded_formats
from pixvec.decode_worker import pack_plan
from pixvec.errors import ImageError, UsageError
from pixvec.isolation.budget import PixelBudget
from pixvec.isolation.pool import KeptWorkers, Workers
from pixvec.isolation.worker import WORKER, Worker, WorkerLostError, WorkerStartError
from pixvec.values import Crop, ImageFacts

__all__ = ["CropMaker", "KeptWorkers"]

_LOGGER = logging.getLogger("pixvec")


class CropMaker:
    """Makes crops of pictures, in any number of threads; the pictures being decoded share a budget of pixels.

    Parameters
    ----------
    options
        The policy, the limits, and whether decoding is isolated.
    processor
        What a crop is; its `output_size` is known.
    min_side
        As of `decode.Picture`.
    thumbnail
        As of `cropping.CropPlan`.
    kept
        Workers of earlier makers with the same options, to begin with; those that are idle at the end go there.
    program
        The interpreter's arguments that start a worker.
    """

    def __init__(
        self,
        options: DecodeOptions,
        processor: ProcessorConfig,
        *,
        min_side: int | None = None,
        thumbnail: int | None = None,
        kept: KeptWorkers | None = None,
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
        self._here, self._workers = _Here(self._plan), Workers(self._start_worker, kept)
        self._croppers: _Croppers = self._here if options.isolate == "never" else self._workers

    def start(self) -> None:
        """Start a first worker ahead of the first picture.

        Raises
        ------
        UsageError
            Isolation is demanded, and no worker can be started.
        """
        try:
            match self._options.isolate:
                case "always":
                    with self._workers.lend():
                        pass
                case "auto":
                    self._workers.start_ahead()
        except WorkerStartError as error:
            self._do_without(error)

    def crop(self, body: bytes, *, sha256: bytes) -> tuple[Crop, ImageFacts]:
        """Decode a picture and crop it, and tell what it is; with its thumbnail, where one is asked for.

        Parameters
        ----------
        body
            The bytes of a file.
        sha256
            Their hash, for the facts.

        Returns
        -------
        tuple
            The crop, (S, S, 3), and the facts.

        Raises
        ------
        ImageError
            The bytes hold no picture that can be decoded within the limits.
        UsageError
            Isolation is demanded, and no worker can be started.
        """
        header, answer = self._twice_at_most(body)
        n_pixel_bytes = math.prod(self._shape)
        thumbnail = answer[n_pixel_bytes:] or None
        facts = ImageFacts(
            sha256, header.format, header.width, header.height, header.frames, len(body), thumbnail=thumbnail
        )
        return np.frombuffer(answer, np.uint8, n_pixel_bytes).reshape(self._shape), facts  # (S, S, 3)

    def close(self) -> None:
        """End the workers that are not kept; pictures that are being decoded are given up."""
        self._workers.close()

    def _twice_at_most(self, body: bytes) -> tuple[Header, bytes]:
        """Try a picture again whose worker was lost: it may have been ended by somebody else, for want of memory."""
        lost: WorkerLostError | None = None
        while True:
            try:
                return self._once(body)
            except WorkerStartError as error:
                if lost:  # a picture that may have crashed its decoder is not for this process
                    raise ImageError("decoder_crash", str(lost)) from None
                self._do_without(error)
            except WorkerLostError as error:
                if lost or error.is_the_picture:
                    raise ImageError("decoder_crash", str(error)) from None
                lost = error

    def _once(self, body: bytes) -> tuple[Header, bytes]:
        with self._croppers.lend() as cropper:
            with self._budget.hold(len(body)):  # text and profiles beside the pixels take up to 5 bytes for each
                header = cropper.open(body)
            with self._budget.hold(header.n_pixels + len(body)):
                return header, cropper.crop()

    def _start_worker(self) -> Worker:
        options = self._options
        plan = pack_plan(self._plan, max_cpu_s=options.max_decode_cpu_s, max_bytes=options.max_decode_bytes)
        return Worker(
            plan,
            n_crop_bytes=math.prod(self._shape),
            thumbnail=self._plan.thumbnail,
            max_s=options.max_decode_s,
            program=self._program,
        )

    def _do_without(self, error: WorkerStartError) -> None:
        if self._options.isolate == "always":
            raise UsageError(f"`isolate='always'`, and no decode worker can be started: {error}") from None
        if self._croppers is self._workers:
            _LOGGER.warning("decoding in this process, since no decode worker can be started: %s", error)
            self._croppers = self._here


class _Lent(Protocol):
    """A `Cropper`, or a worker that has one."""

    def open(self, body: bytes) -> Header: ...

    def crop(self) -> bytes: ...


class _Croppers(Protocol):
    def lend(self) -> AbstractContextManager[_Lent]: ...


class _Here:
    """Croppers in this process."""

    def __init__(self, plan: CropPlan) -> None:
        self._plan = plan

    def lend(self) -> AbstractContextManager[Cropper]:
        return nullcontext(Cropper(self._plan))
