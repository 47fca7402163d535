"""The rights that a process gives up for good before it works on strangers' bytes, on Linux.

A decoder is written in C, and a file may make it run code of the file's own. Such code may do whatever the process may:
so the process keeps its memory, its processor time and its open streams, and nothing else. A layer that the kernel
lacks is left out, and the caller learns which.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from typing import Final

LAYERS: Final = ("no_new_privs", "landlock", "capabilities", "seccomp")
"""What `give_up_rights` sets, in this order: each needs the one before it, or would forbid the next."""


class _MissingError(Exception):
    """The kernel lacks a layer."""


def give_up_rights() -> list[str]:
    """Give up this process's rights for good, and name the layers that this system lacks.

    From then on nothing can be opened, written to a file, connected, started, signalled, traced or changed but the
    process itself. It may start threads. What it will need must be imported and open before.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform != "linux":
        return list(LAYERS)
    return [layer for layer in LAYERS if not _is_set(layer)]


def forbid_attaching() -> None:
    """Let no other process of this user look into this one's memory, or trace it; where that cannot be, do nothing."""
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def _is_set(layer: str) -> bool:
    steps = {
        "no_new_privs": _forbid_privileges,
        "landlock": _forbid_files,
        "capabilities": _drop_capabilities,
        "seccomp": _forbid_calls,
    }
    try:
        steps[layer]()
    except (_MissingError, AttributeError):  # the second says that the C library lacks the function
        return False
    return True


def _ask(result: int) -> int:
    """Pass on what a system call returned, unless it failed."""
    if result < 0:
        raise _MissingError
    return result


def _prctl(option: int, value: int) -> int:
    zero = ctypes.c_ulong(0)  # the kernel looks at all bits of these arguments
    result: int = ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), zero, zero, zero)
    return result


# Privileges -----------------------------------------------------------------------------------------------------------

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38  # linux/prctl.h
_CAPABILITY_VERSION: Final = 0x2008_0522  # linux/capability.h, version 3: 64 bits in two structs


def _forbid_privileges() -> None:
    """Let no program that is started have more rights; the kernel wants that of users before the other layers."""
    _ask(_prctl(_PR_SET_NO_NEW_PRIVS, 1))


def _drop_capabilities() -> None:
    """Be no more than a user where root runs this."""
    _ask(ctypes.CDLL(None).capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)))


# Files, ports and other processes, by Landlock ------------------------------------------------------------------------

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same number on every architecture that Python runs on
_FLAG_VERSION: Final = 1
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 5: 16}
"""Since which version of Landlock there are how many rights of files (linux/landlock.h)."""
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6
_NETWORK: Final = 0b11  # bind and connect by TCP
_SCOPES: Final = 0b11  # abstract Unix sockets, and signals


def _forbid_files() -> None:
    """Handle every right that the kernel's Landlock knows, and grant none."""
    call = ctypes.CDLL(None).syscall
    version = _ask(call(_CREATE_RULESET, None, ctypes.c_size_t(0), _FLAG_VERSION))
    files = (1 << max(n for since, n in _FILE_RIGHTS.items() if since <= max(version, 1))) - 1
    network = _NETWORK if version >= _NETWORK_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    rights = struct.pack("=QQQ", files, network, scopes)  # an older kernel takes zeros behind what it knows
    ruleset = _ask(call(_CREATE_RULESET, rights, ctypes.c_size_t(len(rights)), 0))
    try:
        _ask(call(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


# System calls, by seccomp ---------------------------------------------------------------------------------------------

_ARCHITECTURES: Final = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
"""By `os.uname().machine`: the column of the tables below, and what the kernel calls it (linux/audit.h)."""
_SECCOMP: Final = (317, 277)
_CLONE: Final = (56, 220)
_SET_MODE_FILTER: Final = 1
_FOR_ALL_THREADS, _WITHOUT_SLOWDOWN = 1 << 0, 1 << 2
"""TSYNC; and SPEC_ALLOW, without which kernels before 5.16 slow the process down against an attack on its secrets."""
_CLONE_THREAD: Final = 0x1_0000
_FIRST_NEW_CALL: Final = 424
"""From here on numbers are the same everywhere. All these calls came after Linux 5.0, and so programs do without them:
among them are io_uring, clone3, openat2, the pidfd_ calls and those that are not yet known. Those of the x32 ABI, which
would pass by the table, have larger numbers too."""

_FORBIDDEN: Final = """
    open 2 -            openat 257 56           creat 85 -              open_by_handle_at 304 265
    socket 41 198       fork 57 -               vfork 58 -              execve 59 221           execveat 322 281
    ptrace 101 117      process_vm_readv 310 270    process_vm_writev 311 271                   kcmp 312 272
    setpriority 141 140 ioprio_set 251 30       unshare 272 97          setns 308 268           userfaultfd 323 282
    bpf 321 280         perf_event_open 298 241 add_key 248 217         request_key 249 218     keyctl 250 219
    shmget 29 194       shmat 30 196            msgget 68 186           semget 64 190           mq_open 240 180
    chmod 90 -          fchmodat 268 53         chown 92 -              lchown 94 -             fchownat 260 54
    utime 132 -         utimes 235 -            futimesat 261 -         utimensat 280 88        truncate 76 45
    setxattr 188 5      lsetxattr 189 6         removexattr 197 14      lremovexattr 198 15     mq_unlink 241 181
    mkdir 83 -          mkdirat 258 34          rmdir 84 -              mknod 133 -             mknodat 259 33
    unlink 87 -         unlinkat 263 35         rename 82 -             renameat 264 38         renameat2 316 276
    link 86 -           linkat 265 37           symlink 88 -            symlinkat 266 36
"""
"""Calls that are refused, with their numbers on x86-64 and on arm64, which lacks some. Those that change files by name
are here too, since older kernels lack Landlock, and Landlock does not cover modes, owners and times."""
_OF_ITSELF_ONLY: Final = """
    kill 62 129         tkill 200 130           tgkill 234 131          prlimit64 302 261       sched_setattr 314 274
    rt_sigqueueinfo 129 138     rt_tgsigqueueinfo 297 240       sched_setaffinity 203 122
    sched_setscheduler 144 119  sched_setparam 142 118
"""
"""Calls whose first argument names a process: refused unless it is this one."""

# The filter is a program of the kernel's small machine (linux/bpf_common.h, linux/seccomp.h).
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where they are in struct seccomp_data, on little-endian machines
_ALLOW, _KILL, _REFUSE, _UNKNOWN = 0x7FFF_0000, 0x8000_0000, 0x0005_0000 | 1, 0x0005_0000 | 38  # EPERM, ENOSYS


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _forbid_calls() -> None:
    """Have the kernel refuse the calls above in every thread of this process, those to come among them."""
    if os.uname().machine not in _ARCHITECTURES or sys.maxsize < 1 << 32:
        raise _MissingError
    column, architecture = _ARCHITECTURES[os.uname().machine]
    code = _filter(column, architecture, pid=os.getpid())
    program = _Program(len(code) // 8, code)
    flags = _FOR_ALL_THREADS | _WITHOUT_SLOWDOWN
    failed = ctypes.CDLL(None).syscall(_SECCOMP[column], _SET_MODE_FILTER, flags, ctypes.byref(program))
    if failed:  # below 0 the kernel refuses, above it names a thread that has another filter
        raise _MissingError


def _filter(column: int, architecture: int, *, pid: int) -> bytes:
    """Write the filter: each step decides, or leaves the number of the call to the next."""
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        *_unless_equal(architecture, _step(_RETURN, _KILL)),
        _step(_LOAD, _NUMBER),
        _step(_IF_AT_LEAST, _FIRST_NEW_CALL, otherwise=1),
        _step(_RETURN, _UNKNOWN),
    ]
    for number in _numbers(_FORBIDDEN, column):
        steps += _if_equal(number, _step(_RETURN, _REFUSE))
    for number in _numbers(_OF_ITSELF_ONLY, column):
        steps += _if_equal(
            number,
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_IF_EQUAL, 0, then=1),
            _step(_IF_EQUAL, pid, otherwise=1),
            _step(_RETURN, _ALLOW),
            _step(_RETURN, _REFUSE),
        )
    steps += _if_equal(
        _CLONE[column],
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_IF_ANY_BIT, _CLONE_THREAD, then=1),
        _step(_RETURN, _REFUSE),
    )
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _numbers(table: str, column: int) -> list[int]:
    words = table.split()
    return [int(number) for number in words[1 + column :: 3] if number != "-"]


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _if_equal(value: int, *steps: bytes) -> list[bytes]:
    return [_step(_IF_EQUAL, value, otherwise=len(steps)), *steps]


def _unless_equal(value: int, *steps: bytes) -> list[bytes]:
    return [_step(_IF_EQUAL, value, then=len(steps)), *steps]
