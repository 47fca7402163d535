"""The options and limits of fetching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pixvec.errors import UsageError
from pixvec.fetch.buckets import parse_bucket
from pixvec.fetch.connections.address import parse_allowed
from pixvec.fetch.connections.proxy import parse_proxy
from pixvec.fetch.http.headers import check_user_agent, parse_header
from pixvec.fetch.http.opt_out import parse_opt_out
from pixvec.options import Options, limit, option

_MIB: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FetchOptions(Options, group="reach"):
    """What a fetch may reach, and what it may cost.

    Parameters
    ----------
    max_bytes
        Of one body.
    max_bytes_in_flight
        Of all bodies together, from their first byte to the end of their use.
    max_redirects
        Of one try.
    timeout_s
        Of one try, redirects and body included; waiting for a permit is not counted.
    connect_timeout_s
        To dial one server, TLS included.
    dns_timeout_s, dns_memory_s
        Of one look-up of a name, and how long its answer is good.
    max_open_wait_s
        How long a row waits while this process has as many files and connections open as it may; then the call ends.
    data_urls
        Whether a ``data:`` URL is an image, as in Python, or blocked, as in files.
    connections_per_host, first_connections_per_host
        To a host that answers well, and to one that is not known yet.
    tries, row_timeout_s
        Of one row, its waits between tries included; waiting for a permit is not counted.
    backoff_s
        The longest wait before the second try; it doubles for each one after.
    max_retry_after_s
        The longest wait that a server may ask for; one that asks for more is not asked again.
    down_after, down_retry_s
        A host that fails to answer so many times running is down: its rows are decided at once, and every so many
        seconds one of them asks it again.

    Raises
    ------
    UsageError
        For an address or a bucket to allow, a header, a proxy or a directive that cannot be read, and for a folder that
        is none.
    MissingExtraError
        For a bucket whose client is not installed.
    """

    connections: int = option(256, "connections in all", minimum=1, group="limits")
    allow_address: Sequence[str] = option((), "allow connections to a private address: ADDRESS[/BITS][:PORT]")
    allow_private: bool = option(False, "allow connections to this machine and to all private networks")
    user_agent: str | None = option(None, "the User-Agent header; pixvec's version and page when not given")
    header: Sequence[str] = option(
        (),
        "send a header to one host only, over https unless http:// is given: '[http://]HOST[:PORT]: Name: value'",
        secret=True,
    )
    proxy: str | None = option(
        None,
        "send all requests through a proxy, which must then do the filtering: http://[USER:PASSWORD@]HOST[:PORT]",
        secret=True,
    )
    files_under: str | Path | None = option(None, "let local files in this folder in; relative paths begin there")
    allow_bucket: Sequence[str] = option(
        (), "let one bucket in: s3://NAME, gs://NAME, az://CONTAINER or hf://datasets/OWNER/NAME"
    )
    opt_out: str = option(
        "noai,noimageai", "X-Robots-Tag directives that keep an image out: noai,noimageai,noindex,noimageindex or none"
    )
    connections_per_host: int = limit(64)
    first_connections_per_host: int = limit(16)
    max_bytes: int = limit(32 * _MIB)
    max_bytes_in_flight: int = limit(256 * _MIB)
    max_redirects: int = limit(10, minimum=0)
    timeout_s: float = limit(20.0, minimum=0.001)
    connect_timeout_s: float = limit(5.0, minimum=0.001)
    dns_timeout_s: float = limit(5.0, minimum=0.001)
    dns_memory_s: float = limit(30.0, minimum=0)
    max_open_wait_s: float = limit(60.0, minimum=0.001)
    data_urls: bool = limit(False, minimum=0)
    tries: int = limit(3)
    row_timeout_s: float = limit(60.0, minimum=0.001)
    backoff_s: float = limit(0.5, minimum=0)
    max_retry_after_s: float = limit(30.0, minimum=0)
    down_after: int = limit(5)
    down_retry_s: float = limit(30.0, minimum=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for address in self.allow_address:
            parse_allowed(address)
        for bucket in self.allow_bucket:
            parse_bucket(bucket)
        for header in self.header:
            parse_header(header)
        if self.user_agent is not None:
            check_user_agent(self.user_agent)
        if self.proxy is not None:
            parse_proxy(self.proxy)
        parse_opt_out(self.opt_out)
        if self.files_under is not None and not Path(self.files_under).is_dir():
            raise UsageError(f"`files_under={str(self.files_under)!r}`: there is no such folder")
