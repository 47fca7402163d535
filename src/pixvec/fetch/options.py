"""The options and limits of fetching. This module must not know how they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pixvec.fetch.address import parse_allowed
from pixvec.options import limit, option

_MIB: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """What a fetch may reach, and what it may cost.

    Parameters
    ----------
    max_bytes
        Of one body.
    max_bytes_in_flight
        Of all bodies together, from their first byte to the end of their use.
    timeout_s
        Of one try, redirects and body included; waiting for a turn is not counted.
    connect_timeout_s
        To dial one server, TLS included.

    Raises
    ------
    UsageError
        For an address to allow that cannot be read.
    """

    connections: int = option(256, "connections in all", minimum=1)
    allow_private: bool = option(False, "fetch from private networks and from this machine too")
    allow_address: tuple[str, ...] = option((), "let ADDRESS[/BITS][:PORT] through the address guard")
    connections_per_host: int = limit(16)
    max_bytes: int = limit(32 * _MIB)
    max_bytes_in_flight: int = limit(256 * _MIB)
    max_redirects: int = limit(10, minimum=0)
    timeout_s: float = limit(20.0, minimum=0.001)
    connect_timeout_s: float = limit(5.0, minimum=0.001)
    dns_timeout_s: float = limit(5.0, minimum=0.001)

    def __post_init__(self) -> None:
        for address in self.allow_address:
            parse_allowed(address)
