"""OpenAI's own model from the model hub, beside what its makers published; skipped where the hub cannot be reached."""

from __future__ import annotations

import numpy as np
import pytest
from huggingface_hub import constants, model_info

from pixvec import Embedder

MODEL = "openai/clip-vit-base-patch32"
TWO_CATS = "http://images.cocodataset.org/val2017/000000039769.jpg"
LOGIT_SCALE = 100.0  # exp of the checkpoint's logit_scale, 4.6052

pytestmark = pytest.mark.hub


@pytest.fixture
def embedder() -> Embedder:
    try:
        model_info(MODEL, timeout=3)
    except Exception as error:  # noqa: BLE001 (whatever it is, the hub is out of reach)
        pytest.skip(f"the model hub at {constants.ENDPOINT} cannot be reached ({type(error).__name__})")
    return Embedder(model=MODEL, precision="fp32", decode="reference")


def test_two_cats_have_the_published_logits(embedder: Embedder) -> None:
    image = embedder.embed([TWO_CATS], progress=False)
    assert image.errors == [None]
    logits = LOGIT_SCALE * image.vectors @ embedder.embed_query(["a photo of a cat", "a photo of a dog"]).T
    assert logits[0] == pytest.approx(np.array([24.57, 19.30]), abs=0.01)
