"""One contender at work, in a process of its own, with its own environment's packages.

``python -m url_peers.worker NAME MODELS`` loads it at the first line of standard input, which like every other is a
JSON object of URLs and of the file to write the vectors to. What came of them is a line of JSON on standard output; all
else that is printed goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from url_peers.ways import WAYS, Embed


def main(name: str, models: Path) -> None:
    """Embed what is asked for until no more is."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        embed: Embed | None = None
        for line in sys.stdin:
            try:
                embed = embed or WAYS[name].load(models)
                answer = _embed(embed, **json.loads(line))
            except Exception as error:  # noqa: BLE001 (what a package raises is its answer)
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer | {"versions": _versions(WAYS[name].packages)}), file=answers, flush=True)


def _embed(embed: Embed, urls: list[str], vectors: str) -> dict[str, Any]:
    embedded = embed(urls)
    np.save(vectors, embedded.vectors)
    return {"n_reasons": embedded.n_reasons}


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {package: version(package) for package in packages}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
