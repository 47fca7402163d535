"""Write the parts of docs/ that the code knows better: between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

python tools/write_docs.py           writes them
python tools/write_docs.py --check   only tells which are not what the code says
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import click

from pixvec.cli import cli
from pixvec.codes import CODES, Code
from pixvec.recipe import STEPS, describe

DOCS = Path(__file__).parent.parent / "docs"


def failures() -> str:
    """Every code: what it means, what to do, whether a later try may help."""
    return "\n\n".join(_stage(stage, list(codes)) for stage, codes in groupby(CODES.values(), lambda code: code.stage))


def _stage(stage: str, codes: list[Code]) -> str:
    return "\n\n".join([f"## {stage.capitalize()}", *(_failure(code) for code in codes)])


def _failure(code: Code) -> str:
    retry = "A later try may succeed" if code.retryable else "A later try will not help"
    if code.name == "http_NNN":
        retry = "A later try may succeed after 408, 425, 429 and 5xx"
    return f"### `{code.name}`\n\n{code.meaning} {code.advice} *{retry}.*"


def commands() -> str:
    """Every command's help, as it is printed."""
    with click.Context(cli, info_name="pixvec") as context:
        return "\n\n".join(_help(name, context) for name in cli.list_commands(context))


def _help(name: str, parent: click.Context) -> str:
    command = cli.get_command(parent, name)
    assert command is not None, "it was listed"
    with click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100) as context:
        return f"## `pixvec {name}`\n\n```text\n{command.get_help(context)}\n```"


def steps() -> str:
    """Every step of recipes, as `pixvec steps NAME` explains it."""
    return "\n\n".join(f"### {step.name}\n\n```\n{describe(step)}\n```" for step in STEPS.values())


PARTS: dict[str, Callable[[], str]] = {"commands": commands, "failures": failures, "steps": steps}


def rewritten(text: str) -> str:
    """Put what the code says into a page."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- begin {found[1]} -->\n\n{PARTS[found[1]]()}\n\n<!-- end {found[1]} -->"

    return re.sub(r"<!-- begin (\w+) -->.*?<!-- end \1 -->", part, text, flags=re.DOTALL)


def stale() -> Iterator[tuple[Path, str]]:
    """Find the pages that are not what the code says, with what they should be."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (wanted := rewritten(text)) != text:
            yield page, wanted


def main() -> int:
    """Write or check."""
    is_check = sys.argv[1:] == ["--check"]
    pages = list(stale())
    for page, wanted in pages:
        print(f"{page.name} {'is not what the code says: run python tools/write_docs.py' if is_check else 'written'}")
        if not is_check:
            page.write_text(wanted, encoding="utf-8")
    return int(is_check and bool(pages))


if __name__ == "__main__":
    sys.exit(main())
