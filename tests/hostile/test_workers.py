"""A decoder that an image has taken over: what it may still do in a decode worker.

The decoder is a HEIC decoder of the test's own, which the workers find where they find all packages. It tries what the
image's bytes name, and raises an error whose class is named by what succeeded, which the row's detail shows.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixvec

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is made of Linux's means")

HAS_FILTER = platform.machine() in {"x86_64", "aarch64"}
DECODER = """
import ctypes, mmap, os, resource, signal, socket, subprocess, threading, time
from types import SimpleNamespace
from PIL.ImageFile import ImageFile

options = SimpleNamespace(DECODE_THREADS=4)
libc = ctypes.CDLL(None, use_errno=True)
parent, victim, secret = os.getppid(), {victim}, {secret!r}
word = ctypes.create_string_buffer(8)
part = (ctypes.c_void_p * 2)(ctypes.addressof(word), 8)


def call(name, *arguments):
    if (result := getattr(libc, name)(*arguments)) < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


ATTACKS = {{
    "read": lambda: open(secret).read(),
    "list": lambda: os.listdir(os.path.dirname(secret)),
    "write": lambda: open(secret + ".new", "w"),
    "append": lambda: open(secret, "a"),
    "temporary": lambda: open("/tmp/pixvec-attack", "w"),
    "device": lambda: open("/dev/null", "w"),
    "proc": lambda: open(f"/proc/{{parent}}/mem", "rb"),
    "environ": lambda: open(f"/proc/{{parent}}/environ", "rb").read(),
    "unlink": lambda: os.unlink(secret),
    "rename": lambda: os.rename(secret, secret + ".gone"),
    "link": lambda: os.link(secret, secret + ".link"),
    "symlink": lambda: os.symlink(secret, secret + ".link"),
    "mkdir": lambda: os.mkdir(secret + ".folder"),
    "fifo": lambda: os.mkfifo(secret + ".fifo"),
    "truncate": lambda: os.truncate(secret, 0),
    "chmod": lambda: os.chmod(secret, 0o777),
    "chown": lambda: os.chown(secret, os.getuid(), os.getgid()),
    "utime": lambda: os.utime(secret),
    "attribute": lambda: os.setxattr(secret, "user.x", b"x"),
    "socket": lambda: socket.socket(),
    "socket6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "local": lambda: socket.socket(socket.AF_UNIX),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "vsock": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "ring": lambda: call("syscall", 425, 1, bytes(120)),
    "fork": lambda: os.fork() or os._exit(0),
    "vfork": lambda: subprocess.Popen(["/bin/true"]),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {{}}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "exec descriptor": lambda: os.execve(os.memfd_create("x"), ["true"], {{}}),
    "clone3": lambda: call("syscall", 435, bytes(88), 88),
    "signal": lambda: os.kill(parent, 0),
    "stop": lambda: os.kill(victim, signal.SIGSTOP),
    "everyone": lambda: os.kill(-1, 0),
    "thread's signal": lambda: call("tgkill", victim, victim, 0),
    "queue": lambda: call("sigqueue", victim, 0, None),
    "handle": lambda: os.pidfd_open(victim),
    "attach": lambda: call("ptrace", 16, victim, None, None),
    "seize": lambda: call("ptrace", 0x4206, parent, None, None),
    "peek": lambda: call("process_vm_readv", victim, part, 1, part, 1, 0),
    "poke": lambda: call("process_vm_writev", victim, part, 1, part, 1, 0),
    "limit": lambda: resource.prlimit(victim, resource.RLIMIT_NOFILE, (0, 0)),
    "affinity": lambda: os.sched_setaffinity(victim, {{0}}),
    "scheduler": lambda: os.sched_setscheduler(victim, os.SCHED_BATCH, os.sched_param(0)),
    "nice": lambda: os.setpriority(os.PRIO_PROCESS, victim, 19),
    "shared memory": lambda: call("shmget", 0, 4096, 0o1600),
    "key": lambda: call("syscall", {key_call}, b"user", b"x", b"x", 1, -3),
    "namespace": lambda: call("unshare", 0x10000000),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "root": lambda: os.chroot("/"),
    "user": lambda: os.setresuid(1234, 1234, 1234),
    "privileges": lambda: call("prctl", 38, 0, 0, 0, 0),
}}
RIGHTS = {{
    "thread": lambda: [thread := threading.Thread(target=len, args=("",)), thread.start(), thread.join()],
    "memory": lambda: mmap.mmap(-1, 1 << 20),
    "clock": lambda: time.sleep(0.001),
    "own signal": lambda: os.kill(os.getpid(), 0),
    "own limit": lambda: resource.getrlimit(resource.RLIMIT_AS),
}}


def succeeds(deed):
    try:
        deed()
    except (OSError, AttributeError):
        return False
    return True


def call_by_the_old_gate():
    # Programs of 32 bits ask for their process's number so: their calls have other numbers.
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3")  # mov eax, 20; int 0x80; ret
    return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


class HeifImageFile(ImageFile):
    format = "HEIC"

    def _open(self):
        named = self.fp.read().decode()
        if "gate" in named:
            call_by_the_old_gate()
        deeds = ATTACKS if "attack" in named else RIGHTS
        if "threads" in named:
            raise type(f"threads_{{options.DECODE_THREADS}}", (Exception,), {{}})
        raise type("done: " + ", ".join(name for name, deed in deeds.items() if succeeds(deed)), (Exception,), {{}})
"""


@pytest.fixture(scope="module")
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of the same user."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home") / "secret"
    path.write_text("secret")
    return path


@pytest.fixture(scope="module")
def embedder(
    checkpoint: str, victim: subprocess.Popen[bytes], secret: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[pixvec.Embedder]:
    """An embedder whose workers find the hostile decoder."""
    packages = tmp_path_factory.mktemp("packages")
    key_call = 248 if os.uname().machine == "x86_64" else 217
    code = DECODER.format(victim=victim.pid, secret=str(secret), key_call=key_call)
    (packages / "pillow_heif.py").write_text(code)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(packages))
        with pixvec.Embedder(model=checkpoint, formats="+heic", isolate="always") as embedder:
            yield embedder


def what_came_of(embedder: pixvec.Embedder, deed: str) -> str | None:
    (detail,) = embedder.embed([b"\0\0\0\x18ftypheic " + deed.encode()]).details
    return detail and detail.removeprefix("the HEIC decoder failed with ")


@pytest.mark.skipif(not HAS_FILTER, reason="no filter of system calls is known for this processor")
def test_a_worker_that_is_taken_over_can_do_nothing_outside_of_itself(
    embedder: pixvec.Embedder, victim: subprocess.Popen[bytes], secret: Path
) -> None:
    before = secret.stat()
    assert what_came_of(embedder, "attack") == "done: "
    assert (secret.read_text(), secret.stat().st_mode, secret.stat().st_mtime) == (
        "secret",
        before.st_mode,
        before.st_mtime,
    )
    assert [path.name for path in secret.parent.iterdir()] == ["secret"]
    assert victim.poll() is None
    assert os.getpriority(os.PRIO_PROCESS, victim.pid) == os.getpriority(os.PRIO_PROCESS, 0)
    assert resource.prlimit(victim.pid, resource.RLIMIT_NOFILE) == resource.getrlimit(resource.RLIMIT_NOFILE)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only this processor has such a gate")
def test_the_calls_of_older_programs_are_no_way_out(embedder: pixvec.Embedder) -> None:
    assert (what_came_of(embedder, "gate") or "").startswith("the decoder was ended by signal ")


def test_a_worker_may_do_what_decoders_need(embedder: pixvec.Embedder) -> None:
    assert what_came_of(embedder, "live") == "done: thread, memory, clock, own signal, own limit"


def test_decoders_have_one_thread(embedder: pixvec.Embedder) -> None:
    assert what_came_of(embedder, "threads") == "threads_1"


LAYERS = {
    "landlock": ("no_new_privs", "landlock"),
    "seccomp": ("no_new_privs", "seccomp"),
    "capabilities": ("capabilities",),
}
ATTEMPTS = {
    "landlock": "open('/etc/passwd')",
    "seccomp": "open('/etc/passwd')",
    "capabilities": "os.setresuid(1234, 1234, 1234)",
}


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_holds_alone(layer: str) -> None:
    code = f"""
import os
from pixvec.images import sandbox
sandbox.LAYERS = {LAYERS[layer]!r}
lacks = sandbox.give_up_rights()
try:
    {ATTEMPTS[layer]}
except PermissionError:
    print("refused")
else:
    print("done", lacks)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert said == "refused\n" or f"done ['{layer}']" in said or (layer == "capabilities" and os.getuid())


def test_a_library_changes_nothing_of_its_host_program(embedder: pixvec.Embedder) -> None:
    assert what_came_of(embedder, "live")
    assert rights_of("self") == rights_of(str(os.getppid()))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


def rights_of(process: str) -> list[str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return [line for line in lines if line.startswith(("NoNewPrivs", "Seccomp", "Cap"))]
