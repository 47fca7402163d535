"""Help, completion, and hints at what was meant: what a newcomer meets before the first run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.cli import cli, execute
from pixvec.errors import ModelError
from pixvec.model.checkpoint import load
from pixvec.options import Options, option, options_of
from pixvec.run import FileOptions

COMMANDS = cli.list_commands(click.Context(cli))
BIN = Path(sys.executable).parent


def shell(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    given = os.environ | {"PATH": path} | environment
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    execute(list(arguments))
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_the_version_is_that_of_the_package() -> None:
    assert pixvec.__version__ == version("pixvec")


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--help"], {}),
        (["--version"], {}),
        ([], {}),
        (["emebd"], {}),
        ([], {"_PIXVEC_COMPLETE": "bash_complete", "COMP_WORDS": "pixvec em", "COMP_CWORD": "1"}),
    ],
    ids=["help", "version", "nothing", "a typo", "completion"],
)
def test_what_concerns_all_commands_imports_none(arguments: list[str], environment: dict[str, str]) -> None:
    program = (
        "import atexit, sys\n"
        "heavy = {'numpy', 'pyarrow', 'aiohttp', 'openvino', 'PIL', 'huggingface_hub', 'jinja2', 'tokenizers'}\n"
        "atexit.register(lambda: print('imported', sorted(heavy & set(sys.modules))))\n"
        "from pixvec.__main__ import main\n"
        f"sys.argv = ['pixvec', *{arguments!r}]\n"
        "main()\n"
    )
    assert "imported []" in shell(sys.executable, "-c", program, **environment).stdout


@pytest.mark.parametrize(("group", "commands"), [([], COMMANDS), (["models"], ["check"])], ids=["all", "models"])
def test_no_line_of_the_commands_is_cut(
    group: list[str], commands: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = printed(capsys, *group, "--help")
    assert "…" not in shown
    assert "..." not in shown.partition("Commands:")[2]
    listed = dict(re.findall(r"^  (\w+) +(\S.*)$", shown.partition("Commands:")[2], re.MULTILINE))
    assert list(listed) == commands
    assert max(map(len, listed.values())) < 60


def test_the_options_of_embed_are_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    sections = re.split(r"^(\w+):\n", printed(capsys, "embed", "--help"), flags=re.MULTILINE)[1:]
    flags = {
        heading: set(re.findall(r"^  (?:-\w, )?--([\w-]+)", body, re.MULTILINE))
        for heading, body in zip(sections[::2], sections[1::2], strict=True)
    }
    assert list(flags) == ["Options", "Table", "Model", "Reach", "Limits", "Runs"]
    assert re.match(r"\s*-c, --column ", sections[sections.index("Table") + 1])
    assert {"output", "json", "help"} <= flags["Options"]
    assert {"column", "texts", "delimiter", "output-column"} <= flags["Table"]
    assert {"model", "precision", "normalize"} <= flags["Model"]
    assert {"allow-address", "header", "files-under"} <= flags["Reach"]
    assert {"connections", "max-failed", "limit"} <= flags["Limits"]
    assert {"restart", "retry-failed", "cache", "quiet"} <= flags["Runs"]


def test_every_option_of_a_run_has_a_group() -> None:
    assert [known.name for known in options_of(FileOptions) if known.group is None] == []


def test_a_group_is_that_of_the_class_that_defines_an_option_unless_it_has_its_own() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Paint(Options, group="model"):
        colour: str = option("red", "of the paint")
        coats: int = option(1, "how many", group="limits")

    @dataclass(frozen=True, kw_only=True)
    class Wall(Paint):
        side: str = option("north", "of the house")

    assert [(known.name, known.group) for known in options_of(Wall)] == [
        ("colour", "model"),
        ("coats", "limits"),
        ("side", None),
    ]


@pytest.mark.parametrize("words", ["pixvec em", "pixvec embed --allow-p", "pixvec link --n-n"])
@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_flags(name: str, words: str) -> None:
    typed = words.split()
    wanted = {"COMP_WORDS": words, "COMP_CWORD": typed[-1] if name == "fish" else str(len(typed) - 1)}
    completed = shell("pixvec", _PIXVEC_COMPLETE=f"{name}_complete", **wanted)
    assert completed.returncode == 0
    full = {"em": "embed", "--allow-p": "--allow-private", "--n-n": "--n-nearest"}[typed[-1]]
    assert re.search(rf"\b{full.lstrip('-')}\b", completed.stdout)
    assert "pixvec" in shell("pixvec", _PIXVEC_COMPLETE=f"{name}_source").stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_as_the_docs_set_it_up() -> None:
    lines = (
        'eval "$(_PIXVEC_COMPLETE=bash_source pixvec)"; COMP_WORDS=(pixvec em); COMP_CWORD=1; '
        '_pixvec_completion pixvec; echo "${COMPREPLY[@]}"'
    )
    assert shell("bash", "-c", lines).stdout == "embed\n"


def test_paths_are_completed_by_the_shell() -> None:
    completed = shell("pixvec", _PIXVEC_COMPLETE="bash_complete", COMP_WORDS="pixvec steps ph", COMP_CWORD="2")
    assert completed.stdout.strip() == ""
    completed = shell("pixvec", _PIXVEC_COMPLETE="bash_complete", COMP_WORDS="pixvec embed ph", COMP_CWORD="2")
    assert completed.stdout == "file,ph\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["emebd"], "there is no command 'emebd'; did you mean 'embed'?"),
        (["models", "chekc"], "there is no command 'chekc'; did you mean 'check'?"),
        (["embed", "{t}", "-o", "o.csv", "--retry-faild"], "--retry-failed"),
        (
            ["embed", "{t}", "-o", "o.csv", "--output-column", "v", "-c", "imge_url"],
            "no column 'imge_url'; did you mean 'image_url'?",
        ),
        (
            ["embed", "{t}", "-o", "o.csv", "--output-column", "v", "--texts", "titel"],
            "no column 'titel'; did you mean 'title'?",
        ),
        (["embed", "{t}", "-o", "o.parqet"], "did you mean '.parquet'?"),
        (["search", "{t}", "a fir", "--show", "titel"], "no column 'titel'; did you mean 'title'?"),
        (["search", "{t}", "a fir", "--vectors", "embeding"], "no column 'embeding'; did you mean 'embedding'?"),
        (["link", "{t}", "-o", "o.gexf", "--attribute", "titel"], "no column 'titel'; did you mean 'title'?"),
        (["steps", "embed_image"], "no step 'embed_image'; did you mean 'embed_images'?"),
        (["search", "{t}", "a fir", "--model", "clip vit-base-patch32"], "mean 'openai/clip-vit-base-patch32'?"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, list) else None,
)
def test_what_was_meant_is_hinted_at(
    arguments: list[str], hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    vectors = pa.array([[1.0, 0.0]], pa.list_(pa.float32(), 2))
    table = {"title": ["a fir"], "image_url": ["https://x.example/1.jpg"], "embedding": vectors}
    pq.write_table(pa.table(table), "t.parquet")
    shown = printed(capsys, *(word.format(t="t.parquet") for word in arguments))
    assert hint in shown
    assert len(shown.splitlines()) <= 2  # the second: that vectors without provenance are believed


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("openai/clip-vit-base-patch23", "; did you mean 'openai/clip-vit-base-patch32'?"),
        ("clip-vit-base-patch32", "; did you mean 'openai/clip-vit-base-patch32'?"),
        ("demo2", "; did you mean 'demo'?"),
        ("dmeo", "; did you mean 'demo'?"),
        ("clip", ""),
        ("somebody/quite-another-model", ""),
    ],
)
def test_a_model_that_is_not_there_is_told_apart_from_a_typo(
    name: str, hint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        load(name)
    assert str(caught.value).endswith(f"`model='demo'`{hint}")
