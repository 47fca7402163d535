"""The stable codes that say why a row has no vector: what each means, what helps, and whether a later try may succeed.

docs/failures.md and the report's advice are made from this table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_STATUS: Final = re.compile(r"http_(\d{3})")
_RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class Code:
    """One reason.

    Parameters
    ----------
    name
        As it stands in the table; ``http_NNN`` stands for every status.
    stage
        Where on its road the row ended: input, address, network, image or pixvec.
    meaning, advice
        What happened and what to do, a sentence or two each.
    retryable
        Whether the row may succeed at a later time, with nothing changed.
    """

    name: str
    stage: str
    meaning: str
    advice: str
    retryable: bool = False


CODES: Final = {
    code.name: code
    for code in (
        Code("null_input", "input", "The cell is empty.", "Nothing, or find out why the column has gaps."),
        Code(
            "not_a_text",
            "input",
            "Texts are embedded, and the cell holds something else: a number, bytes.",
            "The detail names its type. Turn it into text, or name another column.",
        ),
        Code(
            "invalid_url",
            "input",
            "The cell holds no URL that can be requested: no host, an illegal character, a user name, or a path.",
            "The detail names what is wrong. Local files need `files_under`.",
        ),
        Code(
            "scheme_blocked",
            "input",
            "The cell, or a redirect, names another scheme than http and https, or a bucket that is not let in.",
            "`allow_bucket=['s3://NAME']` lets one bucket in. Fetch other files by other means, and give their local "
            "paths with `files_under`.",
        ),
        Code(
            "path_blocked",
            "input",
            "A local path that leads out of the folder of `files_under`, or to something that is no regular file; or "
            "a key in a bucket with `.` or `..` between slashes.",
            "Move the file into the folder, or name the folder that holds it.",
        ),
        Code(
            "file_not_found",
            "input",
            "There is no such file in the folder of `files_under`, or no such object in a bucket.",
            "Check the folder: relative paths begin there. In a bucket, check the key, which is read to the letter.",
        ),
        Code(
            "file_error",
            "input",
            "The system would not read a local file, or a storage's client an object: often for want of credentials.",
            "Check permissions, the disk or the credentials, then retry.",
            retryable=True,
        ),
        Code(
            "opt_out",
            "input",
            "The server's `X-Robots-Tag` asks that the picture not be used this way.",
            "Respect it. `opt_out` says which directives count.",
        ),
        Code(
            "address_blocked",
            "address",
            "The URL, or a redirect, leads to an address that must not be dialled: this machine, a private network, a "
            "metadata service, another protocol's port.",
            "For servers of your own: `allow_address=['ADDRESS:PORT']` or `allow_private=True`.",
        ),
        Code("host_not_found", "address", "The host's name does not exist.", "The site is gone; look for a new URL."),
        Code(
            "dns_error",
            "address",
            "The host's name could not be looked up: its name servers fail or do not answer.",
            "Retry. If all hosts fail, check this machine's network.",
            retryable=True,
        ),
        Code(
            "connect_error",
            "network",
            "The server refused the connection or broke it before an answer came.",
            "Retry. If all hosts fail, a firewall may be in the way: see `proxy`.",
            retryable=True,
        ),
        Code(
            "tls_error",
            "network",
            "No secure connection: the certificate is expired, for another host or of an unknown issuer, or the server "
            "speaks no TLS that is still in use.",
            "Only the server's owner can repair it. A company's own issuer is found through `SSL_CERT_FILE`.",
        ),
        Code(
            "timeout",
            "network",
            "The server took longer than a try may take, or did not answer at all.",
            "Retry when the server is less busy.",
            retryable=True,
        ),
        Code(
            "truncated_body",
            "network",
            "The connection ended before the body was complete.",
            "Retry.",
            retryable=True,
        ),
        Code(
            "bad_response",
            "network",
            "What the server sent is no valid HTTP.",
            "Retry once; if it stays, the URL leads to something that is no web server.",
            retryable=True,
        ),
        Code(
            "too_many_redirects",
            "network",
            "The URL leads from redirect to redirect, more than ten.",
            "Often a log-in page that asks for a cookie: find the picture's own URL.",
        ),
        Code(
            "too_many_bytes",
            "network",
            "The body is larger than 32 MiB, packed or unpacked.",
            "Use a smaller rendition, or raise `max_bytes` in Python.",
        ),
        Code(
            "bad_encoding",
            "network",
            "The body came compressed, which was not asked for, and could not be unpacked.",
            "Only the server's owner can repair it.",
        ),
        Code(
            "http_NNN",
            "network",
            "The server answered with this status instead of the picture.",
            "401 and 403: it wants a log-in, a `header` or another `user_agent`, or a signed URL has expired. "
            "404 and 410: the picture is gone. 408, 425, 429 and 5xx: retry later.",
        ),
        Code(
            "not_an_image",
            "image",
            "The bytes are no picture: a web page, an error in JSON, nothing at all.",
            "Open the URL in a browser: often a page about the picture, or a log-in.",
        ),
        Code(
            "unsupported_format",
            "image",
            "A picture or document in a format that is not decoded; the detail names it.",
            "`formats='+tiff,+heic'` opens two more. Anything else must be converted first.",
        ),
        Code(
            "too_many_pixels",
            "image",
            "The picture has more than 100 megapixels.",
            "Use a smaller rendition, or raise `max_pixels` in Python.",
        ),
        Code(
            "corrupt_image",
            "image",
            "The picture is broken or cut off. A half picture is never embedded.",
            "Fetch it again at its source: what the server has is broken.",
        ),
        Code(
            "decoder_crash",
            "image",
            "The picture made its decoder crash, run for too long or take too much memory; it cost this row only.",
            "Treat the file as hostile. If it is yours, re-encode it.",
        ),
        Code(
            "internal_error",
            "pixvec",
            "A bug of pixvec's, kept as a row because of `keep_going=True`.",
            "Please report it, with the detail and the URL.",
            retryable=True,
        ),
    )
}
"""Every code by its name, along the road of a row."""


def code_of(name: str) -> Code | None:
    """Find the code that a row carries; every status has the one of ``http_NNN``."""
    return CODES.get("http_NNN" if _STATUS.fullmatch(name) else name)


def is_retryable(name: str) -> bool:
    """Tell whether a row that failed with this code may succeed at a later time."""
    if status := _STATUS.fullmatch(name):
        return int(status[1]) in _RETRYABLE_STATUSES
    return name in CODES and CODES[name].retryable
