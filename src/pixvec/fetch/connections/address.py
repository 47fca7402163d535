"""A socket address -> may it be dialled? Judged when a socket is opened for it, after DNS, whatever the URL said.

The tables follow IANA's special-purpose address registries. `ipaddress.is_global` is not enough: it is true for
multicast, for several clouds' metadata services and for most IPv6 forms that wrap an IPv4 address.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from pixvec.errors import UsageError
from pixvec.fetch.caller import current_caller

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


_CLOUD: Final = "a cloud's metadata service"
_LOOPBACK: Final = "a loopback address"
_PRIVATE: Final = "a private address"
_SHARED: Final = "an address shared by a carrier's customers"
_WRAPPED: Final = "an IPv6 address that wraps an IPv4 one"
_RESERVED: Final = "a reserved address"

_RULES: Final = tuple(
    (rule, tuple(map(ipaddress.ip_network, networks.split())))
    for rule, networks in (
        (_CLOUD, "168.63.129.16 192.0.0.192 100.100.100.200"),
        (_CLOUD, "fd00:ec2::254 fd20:ce::254 fd00:42::42"),
        ("a link-local address", "169.254.0.0/16 fe80::/10"),
        (_LOOPBACK, "127.0.0.0/8 0.0.0.0/8 ::1 ::"),
        (_PRIVATE, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10"),
        (_SHARED, "100.64.0.0/10"),
        ("a multicast address", "224.0.0.0/4 ff00::/8"),
        ("a documentation address", "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
        (_RESERVED, "192.0.0.0/24 192.88.99.0/24 198.18.0.0/15 240.0.0.0/4"),
        (_WRAPPED, "::/96 ::ffff:0:0:0/96 64:ff9b:1::/48 2001::/32 2002::/16"),
        (_RESERVED, "2001::/23"),
    )
)
"""What must not be dialled, the narrow before the wide."""

_OPENED_BY_ALLOW_PRIVATE: Final = frozenset([_LOOPBACK, _PRIVATE, _SHARED])
"""Where people run servers of their own. Metadata services hold secrets, and the others no images."""

_PRIVATE_NETWORKS: Final = tuple(
    network for rule, networks in _RULES if rule in _OPENED_BY_ALLOW_PRIVATE for network in networks
)
_METADATA: Final = tuple(network for rule, networks in _RULES if rule == _CLOUD for network in networks)

_UNWRAPPED: Final = tuple(map(ipaddress.IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96")))
"""IPv4 in its mapped form, and through NAT64, by which a network without IPv4 reaches every IPv4 server."""

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_ISATAP: Final = frozenset([0x0000_5EFE, 0x0200_5EFE])
"""What stands before the IPv4 address in the lower half of an ISATAP address (RFC 5214, section 6.1)."""

# fmt: off
_BAD_PORTS: Final = frozenset([
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530,
    531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
    5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
])
# fmt: on
"""The bad ports of the fetch standard (https://fetch.spec.whatwg.org/#port-blocking), and Redis's 6379."""

_MAX_LISTED: Final = 1_000
"""Addresses that are kept to be told; a network may have millions."""

_ALLOWED: Final = re.compile(
    r"(?P<address>\[[^\]]+\]|[^\[\]:/]+|[^\[\]/]*:[^\[\]/]*:[^\[\]/]*)(?P<bits>/[0-9]+)?(:(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True, slots=True)
class AllowedAddress:
    """What one ``allow_address`` opens: a network, at one port or at all that are not bad ports."""

    network: Network
    port: int | None

    def __str__(self) -> str:
        address, _, bits = str(self.network).partition("/")
        size = "" if int(bits) == self.network.max_prefixlen else f"/{bits}"
        host = f"[{address}]" if self.network.version == 6 and self.port is not None else address
        return f"{host}{size}" if self.port is None else f"{host}{size}:{self.port}"

    def opens(self, address: Address, port: int) -> bool:
        """Tell whether this address and port are let through."""
        right_port = port not in _BAD_PORTS if self.port is None else port == self.port
        return right_port and address in self.network


def lets_through(opened: AllowedAddress, allowed: Iterable[AllowedAddress], *, allow_private: bool) -> bool:
    """Tell whether all that one ``allow_address`` opened is open by others, or by ``allow_private``."""
    if allow_private and not any(_overlap(opened.network, network) for network in _METADATA):
        allowed = (*allowed, *(AllowedAddress(network, None) for network in _PRIVATE_NETWORKS))
    return any(_covers(one, opened) for one in allowed)


def _covers(one: AllowedAddress, other: AllowedAddress) -> bool:
    is_inside = _overlap(one.network, other.network) and one.network.prefixlen <= other.network.prefixlen
    return is_inside and (one.port == other.port or (one.port is None and other.port not in _BAD_PORTS))


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def parse_allowed(text: str) -> AllowedAddress:
    """Read ``ADDRESS[/BITS][:PORT]``; an IPv6 address before a port stands in brackets.

    Raises
    ------
    UsageError
        For anything else, names included.
    """
    parts = _ALLOWED.fullmatch(text)
    if parts is None:
        raise _unreadable(text, "expected ADDRESS[/BITS][:PORT]")
    try:
        network = ipaddress.ip_network(f"{parts['address'].strip('[]')}{parts['bits'] or ''}")
    except ValueError as error:
        raise _unreadable(text, str(error)) from None
    return AllowedAddress(network, int(parts["port"]) if parts["port"] else None)


def _unreadable(text: str, reason: str) -> UsageError:
    return UsageError(
        f"`allow_address=[{text!r}]`: {reason}; it takes IP addresses and no names, "
        "because a name's address can change between the check and the connection"
    )


class AddressBlockedError(OSError):
    """An address that must not be dialled; an OSError with an errno, because that is what aiohttp hands on."""

    def __init__(self, rule: str) -> None:
        # One text for all rules: aiohttp hands on the first of several errors only where their texts are equal.
        super().__init__(errno.EACCES, "the address guard refused it")
        openers = "`allow_address` or `allow_private`" if rule in _OPENED_BY_ALLOW_PRIVATE else "`allow_address`"
        self.detail = f"{rule}; {openers} may open it"


class AddressGuard:
    """Opens sockets, and only for addresses that may be dialled.

    The `Caller` learns which of the addresses that a socket was opened for may be dialled only because an option says
    so, and which of those that were refused are servers of the user's own, perhaps: on this machine or in its networks.
    Of both the first ones, as ``ADDRESS:PORT``.
    """

    def __init__(self, *, allow_private: bool, allowed: Iterable[AllowedAddress]) -> None:
        self._opened = _OPENED_BY_ALLOW_PRIVATE if allow_private else frozenset[str]()
        self._allowed = tuple(allowed)

    def open_socket(self, addr_info: tuple[Any, ...]) -> socket.socket:
        """Open a socket for one entry of getaddrinfo's answer, or raise AddressBlockedError."""
        family, kind, protocol, _, (host, port, *_) = addr_info
        if rule := self.refusal(host, port):
            raise AddressBlockedError(rule)
        if _rule(_unwrap(ipaddress.ip_address(host)), port):
            _note(current_caller().private_addresses, host, port)
        return socket.socket(family, kind, protocol)

    def check_named(self, host: str, port: int) -> None:
        """Refuse an address that a URL names, before anything is set up to dial it.

        Raises
        ------
        AddressBlockedError
            When it must not be dialled.
        """
        if rule := self.refusal(host, port):
            if rule in _OPENED_BY_ALLOW_PRIVATE:
                _note(current_caller().refused_addresses, host, port)
            raise AddressBlockedError(rule)

    def refusal(self, host: str, port: int) -> str | None:
        """Name the rule against an address and port; None where it may be dialled."""
        address = _unwrap(ipaddress.ip_address(host))
        if any(allowed.opens(address, port) for allowed in self._allowed):
            return None
        rule = _rule(address, port)
        return None if rule in self._opened else rule


@lru_cache(4096)
def network_of(address: str) -> str:
    """Return the network that an address has in common with those of the same owner: 64 bits of version 6."""
    unwrapped = _unwrap(ipaddress.ip_address(address))
    if isinstance(unwrapped, ipaddress.IPv4Address):
        return str(unwrapped)
    return str(ipaddress.IPv6Network((int(unwrapped), 64), strict=False))


def _note(servers: set[str], host: str, port: int) -> None:
    if len(servers) < _MAX_LISTED:
        address = _unwrap(ipaddress.ip_address(host))
        servers.add(f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}")


def _rule(address: Address, port: int) -> str | None:
    """Name the rule against an address and port that no option opens."""
    return f"port {port}, which belongs to another protocol" if port in _BAD_PORTS else _rule_against(address)


def _rule_against(address: Address) -> str | None:
    for rule, networks in _RULES:
        if any(address in network for network in networks):
            return rule
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return _WRAPPED
    return None if address in _GLOBAL_UNICAST else _RESERVED


def _unwrap(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _UNWRAPPED):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
