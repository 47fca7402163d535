"""Files of every kind and size give transformers' vectors: all under decode="reference", plain ones under "full"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
from PIL import Image

from pixvec import Embedder
from pixvec.testing.images import encode
from tests.oracle.conftest import PHOTOGRAPHS, Oracle, assert_parity, difference, photograph, photograph_of_size

pytestmark = pytest.mark.oracle
pytest.importorskip("torch")
pytest.importorskip("transformers")

Draw: TypeAlias = Callable[[Image.Image], Image.Image]
Kind: TypeAlias = tuple[Draw, str, dict[str, Any]]
"""How an image is drawn, the file's format, and how it is saved."""


def in_mode(mode: str) -> Draw:
    return lambda image: image.convert(mode)


def fading(mode: str) -> Draw:
    """Make an image that fades from clear, on the left, to opaque."""

    def fade(image: Image.Image) -> Image.Image:
        faded = image.convert(mode)
        faded.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
        return faded

    return fade


def with_clear(color: int | tuple[int, int, int], mode: str) -> Draw:
    """Paint a part of the image in the colour that its file calls clear."""

    def paint(image: Image.Image) -> Image.Image:
        painted = image.convert(mode)
        painted.paste(color, (100, 50, 200, 150))
        return painted

    return paint


def in_16_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


RGB: Final = in_mode("RGB")
PLAIN: Final[dict[str, Kind]] = {
    "jpeg 4:2:0": (RGB, "JPEG", {"subsampling": "4:2:0"}),
    "jpeg 4:2:2": (RGB, "JPEG", {"subsampling": "4:2:2"}),
    "jpeg 4:4:4": (RGB, "JPEG", {"subsampling": "4:4:4"}),
    "jpeg of low quality": (RGB, "JPEG", {"quality": 10}),
    "jpeg stored as rgb": (RGB, "JPEG", {"keep_rgb": True}),
    "jpeg progressive": (RGB, "JPEG", {"progressive": True}),
    "jpeg grey": (in_mode("L"), "JPEG", {}),
    "png rgb": (RGB, "PNG", {}),
    "png grey": (in_mode("L"), "PNG", {}),
    "png black and white": (in_mode("1"), "PNG", {}),
    "png palette": (in_mode("P"), "PNG", {}),
    "webp": (RGB, "WEBP", {}),
    "webp lossless": (RGB, "WEBP", {"lossless": True}),
    "bmp rgb": (RGB, "BMP", {}),
    "bmp grey": (in_mode("L"), "BMP", {}),
    "bmp palette": (in_mode("P"), "BMP", {}),
    "gif": (in_mode("P"), "GIF", {}),
    "gif grey": (in_mode("L"), "GIF", {}),
    "avif": (RGB, "AVIF", {}),
}
"""What a person and transformers see alike."""
SEEN_OTHERWISE: Final[dict[str, Kind]] = {
    "jpeg cmyk": (in_mode("CMYK"), "JPEG", {}),
    "png rgba": (fading("RGBA"), "PNG", {}),
    "png grey and alpha": (fading("LA"), "PNG", {}),
    "png with a clear shade": (with_clear(200, "L"), "PNG", {"transparency": 200}),
    "png with a clear colour": (with_clear((0, 0, 0), "RGB"), "PNG", {"transparency": (0, 0, 0)}),
    "png palette with a clear colour": (with_clear(30, "P"), "PNG", {"transparency": 30}),
    "png palette with a few alphas": (in_mode("P"), "PNG", {"transparency": bytes(5)}),
    "png black and white with a clear colour": (in_mode("1"), "PNG", {"transparency": 0}),
    "png palette with alpha": (in_mode("P"), "PNG", {"transparency": bytes(range(256))}),
    "png of 16 bits": (in_16_bits, "PNG", {}),
    "webp rgba": (fading("RGBA"), "WEBP", {}),
    "gif with a clear colour": (with_clear(30, "P"), "GIF", {"transparency": 30}),
    "avif rgba": (fading("RGBA"), "AVIF", {}),
    **{f"jpeg turned {turn}": (RGB, "JPEG", {"orientation": turn}) for turn in range(2, 9)},
    "png turned 6": (RGB, "PNG", {"orientation": 6}),
    "webp turned 8": (RGB, "WEBP", {"orientation": 8}),
}
"""What they do not."""
SIZES: Final = ((64, 64), (64, 97), (101, 65), (224, 224), (225, 331), (500, 448), (447, 640), (1333, 999), (901, 2000))


@pytest.fixture(scope="module", params=["reference", "full"])
def embedder(request: pytest.FixtureRequest, two_layers: Path) -> Embedder:
    return Embedder(model=str(two_layers), precision="fp32", decode=request.param)


@pytest.fixture(scope="module")
def reference_embedder(two_layers: Path) -> Embedder:
    return Embedder(model=str(two_layers), precision="fp32", decode="reference")


def encode_as(kind: Kind, image: Image.Image) -> bytes:
    draw, file_format, save = kind
    return encode(draw(image), file_format, **save)


@pytest.mark.parametrize("kind", PLAIN.values(), ids=PLAIN)
def test_plain_files_give_the_vectors_of_transformers(
    kind: Kind, embedder: Embedder, two_layers_oracle: Oracle
) -> None:
    bodies = [encode_as(kind, photograph_of_size(size)) for size in ((301, 203), (333, 452))]
    assert_parity(two_layers_oracle.embed(bodies), embedder.embed(bodies).vectors)


@pytest.mark.parametrize("kind", SEEN_OTHERWISE.values(), ids=SEEN_OTHERWISE)
def test_all_files_give_the_vectors_of_transformers_under_reference(
    kind: Kind, reference_embedder: Embedder, two_layers_oracle: Oracle
) -> None:
    bodies = [encode_as(kind, photograph_of_size(size)) for size in ((301, 203), (333, 452))]
    assert_parity(two_layers_oracle.embed(bodies), reference_embedder.embed(bodies).vectors)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size_gives_the_vectors_of_transformers(
    size: tuple[int, int], embedder: Embedder, two_layers_oracle: Oracle
) -> None:
    image = photograph_of_size(size, "rocket.jpg")
    bodies = [encode(image, "JPEG"), encode(image, "BMP")]
    assert_parity(two_layers_oracle.embed(bodies), embedder.embed(bodies).vectors)


def test_animations_give_the_vector_of_their_first_frame(embedder: Embedder, two_layers_oracle: Oracle) -> None:
    first, second = (photograph_of_size((160, 120), name) for name in ("chelsea.png", "rocket.jpg"))
    bodies = [encode(first, kind, save_all=True, append_images=[second]) for kind in ("GIF", "WEBP", "PNG", "AVIF")]
    assert_parity(two_layers_oracle.embed(bodies), embedder.embed(bodies).vectors)


def test_a_grey_level_or_a_pixel_beside_would_be_noticed(embedder: Embedder) -> None:
    images = [photograph_of_size((400, 300), name) for name in PHOTOGRAPHS]
    lighter = [image.point(lambda level: min(level + 1, 255)) for image in images]
    beside = [image.transform(image.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0)) for image in images]
    columns = ([encode(image, "BMP") for image in column] for column in (images, lighter, beside))
    exact, *others = (embedder.embed(column).vectors for column in columns)
    for row in range(len(images)):
        assert min(difference(exact[row], other[row]) for other in others) > 1e-5


@pytest.mark.parametrize("name", [*PHOTOGRAPHS, "logo.png", "no_time_for_that_tiny.gif", "page.png"])
def test_files_as_they_come_give_the_vectors_of_transformers(
    name: str, reference_embedder: Embedder, two_layers_oracle: Oracle
) -> None:
    body = photograph(name).read_bytes()
    assert_parity(two_layers_oracle.embed([body]), reference_embedder.embed([body]).vectors)
