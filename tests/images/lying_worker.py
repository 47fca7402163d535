"""A decode worker that has been taken over: it answers what an image's bytes say, and starts fast.

The bytes are the answers to the two questions of an image, with a separator between them. Each answer is any number of
frames: a letter, the nonce's letter (``=`` for the right one), four bytes of length, and what the frame holds.
"""

import struct
import sys

HEAD = struct.Struct(">c8sI")
LIE = struct.Struct(">ccI")


def main() -> None:
    lies = [b"", b""]
    while head := sys.stdin.buffer.read(HEAD.size):
        kind, nonce, length = HEAD.unpack(head)
        body = sys.stdin.buffer.read(length)
        if kind == b"P":
            answer(LIE.pack(b"R", b"=", 2) + b"[]", nonce)
        elif kind == b"B":
            lies = body.split(b"\0then\0")
            answer(lies[0], nonce)
        else:
            answer(lies[1], nonce)


def answer(frames: bytes, nonce: bytes) -> None:
    while frames:
        kind, which, length = LIE.unpack_from(frames)
        payload, frames = frames[LIE.size : LIE.size + length], frames[LIE.size + length :]
        sys.stdout.buffer.write(HEAD.pack(kind, nonce if which == b"=" else which * 8, length) + payload)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
