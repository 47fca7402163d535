"""Why the HTTP client could not read an answer, in words of ours.

The client names the fault and quotes the server behind it. Only what stands in the table is told, so that none of the
server's words are.
"""

from __future__ import annotations

from typing import Final

from aiohttp.http_exceptions import HttpProcessingError, InvalidHeader, LineTooLong

MAX_LINE_BYTES: Final = 64 << 10
"""Of a header line, as of the status line: what other clients take."""
MAX_HEAD_BYTES: Final = 256 << 10
"""Of all header lines together, as browsers have it; also of trailers, and of what stands between chunks."""
HEAD_TOO_LONG: Final = "Head too long"

_NO_COLON: Final = "a header line has no colon, or its name holds an illegal character"
_BAD_END: Final = "a line ends in the wrong characters"
_TWO_FRAMINGS: Final = "both Content-Length and Transfer-Encoding are given"
_NO_STATUS: Final = "it does not begin with a status line of HTTP/1"
_BAD_CHUNK: Final = "a chunk's length cannot be read, or the chunk is not of that length"

_SENTENCES: Final = {
    HEAD_TOO_LONG: f"its header, or what surrounds its body, is longer than {MAX_HEAD_BYTES >> 10} KiB",
    "Duplicate Content-Length": "Content-Length is given twice",
    "Empty Content-Length": "Content-Length is empty",
    "Invalid character in Content-Length": "Content-Length is not a number",
    "Content-Length overflow": "Content-Length is too large a number",
    "Content-Length can't be present with Transfer-Encoding": _TWO_FRAMINGS,
    "Transfer-Encoding can't be present with Content-Length": _TWO_FRAMINGS,
    "Invalid `Transfer-Encoding` header value": "Transfer-Encoding cannot be read",
    "Invalid header token": _NO_COLON,
    "Invalid header field char": _NO_COLON,
    "Invalid header value char": "a header's value holds an illegal character",
    "Unexpected space after start line": "a header line begins with a space",
    "Unexpected whitespace after header value": "a header line begins with a space",
    "Too many headers received": "it has too many header lines",
    "Missing expected CR after response line": _BAD_END,
    "Missing expected LF after header value": _BAD_END,
    "Missing expected CR after header value": _BAD_END,
    "Expected LF after headers": _BAD_END,
    "Expected HTTP/, RTSP/ or ICE/": _NO_STATUS,
    "Expected dot": _NO_STATUS,
    "Expected space after version": _NO_STATUS,
    "Invalid HTTP version": _NO_STATUS,
    "Invalid major version": _NO_STATUS,
    "Invalid minor version": _NO_STATUS,
    "Invalid status code": "its status is not a number of three digits",
    "Invalid response status": "its status is not a number of three digits",
    "Invalid character in chunk size": _BAD_CHUNK,
    "Chunk size overflow": _BAD_CHUNK,
    "Missing expected CR after chunk size": _BAD_CHUNK,
    "Expected LF after chunk size": _BAD_CHUNK,
    "Missing expected CR after chunk data": _BAD_CHUNK,
    "Expected LF after chunk data": _BAD_CHUNK,
}
"""By what llhttp, aiohttp's parser, or `pixvec.fetch.connections.pool` calls a fault."""


def http_fault(error: BaseException) -> str | None:
    """Say what was wrong with an answer, given what the client raised; None where that is not known."""
    cause: BaseException | None = error
    while cause is not None:
        if sentence := _sentence(cause):
            return sentence
        cause = cause.__cause__
    return None


def _sentence(error: BaseException) -> str | None:
    if isinstance(error, LineTooLong):
        return f"a header line is longer than {MAX_LINE_BYTES >> 10} KiB"
    if isinstance(error, InvalidHeader):
        return "a header's value holds an illegal character"
    if not isinstance(error, HttpProcessingError):
        return None
    fault = error.message.removeprefix("Bad status line:\n").lstrip()
    return _SENTENCES.get(fault.partition(":\n")[0])
