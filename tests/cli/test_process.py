"""What the command line sets on its own process, and a library does not."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

COMMAND = """
import atexit, ctypes, resource, sys
if sys.platform == "linux":
    atexit.register(lambda: print("attachable:", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), file=sys.stderr))
atexit.register(lambda: print("limit:", resource.getrlimit(resource.RLIMIT_NOFILE)[0], file=sys.stderr))
from pixvec.__main__ import main
sys.argv = ["pixvec", *sys.argv[1:]]
main()
"""
LIBRARY = COMMAND.replace("from pixvec.__main__ import main", "import pixvec").replace("main()", "dir(pixvec.Embedder)")


def said_at_the_end(code: str, *arguments: str, soft: int, hard: int) -> list[str]:
    limits = soft, hard
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits),
    )
    return result.stderr.splitlines()


@pytest.mark.parametrize(("hard", "raised"), [(4_096, 4_096), (16_384, 8_192)])
def test_a_command_may_open_more_files_and_no_process_of_its_user_may_look_into_it(hard: int, raised: int) -> None:
    said = said_at_the_end(COMMAND, "steps", soft=128, hard=hard)
    assert said == [f"limit: {raised}", *(["attachable: 0"] if sys.platform == "linux" else [])]


def test_a_host_program_stays_as_it_was() -> None:
    said = said_at_the_end(LIBRARY, soft=128, hard=4_096)
    assert said == ["limit: 128", *(["attachable: 1"] if sys.platform == "linux" else [])]
