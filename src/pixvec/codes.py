"""The stable codes that say why a row has no vector: what each means, what helps, and whether a later try may succeed.

docs/failures.md and the report's advice are made from this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

ANY_SERVER: Final = "ADDRESS:PORT"
"""What stands in an advice for a server that the user has to name."""

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
        Where in the pipeline the row ended: input, address, network, image or pixvec.
    meaning, advice
        What happened and what to do, one sentence each.
    retryable
        Whether the row may succeed at a later time, with nothing changed.
    lifted_by
        The options that let more in and so may lift it, each with a value to try; None where only the user knows one.
    """

    name: str
    stage: str
    meaning: str
    advice: str
    retryable: bool = False
    lifted_by: Mapping[str, str | None] = field(default_factory=dict)


CODES: Final = {
    code.name: code
    for code in (
        Code("null_input", "input", "The cell is empty.", "Find out why the column has gaps, if it should have none."),
        Code(
            "not_a_text",
            "input",
            "The cell holds no text, but a number, bytes or something else that the detail names.",
            "Turn the cell into text, or name another column.",
        ),
        Code(
            "invalid_url",
            "input",
            "The cell holds no URL that can be requested, for the reason that the detail names.",
            "Correct the cell; if it is the path of a file, name the folder that holds it with `files_under`.",
            lifted_by={"files_under": None},
        ),
        Code(
            "scheme_blocked",
            "input",
            "The cell, or a redirect, names another scheme than http and https, or a bucket that is not allowed.",
            "Allow a bucket with `allow_bucket=['s3://NAME']`, or download the file and use `files_under`.",
            lifted_by={"allow_bucket": None, "files_under": None, "data_urls": None},
        ),
        Code(
            "path_blocked",
            "input",
            "The path leads out of the folder of `files_under` or to something that is no regular file, or the key of "
            "an object has `.` or `..` between slashes.",
            "Move the file into the folder, or name the folder that holds it.",
            lifted_by={"files_under": None},
        ),
        Code(
            "file_not_found",
            "input",
            "There is no such file in the folder of `files_under`, or no such object in the bucket.",
            "Check that relative paths begin in that folder, and that the key of an object is spelled exactly.",
            lifted_by={"files_under": None},
        ),
        Code(
            "file_error",
            "input",
            "The system could not read a local file, or the client of an object store could not read an object.",
            "Check permissions, the disk and the credentials, then retry.",
            retryable=True,
        ),
        Code(
            "opt_out",
            "input",
            "The server's `X-Robots-Tag` header asks that the image not be used this way.",
            "Respect it, or say with `opt_out` which directives count.",
            lifted_by={"opt_out": None},
        ),
        Code(
            "address_blocked",
            "address",
            "The URL, or a redirect, leads to an address that is not allowed: this machine, a private network, a "
            "metadata service or a port of another protocol.",
            f"Allow a server of your own with `allow_address=['{ANY_SERVER}']`, or all private networks with "
            "`allow_private=True`.",
            lifted_by={"allow_address": ANY_SERVER, "allow_private": None},
        ),
        Code(
            "host_not_found", "address", "The host name does not exist.", "Look for a new URL, since the site is gone."
        ),
        Code(
            "dns_error",
            "address",
            "The host name could not be looked up, because its name servers fail or do not answer.",
            "Retry, and check this machine's network if all hosts fail.",
            retryable=True,
        ),
        Code(
            "connect_error",
            "network",
            "The server refused the connection or broke it before it answered.",
            "Retry, and if all hosts fail look for a firewall and see `proxy`.",
            retryable=True,
        ),
        Code(
            "tls_error",
            "network",
            "No secure connection was possible: the certificate is expired, for another host or of an unknown issuer, "
            "or the server supports no current version of TLS.",
            "Ask the server's owner to repair it, or name your company's own issuer in `SSL_CERT_FILE`.",
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
            "The server sent something that is not valid HTTP, or a header line over 64 KiB; the detail names the "
            "fault.",
            "Retry once; if it stays, the URL leads to something other than a web server.",
            retryable=True,
        ),
        Code(
            "too_many_redirects",
            "network",
            "The URL leads through more than ten redirects.",
            "Find the image's own URL, since this is often a login page that asks for a cookie.",
            lifted_by={"max_redirects": None},
        ),
        Code(
            "too_many_bytes",
            "network",
            "The body is larger than 32 MiB, compressed or not.",
            "Use a smaller version of the image, or raise `max_bytes` in Python.",
            lifted_by={"max_bytes": None},
        ),
        Code(
            "bad_encoding",
            "network",
            "The body was compressed, which was not asked for, and could not be decompressed.",
            "Ask the server's owner to repair it.",
        ),
        Code(
            "http_NNN",
            "network",
            "The server answered with this status instead of the image; only 200, 201, 203, and a 206 that holds the "
            "whole image are read.",
            "Open the URL in a browser to see what the server sends.",
        ),
        Code(
            "not_an_image",
            "image",
            "The bytes are not an image, but a web page, an error in JSON, nothing at all or something else.",
            "Open the URL in a browser, which often shows a page about the image, or a login.",
        ),
        Code(
            "unsupported_format",
            "image",
            "The file is an image or a document in a format or variant that is not decoded; the detail names it.",
            "Open two more formats with `formats='+tiff,+heic'`, or convert the file.",
            lifted_by={"formats": "+tiff,+heic"},
        ),
        Code(
            "too_many_pixels",
            "image",
            "The image has more than 100 megapixels.",
            "Use a smaller version of the image, or raise `max_pixels` in Python.",
            lifted_by={"max_pixels": None},
        ),
        Code(
            "corrupt_image",
            "image",
            "The image is broken or cut off, and half an image is never embedded.",
            "Get the image from its source again, since the server's copy is broken.",
        ),
        Code(
            "decoder_crash",
            "image",
            "The image made its decoder crash, run for too long or take too much memory, which cost this row only.",
            "Treat the file as hostile; if it is yours, encode it again.",
        ),
        Code(
            "internal_error",
            "pixvec",
            "Pixvec has a bug, or the model gave a vector that is not finite; this became the row's reason because of "
            "`keep_going=True`.",
            "Please report a bug, with the detail and the URL.",
            retryable=True,
        ),
    )
}
"""Every code by its name, in the order of the pipeline."""

STATUSES: Final = (
    (
        ("401", "403", "407"),
        "The server refuses access.",
        "Send what it asks for with `header`, try another `user_agent`, or renew a signed URL that has expired.",
    ),
    (("404", "410"), "The server has no image at this URL.", "Look for a new URL, since the image is gone."),
    (("408",), "The server gave up waiting for the request.", "Retry when the network is less busy."),
    (("425", "429"), "The server asks for fewer requests.", "Retry later, or with fewer `connections`."),
    (("451",), "The server may not show the image, for legal reasons.", "Leave the image out."),
    (("5xx",), "The server failed.", "Retry later, and ask the server's owner if it stays."),
)
"""Statuses that mean more than ``http_NNN`` does: what, and what helps."""


def code_of(name: str) -> Code | None:
    """Find the code that a row carries; a status has the one of ``http_NNN``, with what this status means."""
    if not (status := _STATUS.fullmatch(name)):
        return CODES.get(name)
    same = {status[1], f"{status[1][0]}xx"}
    meant = ((meaning, advice) for statuses, meaning, advice in STATUSES if same.intersection(statuses))
    meaning, advice = next(meant, (CODES["http_NNN"].meaning, CODES["http_NNN"].advice))
    return replace(CODES["http_NNN"], meaning=meaning, advice=advice, retryable=is_retryable(name))


def advice_on(name: str) -> str | None:
    """Say what helps against a code; None for one that is none of pixvec's."""
    code = code_of(name)
    return None if code is None else code.advice


def is_retryable(name: str) -> bool:
    """Tell whether a row that failed with this code may succeed at a later time."""
    if status := _STATUS.fullmatch(name):
        return int(status[1]) in _RETRYABLE_STATUSES
    return name in CODES and CODES[name].retryable
