"""Write the parts of docs/ that the code knows better: between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

python -m tools.write_docs           writes them
python -m tools.write_docs --check   only tells which are not what the code says
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import groupby
from pathlib import Path

import click

from pixvec.api import ColumnOptions, FrameOptions, TextOptions
from pixvec.cli import cli
from pixvec.cli.embed import embed
from pixvec.cli.messages import in_flags
from pixvec.codes import CODES, STATUSES, Code, is_retryable
from pixvec.embedder import EmbedderOptions
from pixvec.recipe import STEPS, describe
from pixvec.recipe.context import RecipeOptions
from pixvec.reports.notebook import ShowOptions
from pixvec.run.options import FileOptions
from pixvec.similarity.duplicates import DuplicateOptions
from pixvec.similarity.links import LinkOptions
from pixvec.similarity.search import SearchOptions

DOCS = Path(__file__).parent.parent / "docs"
TAKERS: dict[str, type] = {
    "Embedder": EmbedderOptions,
    "embed_images": ColumnOptions,
    "embed_texts": TextOptions,
    "embed_table": FrameOptions,
    "embed_file": FileOptions,
    "run_recipe": RecipeOptions,
    "search": SearchOptions,
    "show": ShowOptions,
    "link_embeddings": LinkOptions,
    "dedupe": DuplicateOptions,
}


def failures() -> str:
    """Every code: what it means, what to do, whether a later try may help."""
    return "\n\n".join(_stage(stage, list(codes)) for stage, codes in groupby(CODES.values(), lambda code: code.stage))


def _stage(stage: str, codes: list[Code]) -> str:
    return "\n\n".join([f"## {stage.capitalize()}", *(_failure(code) for code in codes)])


def _failure(code: Code) -> str:
    retry = "A later try may succeed" if code.retryable else "A later try will not help"
    if code.name == "http_NNN":
        return f"### `{code.name}`\n\n{code.meaning} {code.advice}\n\n{_statuses()}"
    text = in_flags(f"{code.meaning} {code.advice}", embed, quote="`")
    return f"### `{code.name}`\n\n{text} *{retry}.*"


def _statuses() -> str:
    """Say which statuses mean more."""
    lines = ["| status | meaning | what to do | a later try |", "|---|---|---|---|"]
    for statuses, meaning, advice in STATUSES:
        retry = "may succeed" if is_retryable(f"http_{statuses[0].replace('x', '0')}") else "will not help"
        shown = in_flags(advice, embed, quote="`")
        lines.append(f"| {', '.join(statuses)} | {meaning} | {shown} | {retry} |")
    return "\n".join(lines)


def commands() -> str:
    """Every command's help, as it is printed."""
    with click.Context(cli, info_name="pixvec", **cli.context_settings) as context:
        return "\n\n".join(_helps(cli, context))


def _helps(group: click.Group, parent: click.Context) -> Iterator[str]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None, "it was listed"
        wide = click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100)
        with wide as context:
            yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```"
            if isinstance(command, click.Group):
                yield from _helps(command, context)


def steps() -> str:
    """Every step of recipes, as `pixvec steps NAME` explains it."""
    return "\n\n".join(f"### {step.name}\n\n```\n{describe(step)}\n```" for step in STEPS.values())


def options() -> str:
    """Every option in Python: its default, what it means, and what takes it."""
    takers: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for taker, options_type in TAKERS.items():
        meaning = _meanings(options_type)
        for field in fields(options_type):
            if field.metadata:
                row = f"| `{field.name}` | `{field.default!r}` | {meaning[field.name]} |"
                takers[field.name, row].append(taker)
    rows: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for (_, row), names in takers.items():
        rows[tuple(names)].append(row)
    return "\n\n".join(_option_table(names, lines) for names, lines in rows.items())


def _option_table(takers: tuple[str, ...], rows: list[str]) -> str:
    head = "| option | default | meaning |\n|---|---|---|\n"
    return f"**{', '.join(f'`{taker}`' for taker in takers)}**\n\n{head}" + "\n".join(rows)


def _meanings(options_type: type) -> dict[str, str]:
    """Read what options mean: from their help or, for those that are Python's alone, from their classes' docstrings."""
    found: dict[str, str] = {}
    for kind in options_type.__mro__:
        described = inspect.cleandoc(kind.__doc__ or "").partition("Parameters\n----------\n")[2].partition("\n\n")[0]
        for names, text in re.findall(r"^(\w[\w, ]*)\n((?:    .+\n?)+)", described, re.MULTILINE):
            found = dict.fromkeys(names.split(", "), " ".join(text.split())) | found
    found |= {field.name: field.metadata["help"] for field in fields(options_type) if field.metadata.get("help")}
    return {name: text.replace("``", "`").replace("|", "\\|") for name, text in found.items()}


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "failures": failures,
    "options": options,
    "steps": steps,
}


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
        print(f"{page.name} {'is not what the code says: run python -m tools.write_docs' if is_check else 'written'}")
        if not is_check:
            page.write_text(wanted, encoding="utf-8")
    return int(is_check and bool(pages))


if __name__ == "__main__":
    sys.exit(main())
