"""A full-size batch under way is cut short, and the model is as good as before."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from pixvec.concurrency.stop import StoppedError
from pixvec.model import ClipModel, ModelOptions
from pixvec.model.checkpoint import load

pytestmark = pytest.mark.timeout(400)  # a full-size model, beside other load


def test_a_batch_under_way_is_cut_short(base_patch32: Path) -> None:
    model = ClipModel(load(str(base_patch32)), ModelOptions(precision="fp32"))
    crops = np.random.default_rng(0).integers(0, 256, (32, 224, 224, 3), dtype=np.uint8)
    expected = model.embed_crops(crops[:1])
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    over_a_minutes_work = np.concatenate([crops] * 100)
    with pytest.raises(StoppedError):
        model.embed_crops(over_a_minutes_work, stop=stop)
    assert np.array_equal(model.embed_crops(crops[:1]), expected)
