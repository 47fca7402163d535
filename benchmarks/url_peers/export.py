"""The checkpoint's image tower -> ONNX, for those who take nothing else: ``python -m url_peers.export FROM TO``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionModelWithProjection


class _Tower(torch.nn.Module):  # type: ignore[misc]  # to the type checker torch is unknown
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        image_embeds: torch.Tensor = self.model(pixel_values=pixel_values).image_embeds
        return image_embeds


def main(checkpoint: Path, folder: Path) -> None:
    """Write the graph, for any number of images at a time, and the processor's settings beside it."""
    tower = _Tower(CLIPVisionModelWithProjection.from_pretrained(checkpoint)).eval()
    folder.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        tower,
        (torch.zeros(2, 3, 224, 224),),
        folder / "model.onnx",
        input_names=["pixel_values"],
        output_names=["image_embeds"],
        dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch")}},
        dynamo=True,
    )
    shutil.copy(checkpoint / "preprocessor_config.json", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
