"""Crops equal those of transformers' processor, whatever the image's shape."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pixvec.images.decode import OpenedImage, Policy
from pixvec.images.preprocess import crop, min_side
from pixvec.model.checkpoint.processor import ProcessorConfig
from pixvec.testing.images import draw, encode, grey_cmyk_profile, image_bytes

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "crops.json").read_text(encoding="utf-8"))["cases"]
CLIP = ProcessorConfig()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def golden_id(case: dict[str, Any]) -> str:
    return "{mode}-{size}-resize={resize}-crop={center_crop}-resample={resample}".format(**case).replace(" ", "")


def golden_pixels(case: dict[str, Any]) -> NDArray[np.uint8]:
    raw = zlib.decompress(base64.b64decode(case["pixels"]))
    return np.frombuffer(raw, np.uint8).reshape(case["shape"])


def golden_processor(case: dict[str, Any]) -> ProcessorConfig:
    resize, center_crop = (
        tuple(size) if isinstance(size, list) else size for size in (case["resize"], case["center_crop"])
    )
    return ProcessorConfig(resize=resize, center_crop=center_crop, resample=case["resample"])


def crop_of(
    body: bytes, processor: ProcessorConfig = CLIP, *, scaled: bool = False, decode: Policy = "auto"
) -> NDArray[np.uint8]:
    least = min_side(processor) if scaled else None
    decoded = OpenedImage(body, policy=decode, max_pixels=100_000_000, min_side=least).decode()
    return crop(decoded.image, processor, size=decoded.size, box=decoded.box)


def mean_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("case", GOLDEN, ids=golden_id)
def test_reference_crops_equal_the_golden_ones(case: dict[str, Any]) -> None:
    body = encode(draw(case["size"], mode=case["mode"]), "PNG")
    assert np.array_equal(golden_pixels(case), crop_of(body, golden_processor(case), decode="reference"))


@pytest.mark.parametrize("case", [case for case in GOLDEN if case["mode"] in {"1", "L", "RGB"}], ids=golden_id)
def test_full_crops_of_plain_images_equal_the_golden_ones(case: dict[str, Any]) -> None:
    body = encode(draw(case["size"], mode=case["mode"]), "PNG")
    assert np.array_equal(golden_pixels(case), crop_of(body, golden_processor(case), decode="full"))


@pytest.mark.parametrize(("resize", "expected"), [(224, 224), ((224, 224), 224), ((40, 50), 50), (None, None)])
def test_min_side_is_what_the_resize_makes_of_a_side(resize: Any, expected: int | None) -> None:
    assert min_side(ProcessorConfig(resize=resize)) == expected


@pytest.mark.parametrize("size", [(3000, 40), (40, 3000), (5000, 300), (300, 5000)], ids=str)
def test_a_long_image_is_resized_around_its_crop_only(size: tuple[int, int]) -> None:
    image = draw(size)
    scale = 224 / min(size)
    whole = image.resize((int(size[0] * scale), int(size[1] * scale)), Image.Resampling.BICUBIC)
    left, top = (whole.width - 224) // 2, (whole.height - 224) // 2
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224))).astype(int)
    difference = abs(expected - crop(image, CLIP))
    assert difference.max() <= 2
    assert difference.mean() < 0.3


@pytest.mark.parametrize("size", [(1, 65_535), (65_535, 1)], ids=str)
def test_the_longest_image_is_cropped(size: tuple[int, int]) -> None:
    assert crop_of(image_bytes("PNG", size=size)).shape == (224, 224, 3)


@pytest.mark.parametrize("size", [(1383, 547), (655, 721), (753, 632), (301, 5001)], ids=str)
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_scaled_decoding_is_in_register(size: tuple[int, int], orientation: int) -> None:
    body = image_bytes(size=size, orientation=orientation, quality=95)
    assert mean_difference(crop_of(body), crop_of(body, scaled=True)) < 1.5


@pytest.mark.parametrize(
    "profile", [None, b"", b"no profile at all", SRGB], ids=["none", "empty", "broken", "of-another-space"]
)
def test_cmyk_without_a_profile_of_its_own_looks_like_its_srgb_twin(profile: bytes | None) -> None:
    body = encode(draw(mode="CMYK"), "JPEG", quality=95, icc_profile=profile)
    assert mean_difference(crop(draw(mode="CMYK").convert("RGB"), CLIP), crop_of(body)) < 3


def test_cmyk_is_seen_through_its_profile() -> None:
    grey = crop_of(image_bytes(mode="CMYK", icc_profile=grey_cmyk_profile())).astype(int)
    assert np.ptp(grey, axis=2).max() <= 1
    assert np.ptp(grey) > 50


def test_cmyk_is_padded_with_black() -> None:
    processor = ProcessorConfig(resize=20, center_crop=(40, 40))
    assert crop(Image.new("CMYK", (20, 20)), processor)[0, 0].tolist() == [0, 0, 0]


def live_crop(image: Image.Image) -> NDArray[Any]:
    transformers = pytest.importorskip("transformers")
    processor = transformers.models.clip.CLIPImageProcessorPil(do_rescale=False, do_normalize=False)
    return np.asarray(processor(image)["pixel_values"][0]).transpose(1, 2, 0)  # (S, S, 3)


def photograph(name: str) -> Path:
    return Path(pytest.importorskip("skimage.data").__file__).parent / name


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "camera.png", "logo.png"])
def test_crops_equal_those_of_live_transformers(name: str) -> None:
    path = photograph(name)
    with Image.open(path) as image:
        # Given an image with alpha, the processor of transformers 5 puts it on white, as people see it.
        as_seen, as_converted = live_crop(image), live_crop(image.convert("RGB"))
    assert np.array_equal(as_seen, crop_of(path.read_bytes(), decode="full"))
    assert np.array_equal(as_converted, crop_of(path.read_bytes(), decode="reference"))
