"""What the steps of one run share: its options, the models they have loaded, and whom they tell how it goes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

from pixvec.model import ClipModel, ModelOptions
from pixvec.options import option
from pixvec.pipeline.progress import telling_progress
from pixvec.pipeline.report import OnProgress, Report
from pixvec.pipeline.settings import Settings
from pixvec.run import FailureOptions
from pixvec.tables import ReadOptions

Tell: TypeAlias = Callable[[str], None]
"""Takes a line for people."""

MAX_LINKS: Final = 200_000_000
"""As many as thirteen million rows have by default, which take 2.4 GB; `pixvec link` makes more."""
_LOGGER: Final = logging.getLogger("pixvec")


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(Settings, ReadOptions, FailureOptions, group="runs"):
    """How a recipe is run. What decides vectors holds for steps that don't say it themselves."""

    restart: bool = option(False, "replace an output that exists, once the new one is whole")
    quiet: bool = option(False, "no progress and no summary")
    progress: bool | OnProgress | None = None
    output: str | os.PathLike[str] | None = None
    tell: Tell | None = None


class StepContext:
    """One run of a recipe.

    Parameters
    ----------
    options
        What the run may reach and cost, and what its steps leave open.

    Attributes
    ----------
    reports
        What each step that embeds came to.
    links_left
        How many links its steps may still make.
    """

    def __init__(self, options: RecipeOptions) -> None:
        self.options = options
        self.reports: list[Report] = []
        self.links_left = MAX_LINKS
        self._models: dict[object, ClipModel] = {}

    def model(self, settings: Settings) -> ClipModel:
        """Load a model, each only once.

        Raises
        ------
        ModelError
            When it cannot be found or read.
        """
        key = tuple(getattr(settings, field.name) for field in fields(ModelOptions))
        if key not in self._models:
            self._models[key] = ClipModel.load(settings)
        return self._models[key]

    def tell(self, line: str) -> None:
        """Tell a line to whoever runs the recipe: on the terminal, or in the log."""
        if not self.options.quiet:
            (self.options.tell or _LOGGER.info)(line)

    @contextmanager
    def telling_progress(self, expected: Callable[[], int | None] | None = None) -> Iterator[OnProgress | None]:
        """Give what a step tells its report to."""
        wanted = False if self.options.quiet else self.options.progress
        with telling_progress(wanted, expected) as on_progress:
            yield on_progress
