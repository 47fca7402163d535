from __future__ import annotations

import pytest

from pixvec.errors import UsageError
from pixvec.fetch.connections.address import AddressGuard, parse_allowed


def words(text: str) -> list[str]:
    return text.split()


OPENED_BY_ALLOW_PRIVATE = words(
    """
    127.0.0.1 127.8.8.8 127.255.255.255 0.0.0.0 0.1.2.3 ::1 :: ::ffff:127.0.0.1 ::ffff:7f00:1 64:ff9b::7f00:1
    10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 ::ffff:10.0.0.1 100.64.0.0
    100.127.255.255 fc00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fec0::1
    """
)
CLOSED = words(
    """
    169.254.0.0 169.254.169.254 169.254.170.2 169.254.255.255 100.100.100.200 192.0.0.192 168.63.129.16
    fd00:ec2::254 fd20:ce::254 0:0:0:0:0:ffff:a9fe:a9fe 64:ff9b::a9fe:a9fe fe80::1 febf:ffff::1 192.0.0.0
    192.0.0.255 192.0.2.0 192.0.2.7 192.0.2.255 198.18.0.0 198.19.255.255 198.51.100.0 198.51.100.255 203.0.113.0
    203.0.113.255 192.88.99.0 192.88.99.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.255 ff00:: ff02::1
    ffff::1 100:: 100::1 2001:db8:: 2001:db8:ffff::1 2001:20:: 2001:2f:ffff::1 3fff:: 3fff:fff::1 5f00::1
    ::127.0.0.1 ::8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b:1::7f00:1 2002:7f00:1:: 2002:808:808::1
    2001:0:4136:e378:8000:63bf:3fff:fdd2 2606:4700::5efe:127.0.0.1 2606:4700::200:5efe:127.0.0.1 4000::1
    """
)
OPEN = words(
    """
    8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.0
    198.17.255.255 198.20.0.0 223.255.255.255 168.63.129.17 2606:4700::1 2001:4860:4860::8888 2a00:1450::1
    64:ff9b::8.8.8.8 ::ffff:8.8.8.8
    """
)


def guard(*allowed: str, allow_private: bool = False) -> AddressGuard:
    return AddressGuard(allow_private=allow_private, allowed=map(parse_allowed, allowed))


@pytest.mark.parametrize("host", [*OPENED_BY_ALLOW_PRIVATE, *CLOSED])
def test_refuses_what_is_not_public(host: str) -> None:
    assert guard().refusal(host, 80)


@pytest.mark.parametrize("host", OPEN)
def test_lets_public_addresses_through(host: str) -> None:
    assert guard().refusal(host, 443) is None


@pytest.mark.parametrize("host", OPENED_BY_ALLOW_PRIVATE)
def test_allow_private_opens_private_networks(host: str) -> None:
    assert guard(allow_private=True).refusal(host, 80) is None


@pytest.mark.parametrize("host", CLOSED)
def test_allow_private_leaves_the_rest_closed(host: str) -> None:
    assert guard(allow_private=True).refusal(host, 80)


@pytest.mark.parametrize("port", [0, 22, 25, 6379, 6667, 10080])
def test_refuses_ports_of_other_protocols(port: int) -> None:
    assert f"port {port}" in (guard(allow_private=True).refusal("8.8.8.8", port) or "")


@pytest.mark.parametrize(
    ("allowed", "host", "port", "opens"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000, True),
        ("127.0.0.1:8000", "::ffff:127.0.0.1", 8000, True),
        ("127.0.0.1:8000", "127.0.0.1", 8001, False),
        ("127.0.0.1:8000", "127.0.0.2", 8000, False),
        ("127.0.0.1:22", "127.0.0.1", 22, True),
        ("127.0.0.1", "127.0.0.1", 22, False),
        ("10.0.0.0/8", "10.255.0.1", 80, True),
        ("10.0.0.0/8:81", "10.255.0.1", 80, False),
        ("::1", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 81, False),
        ("[fd00::]/8:80", "fd12::1", 80, True),
        ("169.254.169.254", "169.254.169.254", 80, True),
    ],
)
def test_allow_address_opens_just_that(allowed: str, host: str, port: int, *, opens: bool) -> None:
    assert opens == (guard(allowed).refusal(host, port) is None)


@pytest.mark.parametrize("text", ["localhost:80", "localhost", "", "10.0.0.1/8", "10.0.0.0/64", "[::1", "1.2.3.4:x"])
def test_allow_address_takes_addresses_only_and_says_why(text: str) -> None:
    with pytest.raises(UsageError, match="a name's address can change"):
        parse_allowed(text)
