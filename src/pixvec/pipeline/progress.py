"""Progress of a call, told while it runs: a bar on a terminal or in a notebook, plain lines elsewhere if wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from tqdm import tqdm

from pixvec.pipeline.report import OnProgress, Report, most_common

_BAR_DELAY_S = 2.0


def _bar_class() -> type[tqdm]:
    """Choose as `tqdm.auto` does, which warns of a notebook without widgets."""
    in_widgets = _is_notebook() and find_spec("ipywidgets") is not None
    base = import_module("tqdm.notebook").tqdm if in_widgets else tqdm
    return type("_Bar", (base,), {"monitor_interval": 0})  # tqdm's monitor is a thread that would outlive the call


@contextmanager
def telling_progress(
    wanted: bool | OnProgress | None, expected: Callable[[], int | None] | None = None, *, n_resumed: int = 0
) -> Iterator[OnProgress | None]:
    """Give what a call tells its report to, five times a second.

    Parameters
    ----------
    wanted
        True for a bar, False for nothing, None for a bar where a person watches, or a function of the caller's.
    expected
        Tells how many rows there will be, which may become clear as they are read. None where the report knows.
    n_resumed
        How many of them an earlier run decided.
    """
    if wanted is False or (wanted is None and not _is_watched()):
        yield None
    elif callable(wanted):
        yield _expecting(expected, wanted)
    else:
        shown = {"unit": " rows", "delay": _BAR_DELAY_S, "miniters": 1, "dynamic_ncols": True}
        with _bar_class()(total=expected and expected(), initial=n_resumed, **shown) as bar:
            yield _expecting(expected, partial(_move, bar))


def _expecting(expected: Callable[[], int | None] | None, show: OnProgress) -> OnProgress:
    def tell(report: Report) -> None:
        if expected:
            n_rows = expected()
            report.n_expected = None if n_rows is None else max(n_rows, report.n_rows)
        show(report)

    return tell


def _move(bar: tqdm, report: Report) -> None:
    bar.total = report.n_expected
    bar.set_postfix_str(most_common(report.failures, 3), refresh=False)
    bar.update(report.n_rows - bar.n)


def _is_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and "IPKernelApp" in getattr(shell.get_ipython(), "config", {})


def _is_watched() -> bool:
    return _is_notebook() or (sys.stderr is not None and sys.stderr.isatty())
