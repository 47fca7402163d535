"""The demo model: a small CLIP that knows a drawn world and nothing else; its card is `README.md` in `FOLDER`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("clip")
"""A checkpoint in the format of Hugging Face transformers, to be opened as any other."""
