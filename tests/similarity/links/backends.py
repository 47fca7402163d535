"""Backends of products to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from pixvec.model.engine import resolve_precision
from pixvec.similarity.links.products.backend import Backend, Precision
from pixvec.similarity.links.products.numpy import NumPyBackend
from pixvec.similarity.links.products.openvino import OpenVINOBackend

BACKENDS: list[Backend] = [OpenVINOBackend(), NumPyBackend()]
PRECISIONS = [
    "fp32",
    "int8",
    pytest.param("bf16", marks=pytest.mark.skipif(resolve_precision("auto") == "fp32", reason="no bf16")),
]
"""Those that OpenVINO computes in on this processor."""


@dataclass(frozen=True)
class OpenVINOIn(OpenVINOBackend):
    """OpenVINO with other precisions to choose from than the fastest."""

    tried: Sequence[Precision]

    def precisions(self, n_directions: int) -> list[Precision]:
        return [*self.tried]
