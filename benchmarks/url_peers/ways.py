"""The contenders: each takes URLs of pictures to vectors, as its own package's papers say.

A way is loaded with the folder of the models that are at hand, and is then given URLs. Where a package does not fetch,
pictures are fetched as one would write it: `requests` and Pillow, in threads that run ahead of the model. What a
package does about a URL that is dead is left to it; ours is written to fail.
"""

# ruff: noqa: PLC0415 (a contender's package is there in its own environment only)

from __future__ import annotations

import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH_SIZE: Final = 32
N_DOWNLOADS: Final = 16
"""As many connections as pixvec opens to one host."""
CHECKPOINT: Final = "vit-base-patch32"
ONNX: Final = "vit-base-patch32-onnx"
TINY: Final = "tiny-224"
"""Folders of models: the checkpoint, its image tower as ONNX, and one of the same picture size that costs nothing."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a way made of N URLs.

    Parameters
    ----------
    vectors
        A row of numbers for every URL that the way kept, NaN where it has nothing to show; a single 1 for a picture
        that is fetched and cropped, or whose products are computed, where that is all a way does.
    n_reasons
        For how many URLs it says why there is nothing.
    """

    vectors: NDArray[np.float32]
    n_reasons: int = 0


Embed: TypeAlias = Callable[[list[str]], Embedded]
Makes: TypeAlias = Literal["vectors", "images", "products"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A contender.

    Parameters
    ----------
    title
        What tables call it.
    load
        Gets it ready: the folder of models -> what embeds.
    environment
        The virtual environment it runs in; ways may share one.
    steps
        What pip installs there, step by step.
    packages
        Whose versions to state.
    makes
        Where it ends.
    needs_bf16
        Whether it makes no sense on a processor that does not compute in bf16.
    own_weights
        Whether its weights are other ones than the checkpoint's, so that its vectors can't be compared.
    needs_onnx
        Whether it takes the image tower as ONNX.
    starts_in_call
        Whether each call loads models or starts processes, so that only many pictures show its pace.
    """

    title: str
    load: Callable[[Path], Embed]
    environment: str
    steps: tuple[tuple[str, ...], ...] = ()
    packages: tuple[str, ...]
    makes: Makes = "vectors"
    needs_bf16: bool = False
    own_weights: bool = False
    needs_onnx: bool = False
    starts_in_call: bool = False


# Fetching as one would write it ---------------------------------------------------------------------------------------


def _download(url: str) -> Image:
    import requests  # type: ignore[import-untyped, unused-ignore]  # typed only where it is installed
    from PIL import Image

    response = requests.get(url, timeout=20)
    response.raise_for_status()
    return Image.open(io.BytesIO(response.content)).convert("RGB")


def _ahead(make: Callable[[str], Any], urls: list[str]) -> Iterator[Any]:
    with ThreadPoolExecutor(N_DOWNLOADS) as threads:
        yield from threads.map(make, urls)


def _batched(items: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(items)
    return iter(lambda: list(itertools.islice(remaining, BATCH_SIZE)), [])


# Ways -----------------------------------------------------------------------------------------------------------------


def _transformers(models: Path, *, bf16: bool = False) -> Callable[[list[Image]], NDArray[np.float32]]:
    import torch
    from transformers import CLIPProcessor, CLIPVisionModelWithProjection

    folder = models / CHECKPOINT
    dtype = torch.bfloat16 if bf16 else torch.float32
    tower: Any = CLIPVisionModelWithProjection.from_pretrained(folder, dtype=dtype).eval()
    processor: Any = CLIPProcessor.from_pretrained(folder)

    def embed_batch(images: list[Image]) -> NDArray[np.float32]:
        pixel_values = processor(images=images, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            vectors = tower(pixel_values=pixel_values.to(dtype)).image_embeds.float()
            unit: NDArray[np.float32] = torch.nn.functional.normalize(vectors).numpy()
        return unit

    return embed_batch


def _one_by_one(models: Path) -> Embed:
    embed_batch = _transformers(models)
    return lambda urls: Embedded(np.concatenate([embed_batch([_download(url)]) for url in urls]))


def _in_batches(models: Path, *, bf16: bool = False) -> Embed:
    embed_batch = _transformers(models, bf16=bf16)
    return lambda urls: Embedded(np.concatenate([embed_batch(b) for b in _batched(_ahead(_download, urls))]))


def _sentence_transformers(models: Path) -> Embed:
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(models / CHECKPOINT))
    encode = partial(model.encode, batch_size=BATCH_SIZE, normalize_embeddings=True, show_progress_bar=False)
    return lambda urls: Embedded(np.concatenate([encode(images) for images in _batched(_ahead(_download, urls))]))


def _fastembed(models: Path) -> Embed:
    """Let it take its own pipeline from pictures on; only the weights are others than the ones it would download."""
    from fastembed import ImageEmbedding

    model = ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=str(models / ONNX))
    return lambda urls: Embedded(np.stack(list(model.embed(_ahead(_download, urls), batch_size=BATCH_SIZE))))


def _open_clip(_models: Path) -> Embed:
    _let_torchvision_in()
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32-quickgelu")
    model.eval()

    def embed_batch(crops: list[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            vectors: NDArray[np.float32] = model.encode_image(torch.stack(crops), normalize=True).numpy()
        return vectors

    def crop(url: str) -> Any:
        return preprocess(_download(url))

    return lambda urls: Embedded(np.concatenate([embed_batch(crops) for crops in _batched(_ahead(crop, urls))]))


def _daft(models: Path) -> Embed:
    _let_torchvision_in()
    import daft
    from daft.functions import embed_image

    def embed(urls: list[str]) -> Embedded:
        picture = daft.col("url").download().decode_image(mode="RGB")
        vector = embed_image(picture, provider="transformers", model=str(models / CHECKPOINT), batch_size=BATCH_SIZE)
        column = daft.from_pydict({"url": urls}).select(vector.alias("vector")).to_pydict()["vector"]
        return Embedded(np.array(column, np.float32))

    return embed


def _img2dataset(_models: Path) -> Embed:
    """Download and crop into a folder, with its defaults for how much is done at once but a process for every core."""

    def embed(urls: list[str]) -> Embedded:
        with tempfile.TemporaryDirectory() as folder:
            return _img2dataset_into(Path(folder), urls)

    return embed


def _img2dataset_into(folder: Path, urls: list[str]) -> Embedded:
    import pyarrow.parquet as pq
    from img2dataset import download

    listed, pictures, n_cores = folder / "urls.txt", folder / "pictures", os.cpu_count() or 1
    listed.write_text("\n".join(urls))
    download(
        str(listed),
        output_folder=str(pictures),
        image_size=224,
        resize_mode="center_crop",
        processes_count=n_cores,
        number_sample_per_shard=-(-len(urls) // n_cores),
        compute_hash=None,
    )
    tables = [pq.read_table(path, columns=["status", "error_message"]) for path in sorted(pictures.glob("*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    done = [1.0 if row["status"] == "success" else np.nan for row in rows]
    return Embedded(np.array(done, np.float32)[:, None], n_reasons=sum(bool(row["error_message"]) for row in rows))


def _clip_retrieval(models: Path) -> Embed:
    """Let img2dataset write pictures, and clip-retrieval read them, as its papers do."""
    _let_torchvision_in()
    from clip_retrieval import clip_inference

    def embed(urls: list[str]) -> Embedded:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _img2dataset_into(folder, urls)
            clip_inference(
                str(folder / "pictures"),
                str(folder / "vectors"),
                batch_size=BATCH_SIZE,
                num_prepro_workers=os.cpu_count() or 1,
                enable_text=False,
                clip_model=f"hf_clip:{models / CHECKPOINT}",
            )
            files = sorted((folder / "vectors" / "img_emb").glob("*.npy"))
            return Embedded(np.concatenate([np.load(file).astype(np.float32) for file in files]))

    return embed


def _let_torchvision_in() -> None:
    """Let torchvision be imported beside a torch that its compiled operators were not built for.

    The package index has it for GPUs' torch only. Without its operators it stops at import where two for object
    detection have no name; its transforms, all that is used here, need none of them.
    """
    import torch

    compiled = distribution("torchvision").locate_file("torchvision/_C.so")
    try:
        torch.ops.load_library(str(compiled))
    except OSError:
        operators = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
        _HELD.append(operators)


_HELD: Final[list[object]] = []
"""Names are taken back when what defined them goes."""


def _pixvec(models: Path, *, model: str = CHECKPOINT, precision: Literal["auto", "fp32"] = "auto") -> Embed:
    from pixvec import Embedder

    embedder = Embedder(model=str(models / model), precision=precision, allow_private=True)

    def embed(urls: list[str]) -> Embedded:
        embedded = embedder.embed(urls, progress=False)
        return Embedded(embedded.vectors, n_reasons=sum(detail is not None for detail in embedded.details))

    return embed


def _pixvec_in_call(models: Path) -> Embed:
    def embed(urls: list[str]) -> Embedded:
        return _pixvec(models)(urls)

    return embed


def _ceiling(models: Path) -> Embed:
    from ceiling import matrix_products

    from pixvec.model.checkpoint import load
    from pixvec.model.engine import resolve_precision

    multiply = matrix_products(load(str(models / CHECKPOINT)).vision, BATCH_SIZE, resolve_precision("auto"))

    def embed(urls: list[str]) -> Embedded:
        for _ in _batched(urls):
            multiply()
        return Embedded(np.ones((len(urls), 1), np.float32))

    return embed


_TORCH: Final = ("torch==2.13.0",)  # the release that the Makefile takes, for the same reason
_TORCHVISION: Final = ("--no-deps", "torchvision==0.28.0")
_WITH_TRANSFORMERS: Final[dict[str, Any]] = {
    "environment": "transformers",
    "steps": (_TORCH, ("transformers", "pillow", "requests", "onnx", "onnxscript")),
    "packages": ("transformers", "torch"),
}

_WITH_PIXVEC: Final[dict[str, Any]] = {"environment": "pixvec", "packages": ("pixvec", "openvino")}

BASELINE: Final = "transformers-batches"
CEILING: Final = "ceiling"
WAYS: Final = {
    CEILING: Way(title="ceiling: the tower's matrix products alone", load=_ceiling, makes="products", **_WITH_PIXVEC),
    "pixvec": Way(title="pixvec", load=_pixvec, **_WITH_PIXVEC),
    "pixvec-fp32": Way(
        title="pixvec, fp32",
        load=partial(_pixvec, precision="fp32"),
        needs_bf16=True,  # elsewhere it is what the defaults come to
        **_WITH_PIXVEC,
    ),
    "pixvec-in-call": Way(
        title="pixvec, model loaded in the call", load=_pixvec_in_call, starts_in_call=True, **_WITH_PIXVEC
    ),
    BASELINE: Way(title="transformers, batches of 32", load=_in_batches, **_WITH_TRANSFORMERS),
    "transformers-batches-bf16": Way(
        title="transformers, batches of 32, bf16",
        load=partial(_in_batches, bf16=True),
        needs_bf16=True,
        **_WITH_TRANSFORMERS,
    ),
    "transformers-one-by-one": Way(title="transformers, one by one", load=_one_by_one, **_WITH_TRANSFORMERS),
    "fastembed": Way(
        title="fastembed",
        load=_fastembed,
        environment="fastembed",
        steps=(("fastembed", "requests"),),
        packages=("fastembed", "onnxruntime"),
        needs_onnx=True,
    ),
    "sentence-transformers": Way(
        title="sentence-transformers",
        load=_sentence_transformers,
        environment="sentence-transformers",
        steps=(_TORCH, ("sentence-transformers", "pillow", "requests")),
        packages=("sentence-transformers",),
    ),
    "open_clip": Way(
        title="open_clip",
        load=_open_clip,
        environment="open_clip",
        steps=(_TORCH, _TORCHVISION, ("open_clip_torch", "pillow", "requests")),
        packages=("open_clip_torch",),
        own_weights=True,
    ),
    "daft": Way(
        title="Daft",
        load=_daft,
        environment="daft",
        steps=(_TORCH, _TORCHVISION, ("daft", "transformers", "pillow")),
        packages=("daft",),
        starts_in_call=True,
    ),
    "clip-retrieval": Way(
        title="img2dataset, clip-retrieval",
        load=_clip_retrieval,
        environment="clip-retrieval",
        steps=(_TORCH, _TORCHVISION, ("clip-retrieval", "setuptools<81")),
        packages=("clip-retrieval", "img2dataset"),
        starts_in_call=True,
    ),
    "pixvec-no-model": Way(
        title="pixvec, a model that costs nothing", load=partial(_pixvec, model=TINY), makes="images", **_WITH_PIXVEC
    ),
    "img2dataset": Way(
        title="img2dataset",
        load=_img2dataset,
        environment="img2dataset",
        steps=(("img2dataset",),),
        packages=("img2dataset",),
        makes="images",
        starts_in_call=True,
    ),
}
