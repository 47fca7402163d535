"""Write the golden vectors that the tests hold the towers against, from transformers on checkpoints of seeded NumPy.

Run by ``make golden``. The file holds what each checkpoint was made of, so that the tests make the same ones.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

from pixvec.testing.checkpoints import make_checkpoint

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "vectors.json"
N_CROPS = 5
TEXTS = ["a red bicycle", "two cats,  on a SOFA!", "", "naïve café 123 it's", "long " * 60]
CHECKPOINTS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "projection-unlike-hidden": {"vision": {"projection_dim": 40, "hidden_size": 96, "num_attention_heads": 6}},
    "gelu-and-eps": {
        "vision": {"hidden_act": "gelu", "layer_norm_eps": 1e-2},
        "text": {"hidden_act": "gelu", "layer_norm_eps": 1e-2},
    },
    "patch-14-in-42-pixels": {"vision": {"image_size": 42, "patch_size": 14, "num_hidden_layers": 3}},
    "wide-heads": {"vision": {"hidden_size": 128, "num_attention_heads": 2}, "text": {"num_attention_heads": 2}},
    "openai-2021": {"dialect": "openai-2021", "weights_format": "bin", "dtype": "float16"},
}


def main() -> None:
    """Write the file."""
    cases = {name: _case(made_of) for name, made_of in CHECKPOINTS.items()}
    versions = {"transformers": transformers.__version__, "torch": torch.__version__, "numpy": np.__version__}
    GOLDEN.write_text(json.dumps({"versions": versions, "texts": TEXTS, "cases": cases}, indent=1) + "\n")


def _case(made_of: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(Path(folder), **made_of)
        model = CLIPModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
        processor = CLIPImageProcessorPil.from_pretrained(checkpoint)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        size = model.config.vision_config.image_size
        crops = np.random.default_rng(0).integers(0, 256, (N_CROPS, size, size, 3), dtype=np.uint8)
        length = model.config.text_config.max_position_embeddings
        tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=length, return_tensors="pt")
        with torch.inference_mode():
            pixels = processor(list(crops), return_tensors="pt")["pixel_values"]
            images = model.get_image_features(pixel_values=pixels).pooler_output
            texts = model.get_text_features(**tokens).pooler_output
        return {"made_of": made_of, "images": _rounded(images), "texts": _rounded(texts)}


def _rounded(vectors: torch.Tensor) -> list[list[float]]:
    """Seven digits: as many as a float32 has."""
    return [[float(f"{number:.7g}") for number in vector] for vector in vectors.tolist()]


if __name__ == "__main__":
    main()
