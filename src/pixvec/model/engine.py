"""The one import of OpenVINO: graphs go in, functions of arrays come out.

Importing OpenVINO with its telemetry package at hand writes a client id into the home folder, starts a process and
calls an analytics host. The import below makes that package look missing, which OpenVINO provides for, and puts things
back as they were.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.concurrency.cpu import n_cores, n_usable
from pixvec.concurrency.forks import computing, is_forked, keep_in_children
from pixvec.concurrency.stop import raise_if_stopped
from pixvec.errors import ModelError, UsageError

_TELEMETRY = "openvino_telemetry"
_telemetry = sys.modules.get(_TELEMETRY)
sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
try:
    import openvino as ov
    from openvino import opset16 as ops
finally:
    del sys.modules[_TELEMETRY]
    if _telemetry is not None:
        sys.modules[_TELEMETRY] = _telemetry

__all__ = [
    "ANY",
    "Graph",
    "Node",
    "Precision",
    "Program",
    "compile_graph",
    "compile_outputs",
    "computed_by",
    "constant",
    "fuses_unevenly",
    "ops",
    "ov",
    "resolve_precision",
]

Graph: TypeAlias = ov.Model
Node: TypeAlias = ov.Output
Precision: TypeAlias = Literal["bf16", "fp32"]
Program: TypeAlias = Callable[..., NDArray[np.float32]]
Outputs: TypeAlias = tuple[NDArray[np.float32], ...]

ANY: Final = -1
"""A dimension of a parameter that may be of any size."""
_STOP_POLL_MS = 50
_OUT_OF_MEMORY = ("alloc", "out_of_memory", "failed to map segment", "Resource temporarily unavailable")
"""What OpenVINO's messages hold when it gets no memory, or no thread for want of memory."""
_HINTS: dict[Precision, Any] = {"bf16": ov.Type.bf16, "fp32": ov.Type.f32}


@contextmanager
def _naming_failures() -> Iterator[None]:
    """Tell of the engine's own errors, which are all of one type, as of what they mean.

    Raises
    ------
    MemoryError
        When there is not enough memory.
    ModelError
        For whatever else it cannot do.
    """
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if any(words in text for words in _OUT_OF_MEMORY):
            raise MemoryError("there is not enough memory for the model") from error
        raise ModelError(f"OpenVINO cannot compute the model: {text}") from error


@cache
def _core() -> ov.Core:
    core = ov.Core()
    keep_in_children(core)
    return core


def resolve_precision(wanted: Literal["auto", "bf16", "fp32"]) -> Precision:
    """Choose the precision to compute in: bf16 where this processor computes in it, else fp32.

    Raises
    ------
    UsageError
        When bf16 is asked for and the processor lacks it.
    """
    if wanted == "fp32":
        return "fp32"
    with computing(), _naming_failures():
        has_bf16 = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if wanted == "bf16" and not has_bf16:
        raise UsageError("`precision='bf16'`: this processor does not compute in it; take auto or fp32")
    return "bf16" if has_bf16 else "fp32"


@cache
def fuses_unevenly() -> bool:
    """Tell whether a product fused with an activation has other bits in a matrix of few rows than in one of many.

    It has on x86-64 without AVX-512 (seen on a Zen 3, below 96 rows), where the two apart are also faster.
    """
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:  # not Linux
        return False
    return flags is not None and "avx512f" not in flags[1].split()


def computed_by() -> str:
    """Name what decides the bits of a result beside its graph: the engine's version and the kind of processor."""
    kind = [_core().get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    return f"OpenVINO {ov.get_version()} on {kind}"


def constant(values: NDArray[Any]) -> Node:
    """Put an array into a graph without a copy: it must outlive the graph and everything not yet compiled of it."""
    return ops.constant(values, shared_memory=True).output(0)


def compile_graph(graph: Graph, precision: Precision) -> Program:
    """Compile `graph`, of one output, for this processor.

    The result is called as that of `compile_outputs`.
    """
    outputs = compile_outputs(graph, precision)
    return lambda *inputs, stop=None: outputs(*inputs, stop=stop)[0]


def compile_outputs(graph: Graph, precision: Precision) -> Callable[..., Outputs]:
    """Compile `graph` for this processor: a function of its inputs that returns all its outputs.

    The result may be called from several threads at once: each has an inference request of its own. Where it is given
    an event as ``stop``, it raises `StoppedError` soon after the event is set. In a forked child it cannot be called.
    """
    return _Compiled(graph, precision)


class _Compiled:
    """A compiled graph, and its inference requests that nobody uses at the moment."""

    def __init__(self, graph: Graph, precision: Precision) -> None:
        # The latency hint with one stream gives each batch all cores; without the precision hint the engine chooses.
        # A stream has a thread, and the engine hands the threads of streams that ended on, in a forked child too, where
        # they do not exist. So there are no streams there, and a batch is computed by the thread that brings it.
        hints = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 0 if is_forked() else 1,
        }
        if n_cores() < n_usable():  # the engine knows affinity, and not the quota of a container
            hints["INFERENCE_NUM_THREADS"] = n_cores()
        with computing(), _naming_failures():
            self._model = _core().compile_model(graph, "CPU", hints)
        self._requests: list[ov.InferRequest] = []
        self._run = _run_apart if is_forked() else _run
        keep_in_children(self)

    def __call__(self, *inputs: NDArray[Any], stop: threading.Event | None = None) -> Outputs:
        with computing(), _naming_failures():
            raise_if_stopped(stop)
            request = self._requests.pop() if self._requests else self._model.create_infer_request()
            self._run(request, inputs, stop)
        outputs = tuple(np.array(tensor.data) for tensor in request.output_tensors)
        self._requests.append(request)
        return outputs


def _run(request: ov.InferRequest, inputs: Sequence[NDArray[Any]], stop: threading.Event | None) -> None:
    request.start_async(list(inputs), share_inputs=True)
    try:
        while not request.wait_for(_STOP_POLL_MS):
            raise_if_stopped(stop)
    except BaseException:  # a KeyboardInterrupt too must not leave the request busy
        request.cancel()
        with suppress(RuntimeError):  # says that it was cancelled
            request.wait()
        raise


def _run_apart(request: ov.InferRequest, inputs: Sequence[NDArray[Any]], stop: threading.Event | None) -> None:
    """Compute in a thread of ours, since the engine computes in the one that calls it."""
    with ThreadPoolExecutor(1, "pixvec-engine") as thread:
        done = thread.submit(request.infer, list(inputs), share_inputs=True)
        try:
            while not wait([done], _STOP_POLL_MS / 1000).done:
                raise_if_stopped(stop)
        except BaseException:
            request.cancel()
            raise
    done.result()
