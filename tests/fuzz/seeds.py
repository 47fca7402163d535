"""Good input for each target, to begin with: what breaks a parser is mostly a slip away from what it takes."""

from __future__ import annotations

import gzip
import zlib
from typing import Final

from PIL import Image, PngImagePlugin

from pixvec.testing.images import animation_bytes, draw, encode, grey_cmyk_profile, image_bytes

_SMALL: Final = (40, 24)
_TINY: Final = (16, 12)

URLS: Final = tuple(
    text.encode()
    for text in (
        "https://user.example:8443/a/b%20c/中.png?x=1&y=%2F#part\n../other.png?z",
        "http://bücher.example./a b.png\n//xn--bcher-kva.example/%7E",
        "http://[2001:db8::1]:80/?\nhttps://host.example/a;b=c",
        "HTTP://192.0.2.1/100%\n?only=query",
        "host.example/a.png\nfile:///etc/passwd",
        "file://localhost/tmp/a%20b.png\n",
        "data:image/png;base64,iVBORw0KGgo=\n#part",
        "https://example。com/①.png\n/\udce4".encode("utf-8", "surrogateescape").decode("latin-1"),
    )
)

_IMAGE: Final = image_bytes(size=_TINY)
_DEFLATE: Final = zlib.compress(_IMAGE)


def _answer(*fields: str, body: bytes = _IMAGE, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1") + body


RESPONSES: Final = (
    _answer("Content-Type: image/jpeg", f"Content-Length: {len(_IMAGE)}"),
    _answer("Transfer-Encoding: chunked", body=b"%x;a=b\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(_IMAGE), _IMAGE)),
    _answer("Content-Encoding: gzip", body=gzip.compress(_IMAGE, mtime=0)),
    _answer("Content-Encoding: deflate", f"Content-Length: {len(_DEFLATE)}", body=_DEFLATE),
    _answer("Content-Range: bytes 0-9/10", "Content-Length: 10", body=bytes(10), status="206 Partial Content"),
    _answer("Location: /again?x=1#y", "Content-Length: 0", body=b"", status="302 Found"),
    _answer("Location: http://user@host.example/\xe4", body=b"", status="301 Moved"),
    _answer("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", "Date: now", body=b"", status="429 Too Many Requests"),
    _answer("X-Robots-Tag: bot: noindex, noai", "X-Robots-Tag: unavailable_after: 25 Jun 2010 15:00:00 PST"),
    _answer("Set-Cookie: a=b; Path=/", "Connection: upgrade", "Upgrade: websocket", status="101 Switching Protocols"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + _answer("Content-Length: 1", " folded: x", body=b"a"),
    b"HTTP/1.0 200\r\n\r\n" + _IMAGE,
)


def _png_with_texts() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("a", "b" * 40, zip=True)
    texts.add_itxt("c", "ü", zip=True)
    return image_bytes("PNG", size=_SMALL, pnginfo=texts, orientation=3)


IMAGES: Final[dict[str, bytes]] = {
    "jpeg": image_bytes(size=_SMALL),
    "jpeg-large": image_bytes(size=(160, 120)),
    "jpeg-turned": image_bytes(size=_SMALL, orientation=6),
    "jpeg-progressive": image_bytes(size=(48, 40), progressive=True),
    "jpeg-grey": image_bytes(size=_SMALL, mode="L"),
    "jpeg-cmyk": image_bytes(size=_SMALL, mode="CMYK"),
    "jpeg-restarts": image_bytes(size=_SMALL, restart_marker_blocks=2),
    "mpo": encode(draw(_TINY), "MPO", save_all=True, append_images=[draw(_TINY, seed=1)]),
    "png": _png_with_texts(),
    "png-1": image_bytes("PNG", size=_SMALL, mode="1"),
    "png-16": image_bytes("PNG", size=_SMALL, mode="I;16"),
    "png-clear": image_bytes("PNG", size=_SMALL, mode="RGBA"),
    "png-grey-clear": image_bytes("PNG", size=_SMALL, mode="LA"),
    "png-palette": image_bytes("PNG", size=_SMALL, mode="P", transparency=bytes(range(256))),
    "png-one-clear": image_bytes("PNG", size=_SMALL, transparency=(1, 2, 3)),
    "apng": animation_bytes("PNG", size=_TINY),
    "gif": image_bytes("GIF", size=_SMALL, comment=b"comment"),
    "gif-animated": animation_bytes(size=_TINY),
    "webp": image_bytes("WEBP", size=_SMALL),
    "webp-lossless": image_bytes("WEBP", size=_SMALL, mode="RGBA", lossless=True),
    "webp-animated": animation_bytes("WEBP", size=_TINY),
    "bmp": image_bytes("BMP", size=_TINY),
    "bmp-palette": image_bytes("BMP", size=_TINY, mode="P"),
    "avif": image_bytes("AVIF", size=_SMALL),
    "avif-animated": animation_bytes("AVIF", size=_TINY),
    "tiff": image_bytes("TIFF", size=_TINY),
    "tiff-lzw": image_bytes("TIFF", size=_TINY, compression="tiff_lzw"),
    "tiff-jpeg": encode(Image.new("RGB", _TINY), "TIFF", compression="jpeg"),
}

IMAGE_WITH_PROFILE: Final = image_bytes(size=_TINY, mode="CMYK", icc_profile=grey_cmyk_profile())
"""Kept apart, because each takes some fifty times as long as another."""

RECIPES: Final = (
    b'embed_images(ds.image_url, {"normalize": true, \'model\': "a/b",}) -> (ds["v w"])  # photos\n',
    b"link_embeddings(ds.embedding, {n_nearest: 15, similarity_min: -0.5e-1}) -> (ds.targets, ds.weights)\n",
    b'f(ds[!["a", "b"]], "m", {a: [1, {b: None}], "c\\u00e9": 1}) -> (links)\ncreate_project(links)\n',
)

SEEDS: Final[dict[str, tuple[bytes, ...]]] = {
    "url": URLS,
    "response": RESPONSES,
    "image": (*IMAGES.values(), IMAGE_WITH_PROFILE),
    "recipe": RECIPES,
}
