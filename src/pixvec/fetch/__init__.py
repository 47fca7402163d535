"""URL -> bytes: one pooled client that asks politely, in bounded memory, and dials no address that it must not.

A cell's text goes into `parse`, a `URL` into `Fetcher.fetch`; bytes or a `FetchError` come out.
"""

from pixvec.fetch.attempt import Fetched
from pixvec.fetch.backlog import Backlog
from pixvec.fetch.caller import Caller
from pixvec.fetch.client import Fetcher, Source
from pixvec.fetch.connections.address import parse_allowed
from pixvec.fetch.data_url import is_data_url, read_data_url
from pixvec.fetch.files import LocalFile, read_file
from pixvec.fetch.http.validators import Validators
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.url import URL, looks_like_url, parse, parse_path, redacted

__all__ = [
    "URL",
    "Backlog",
    "Caller",
    "FetchOptions",
    "Fetched",
    "Fetcher",
    "LocalFile",
    "Source",
    "Validators",
    "is_data_url",
    "looks_like_url",
    "parse",
    "parse_allowed",
    "parse_path",
    "read_data_url",
    "read_file",
    "redacted",
]
