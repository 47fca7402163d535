"""A batch in progress is cut short, and the model is as good as before."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from pixvec.concurrency.stop import StoppedError
from pixvec.model import ClipModel, ModelOptions
from pixvec.model.checkpoint import load
from pixvec.testing.checkpoints import make_checkpoint


def test_a_batch_in_progress_is_cut_short(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, "vit-base-patch32", vision={"num_hidden_layers": 2}, vision_only=True)
    model = ClipModel(load(str(folder)), ModelOptions(precision="fp32"))
    crops = np.random.default_rng(0).integers(0, 256, (32, 224, 224, 3), dtype=np.uint8)
    expected = model.embed_crops(crops[:1])
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    many_seconds_of_work = np.concatenate([crops] * 200)
    with pytest.raises(StoppedError):
        model.embed_crops(many_seconds_of_work, stop=stop)
    assert np.array_equal(model.embed_crops(crops[:1]), expected)
