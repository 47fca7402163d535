"""Fuzz one target with atheris, guided by the coverage of our code and of the Python it calls.

    pip install atheris
    python -m tests.fuzz image -max_total_time=300

What is behind the target's name goes to libFuzzer. It begins with the seeds and with what was found before, stops at
the first input that breaks a promise, and writes it to the working folder: fix what it shows, and keep it in
``tests/fuzz/corpus``. New inputs that reach new code go to the first folder named, if any.
"""

from __future__ import annotations

import struct
import sys
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Final

import atheris

CORPUS: Final = Path(__file__).parent / "corpus"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_GUIDES: Final = [
    *(f"pixvec.{name}" for name in ("fetch", "images")),
    *("pixvec.recipe", "PIL", "aiohttp", "idna", "yarl"),
]
_LIMITS: Final = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=8192")

with atheris.instrument_imports(include=_GUIDES, enable_loader_override=False):
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer has had enough."""
    name, *arguments = sys.argv[1:]
    warnings.simplefilter("ignore")  # as decode workers do
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(SEEDS[name]):
            (Path(folder) / str(number)).write_bytes(seed)
        flags = [*_LIMITS, *(one for one in arguments if one.startswith("-"))]
        found = [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
        folders = [*(one for one in arguments if not one.startswith("-")), folder, *found]
        atheris.Setup([sys.argv[0], *flags, *folders], TARGETS[name], custom_mutator=_mutate)
        atheris.Fuzz()


def _mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change some bytes; every other time, set right the checksums that keep a decoder from looking at them."""
    mutated: bytes = atheris.Mutate(data, max_size)
    return _with_checksums(mutated) if seed % 2 and mutated.startswith(_PNG) else mutated


def _with_checksums(png: bytes) -> bytes:
    at, whole = len(_PNG), bytearray(png)
    while at + 12 <= len(whole):
        end = at + 8 + int.from_bytes(whole[at : at + 4])
        if end + 4 > len(whole):
            break
        whole[end : end + 4] = struct.pack(">I", zlib.crc32(whole[at + 4 : end]))
        at = end + 4
    return bytes(whole)


if __name__ == "__main__":
    main()
