"""pixvec turns a column of image URLs into a column of CLIP vectors."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from pixvec.api import embed_file as embed_file
    from pixvec.api import embed_images as embed_images
    from pixvec.api import embed_table as embed_table
    from pixvec.api import embed_texts as embed_texts
    from pixvec.embedder import Embedder as Embedder
    from pixvec.embedder import Embeddings as Embeddings
    from pixvec.errors import MissingExtraError as MissingExtraError
    from pixvec.errors import ModelError as ModelError
    from pixvec.errors import PixvecError as PixvecError
    from pixvec.errors import PixvecWarning as PixvecWarning
    from pixvec.errors import RowError as RowError
    from pixvec.errors import RunError as RunError
    from pixvec.errors import UsageError as UsageError
    from pixvec.pipeline.report import BugsMetError as BugsMetError
    from pixvec.pipeline.report import Report as Report
    from pixvec.pipeline.report import TooManyFailedError as TooManyFailedError
    from pixvec.recipe import run_recipe as run_recipe
    from pixvec.reports.notebook import Gallery as Gallery
    from pixvec.reports.notebook import show as show
    from pixvec.similarity.duplicates import dedupe as dedupe
    from pixvec.similarity.links.embeddings import link_embeddings as link_embeddings
    from pixvec.similarity.search import search as search

# Names are loaded when first asked for, so that the import costs nothing: the engine alone takes a tenth of a second.
_HOMES = {
    "pixvec.api": ("embed_file", "embed_images", "embed_table", "embed_texts"),
    "pixvec.similarity.duplicates": ("dedupe",),
    "pixvec.embedder": ("Embedder", "Embeddings"),
    "pixvec.errors": (
        *("MissingExtraError", "ModelError", "PixvecError", "PixvecWarning", "RowError", "RunError", "UsageError"),
    ),
    "pixvec.similarity.links.embeddings": ("link_embeddings",),
    "pixvec.recipe": ("run_recipe",),
    "pixvec.pipeline.report": ("BugsMetError", "Report", "TooManyFailedError"),
    "pixvec.similarity.search": ("search",),
    "pixvec.reports.notebook": ("Gallery", "show"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 (a list, made from the table above)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("pixvec")  # a third of a decode worker's start
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pixvec' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
