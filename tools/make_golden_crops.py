"""Make tests/golden/crops.json: what transformers' CLIP processor makes of drawn images.

Needs transformers and torch: python -m tools.make_golden_crops
"""

from __future__ import annotations

import base64
import json
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pixvec.testing.images import draw

GOLDEN: Final = Path(__file__).parents[1] / "tests" / "golden" / "crops.json"
SHORTEST_48: Final = {"resize": 48, "center_crop": [48, 48], "resample": 3}
CASES: Final[list[dict[str, Any]]] = [
    {"size": [640, 480], "mode": "RGB", "resize": 224, "center_crop": [64, 64], "resample": 3},
    *({"size": size, "mode": "RGB", **SHORTEST_48} for size in ([300, 200], [200, 300], [301, 203], [203, 301])),
    *(
        {"size": size, "mode": "RGB", **SHORTEST_48}
        for size in ([48, 48], [49, 48], [47, 48], [20, 31], [1, 1], [1, 16])
    ),
    *({"size": size, "mode": "RGB", **SHORTEST_48} for size in ([640, 40], [40, 639])),
    *({"size": [301, 203], "mode": mode, **SHORTEST_48} for mode in ("L", "1", "P", "RGBA", "LA", "I;16")),
    *({"size": [301, 203], "mode": "RGB", **SHORTEST_48, "resample": resample} for resample in (0, 1, 2, 4, 5)),
    {"size": [301, 203], "mode": "RGB", "resize": 48, "center_crop": [33, 32], "resample": 3},
    {"size": [301, 203], "mode": "RGB", "resize": [40, 50], "center_crop": [40, 50], "resample": 3},
    {"size": [301, 203], "mode": "RGB", "resize": [20, 61], "center_crop": [48, 48], "resample": 3},
    {"size": [301, 203], "mode": "RGB", "resize": 33, "center_crop": [48, 48], "resample": 3},
    {"size": [301, 203], "mode": "RGB", "resize": 48, "center_crop": None, "resample": 3},
    {"size": [61, 47], "mode": "RGB", "resize": None, "center_crop": [48, 48], "resample": 3},
]


def reference_crop(image: Image.Image, case: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Run transformers' processor on the image, rescaling and standardizing off: (H, W, 3) uint8."""
    resize, center_crop = case["resize"], case["center_crop"]
    processor = CLIPImageProcessorPil(
        do_resize=resize is not None,
        size={"height": resize[0], "width": resize[1]}
        if isinstance(resize, list)
        else {"shortest_edge": resize or 224},
        do_center_crop=center_crop is not None,
        crop_size=dict(zip(("height", "width"), center_crop or (224, 224), strict=True)),
        resample=case["resample"],
        do_rescale=False,
        do_normalize=False,
    )
    pixels = np.asarray(processor(image)["pixel_values"][0])  # (3, H, W)
    return pixels.transpose(1, 2, 0).astype(np.uint8)  # (H, W, 3)


def main() -> None:
    """Write the file."""
    for case in CASES:
        crop = reference_crop(draw(tuple(case["size"]), mode=case["mode"]), case)
        case["shape"] = list(crop.shape)
        case["pixels"] = base64.b64encode(zlib.compress(np.ascontiguousarray(crop).tobytes(), 9)).decode()
    versions = {name: version(name) for name in ("transformers", "pillow", "numpy")}
    golden = {"made_by": "tools/make_golden_crops.py", "versions": versions, "cases": CASES}
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(f"{GOLDEN}: {len(CASES)} crops, {GOLDEN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
