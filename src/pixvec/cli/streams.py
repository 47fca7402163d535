"""`-` as a table: stdin is read into a temporary file, and a temporary file that was written is copied to stdout.

Tables are read several times, and formats such as Parquet and .npy are not written from start to end: so both are files
while a command works, in a folder that is removed when it ends.
"""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import click

from pixvec.cli.console import hide, say_note
from pixvec.cli.flags import check_json
from pixvec.errors import RunError, UsageError
from pixvec.tables import content_ending, reporting_write_errors

STREAM: Final = "-"
STREAM_FORMATS: Final = ("csv", "tsv", "jsonl", "parquet", "arrow", "npy")
TABLE_FORMATS: Final = STREAM_FORMATS[:-1]
"""Those that hold a whole table, and not only its vectors."""
_BINARY: Final = {"parquet", "arrow", "npy"}
_BLOCK_BYTES: Final = 1 << 20
_FOR_FILES: Final = {
    "thumbnails": "keeps a file beside the output",
    "retry_failed": "completes an output that is there",
    "retry_codes": "completes an output that is there",
}
"""Options that mean nothing where the output is stdout, and why."""

Command: TypeAlias = Callable[..., Any]


def reads_stdin(table: str, *, note: str = "") -> Callable[[Command], Command]:
    """Let a command's argument be ``-``: a table on stdin; `note` is said then."""
    words = f"format of stdin, where {table.upper()} is -; detected from its first bytes, else csv"

    def decorate(command: Command) -> Command:
        @click.option("--input-format", type=click.Choice(TABLE_FORMATS), help=words)
        @functools.wraps(command)
        def call(*, input_format: str | None, **given: Any) -> Any:
            if given[table] != STREAM:
                _refuse_format("--input-format", input_format, "stdin")
                return command(**given)
            _say_note(note, given)
            with _reading_stdin(input_format) as path:
                return command(**{**given, table: str(path)})

        return call

    return decorate


def writes_stdout(*formats: str, note: str = "") -> Callable[[Command], Command]:
    """Let a command's output be ``-``: a table on stdout, in one of the formats; `note` is said then."""

    def decorate(command: Command) -> Command:
        @click.option("--format", type=click.Choice(formats), help="format of stdout, where -o is -; csv by default")
        @functools.wraps(command)
        def call(*, format: str | None, **given: Any) -> Any:
            if given["output"] != STREAM:
                _refuse_format("--format", format, "stdout")
                return command(**given)
            check_json(STREAM, as_json=given.get("as_json", False))
            _check_for_stdout(given)
            _say_note(note, given)
            with writing_stdout(format or formats[0]) as path:
                return command(**{**given, "output": str(path)})

        return call

    return decorate


def check_stdout(format: str) -> None:
    """Check, before any work, that a format can be printed.

    Raises
    ------
    UsageError
        When stdout is a terminal, and the format is none to be read there.
    """
    if format in _BINARY and sys.stdout.isatty():
        raise UsageError(f"{format} is not for a terminal: send stdout to a file or a program")


@contextmanager
def writing_stdout(format: str) -> Iterator[Path]:
    """Give a path to write to; what is there when the block ends goes to stdout, also where too many rows failed.

    Raises
    ------
    UsageError
        As `check_stdout` has it.
    """
    check_stdout(format)
    with _folder() as folder:
        path = folder / f"stdout.{format}"
        try:
            yield path
        except RunError:
            _copy_to_stdout(path)
            raise
        _copy_to_stdout(path)


@contextmanager
def _reading_stdin(format: str | None) -> Iterator[Path]:
    """Read stdin to its end, and give the path of the file that holds it."""
    if sys.stdin is None:
        raise UsageError("stdin is closed: there is no table to read")
    with _folder() as folder:
        unnamed = folder / "stdin"
        with reporting_write_errors(unnamed), unnamed.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file, _BLOCK_BYTES)
        path = unnamed.with_name(f"stdin{_ending(unnamed, format)}")
        unnamed.rename(path)
        yield path


def _ending(path: Path, format: str | None) -> str:
    if format is not None:
        return f".{format}"
    found = content_ending(path) or ".csv"
    return f".csv{found}" if found in {".gz", ".zst"} else found


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder for a while, whose name lines on stderr don't show."""
    with TemporaryDirectory(prefix="pixvec-") as name:
        folder = Path(name).resolve()
        try:
            with hide(str(folder)):
                yield folder
        except BaseException as end:
            # What is said to be safe in it is not.
            end.__notes__ = [note for note in getattr(end, "__notes__", []) if str(folder) not in note]
            raise


def _copy_to_stdout(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            click.echo(block, nl=False)


def _say_note(note: str, given: Mapping[str, Any]) -> None:
    if note and not given.get("quiet"):
        say_note(note)


def _check_for_stdout(given: Mapping[str, Any]) -> None:
    for name, why in _FOR_FILES.items():
        if given.get(name):
            flag = "--" + name.replace("_", "-")
            raise click.UsageError(f"{flag} {why}: give -o a file, or leave {flag} out")


def _refuse_format(flag: str, format: str | None, stream: str) -> None:
    if format is not None:
        raise click.UsageError(f"{flag} is for {stream}, {STREAM}: the format of a file is that of its ending")
