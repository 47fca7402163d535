"""What a forked child must not share with its parent, and when the parent may fork.

The engine keeps threads. A child has none of them, and a lock that one of them held at the fork is locked there for
good. So a fork waits until no thread computes and the engine's threads sleep; what the parent compiled is left as it is
in the child, where its end would wait for threads that are not there; and its owners compile anew. This module must not
know what is computed.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar
from weakref import WeakSet

Instance = TypeVar("Instance")
Value = TypeVar("Value")

_MAX_WAIT_S: Final = 60.0
"""How long a fork waits for computations in progress."""
_MAX_AWAKE_S, _AWAKE_POLL_S = 5.0, 0.002
"""How long it waits for the engine's threads then, and how often it looks."""


class once(Generic[Instance, Value]):  # noqa: N801 (a decorator, like functools.cached_property)
    """`functools.cached_property` without its lock, which is held forever in a child that is forked meanwhile."""

    def __init__(self, make: Callable[[Instance], Value]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Instance | None, owner: type) -> Value:
        if instance is None:
            raise AttributeError(self._name)
        made: Value = vars(instance).setdefault(self._name, self._make(instance))  # of two at once, the first
        return made


class _Owner(Protocol):
    """Holds what must not be used in a child."""

    def forget_parent(self) -> None:
        """Drop what the parent had, in the child; locks too, which nobody might open again."""


class _Gate:
    """Lets any number of threads compute, or a thread fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._computing: Counter[int] = Counter()
        self._n_forking = 0

    @contextmanager
    def computing(self) -> Iterator[None]:
        thread = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: not self._n_forking or self._computing[thread])
            self._computing[thread] += 1
        try:
            yield
        finally:
            with self._changed:
                self._computing[thread] -= 1
                self._computing += Counter()  # drops zeros
                self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            self._n_forking += 1
            thread = threading.get_ident()  # a signal's handler may fork in the midst of a computation
            self._changed.wait_for(lambda: self._computing.keys() <= {thread}, _MAX_WAIT_S)
        _await_sleep()

    def after_fork(self) -> None:
        with self._changed:
            self._n_forking -= 1
            self._changed.notify_all()


def _await_sleep() -> None:
    """Wait until the threads that are not Python's sleep: after a computation they look for more, and hold locks."""
    seen, deadline = None, time.monotonic() + _MAX_AWAKE_S
    while time.monotonic() < deadline:
        time.sleep(_AWAKE_POLL_S)
        last, seen = seen, _foreign_threads()
        if seen == last and all(state == "S" for state, _ in seen.values()):
            return


def _foreign_threads() -> dict[str, tuple[str, str]]:
    """Tell of each thread that is not Python's its state and how often it ran; of none where that cannot be known."""
    ours = {str(thread.native_id) for thread in threading.enumerate()}
    threads = {}
    for task in Path("/proc/self/task").glob("*"):
        with suppress(OSError):  # it has ended
            if task.name not in ours:
                fields = (task / "status").read_text()
                threads[task.name] = (fields.partition("State:\t")[2][:1], fields.partition("voluntary")[2])
    return threads


_gate = _Gate()
_compiled: WeakSet[Any] = WeakSet()
_owners: WeakSet[_Owner] = WeakSet()
_pid: int | None = None
"""The process whose threads the engine has; None while it has none."""


@contextmanager
def computing() -> Iterator[None]:
    """Hold forks back while the block works with the engine, which has threads from then on."""
    _watch_forks()
    with _gate.computing():
        yield


def is_forked() -> bool:
    """Tell whether the engine's threads are those of a parent."""
    return _pid not in {None, os.getpid()}


def keep_in_children(compiled: object) -> None:
    """Let something that lives when the process is forked live forever in the child."""
    _compiled.add(compiled)


def forget_in_children(owner: _Owner) -> None:
    """Let an owner drop what it has of the parent when it finds itself in a child."""
    _owners.add(owner)


def _watch_forks() -> None:
    global _pid  # noqa: PLW0603 (hooks are the process's, and cannot be taken back)
    if _pid is None and hasattr(os, "register_at_fork"):
        _pid = os.getpid()
        os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _before_fork() -> None:
    _gate.before_fork()


def _after_in_parent() -> None:
    _gate.after_fork()


def _after_in_child() -> None:
    global _gate  # noqa: PLW0603 (others' threads may be inside the parent's)
    _gate = _Gate()
    for compiled in list(_compiled):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(compiled))
    for owner in list(_owners):
        owner.forget_parent()
