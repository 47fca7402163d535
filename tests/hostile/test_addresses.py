"""Addresses that must not be dialled, in every spelling and by every way: cases 15 to 33."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from pixvec.errors import FetchError, UsageError
from pixvec.fetch import FetchOptions
from pixvec.fetch.connections.address import AddressGuard
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import FakeDNS, Fetch
from tests.hostile.conftest import Outcome


def ends(network: str) -> list[str]:
    """The first address of a network, one inside, and the last."""
    parsed = ipaddress.ip_network(network)
    return [str(parsed[0]), str(parsed[parsed.num_addresses // 2]), str(parsed[-1])]


BLOCKED = {
    "15": ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "0.1.2.3", "::"],
    "16": [
        *(ends("10.0.0.0/8") + ends("172.16.0.0/12") + ends("192.168.0.0/16")),
        *ends("100.64.0.0/10"),
    ],
    "17": [
        *("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
        *("fd00:ec2::254", "fd20:ce::254"),
    ],
    "18": [
        address
        for network in (
            *("192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "192.88.99.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
            *("100::/64", "2001:db8::/32", "2001:20::/28", "3fff::/20", "5f00::/16"),
        )
        for address in ends(network)
    ],
    "19": [
        *("::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:a9fe:a9fe", "::127.0.0.1", "::ffff:0:127.0.0.1"),
    ],
    "20": [
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::"),
        *("fe80::5efe:127.0.0.1", "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:127.0.0.1"),
    ],
}
ADDRESSES = [
    pytest.param(address, id=f"{case}-{address}") for case, addresses in BLOCKED.items() for address in addresses
]
WRITTEN_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|::|[0-9a-f]{1,4}(:[0-9a-f]{1,4}){2}")


def assert_blocked(error: FetchError) -> None:
    assert error.code == "address_blocked"
    assert not WRITTEN_ADDRESS.search(error.detail)  # case 32: the rule is named, and no address


@pytest.mark.parametrize("address", ADDRESSES)
def test_case_15_to_20_an_address_in_a_url(canary: ImageServer, fetch: Fetch, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(FetchError) as raised:
        fetch(f"http://{host}:{canary.port}/")
    assert_blocked(raised.value)


@pytest.mark.parametrize("address", ADDRESSES)
def test_case_15_to_20_an_address_behind_a_name(canary: ImageServer, fetch: Fetch, address: str) -> None:
    with pytest.raises(FetchError) as raised:
        fetch(f"http://h.example:{canary.port}/", resolver=FakeDNS(h_example=[[address]]))
    assert_blocked(raised.value)


def test_case_15_localhost(canary: ImageServer, outcome: Outcome) -> None:
    assert outcome(f"http://localhost:{canary.port}/") == "address_blocked"


@pytest.mark.parametrize("address", ["100.63.255.255", "100.128.0.0", "172.32.0.1", "8.8.8.8", "2606:4700::1"])
def test_case_16_the_neighbours_of_private_networks_are_open(address: str) -> None:
    assert AddressGuard(allow_private=False, allowed=()).refusal(address, 80) is None


@pytest.mark.parametrize("name", ["metadata.google.internal", "metadata.tencentyun.com"])
def test_case_17_the_name_of_a_metadata_service(canary: ImageServer, outcome: Outcome, name: str) -> None:
    dns = FakeDNS(**{name: [["169.254.169.254"]]})
    assert outcome(f"http://{name}:{canary.port}/computeMetadata/v1/", resolver=dns) == "address_blocked"


@pytest.mark.parametrize(
    "host",
    [
        *("0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "127.1", "0", "017700000001", "0251.254.169.254"),
        *("425.510.425.510", "7147006462", "127.0.0.1.", "%31%32%37.0.0.1", "127。0。0。1"),
        *("①②⑦.⓪.⓪.①", "\uff11\uff12\uff17.0.0.1", "\uff11\uff12\uff17\uff0e\uff10\uff0e\uff10\uff0e\uff11"),
    ],
    ids=ascii,
)
def test_case_21_and_22_other_spellings_of_addresses(canary: ImageServer, outcome: Outcome, host: str) -> None:
    assert outcome(f"http://{host}:{canary.port}/") in {"address_blocked", "invalid_url"}


@pytest.mark.parametrize(
    "cell",
    [
        "http://127.0.0.1:{port} &@127.0.0.2:{port}# @127.0.0.3/",
        "http://a.example\\@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}\\@127.0.0.2:{port}/",
        "http://user:pw@127.0.0.1:{port}/",
        "http://a.example:80@127.0.0.1:{port}/",
    ],
)
def test_case_23_two_hosts_in_one_url(canary: ImageServer, outcome: Outcome, cell: str) -> None:
    assert outcome(cell.format(port=canary.port)) == "invalid_url"


def test_case_24_a_name_that_turns_private_after_it_was_looked_up(canary: ImageServer, outcome: Outcome) -> None:
    dns = FakeDNS(h_example=[["127.0.0.2"], ["127.0.0.1"]])
    allowed = (f"127.0.0.2:{canary.port}",)
    url = f"http://h.example:{canary.port}/"
    assert outcome(url, resolver=dns, allow_address=allowed, dns_memory_s=0.0) == "address_blocked"
    assert dns.asked == ["h.example"] * 2


def test_case_25_of_a_public_and_a_private_address_only_one_is_dialled(
    server: ImageServer, canary: ImageServer, outcome: Outcome
) -> None:
    server.add("/", body=b"ok")
    dns = FakeDNS(h_example=[["10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1"]], private_example=[["127.0.0.1", "::1"]])
    assert outcome(f"http://h.example:{server.port}/", resolver=dns) == "ok"
    assert outcome(f"http://private.example:{canary.port}/", resolver=dns) == "address_blocked"


def test_case_25_a_dead_address_beside_a_living_one(server: ImageServer, outcome: Outcome) -> None:
    server.add("/", body=b"ok")
    dns = FakeDNS(h_example=[["::1", "127.0.0.1"]])
    allowed = (server.address, f"[::1]:{server.port}")
    assert outcome(f"http://h.example:{server.port}/", resolver=dns, allow_address=allowed) == "ok"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://127.0.0.1:{port}/", "address_blocked"),
        ("//127.0.0.1:{port}/", "address_blocked"),
        ("http://2130706433:{port}/", "invalid_url"),
        ("http://user:pw@127.0.0.1:{port}/", "invalid_url"),
        ("file:///etc/passwd", "scheme_blocked"),
        ("data:image/png;base64,AAAA", "scheme_blocked"),
    ],
)
def test_case_26_a_redirect_to_where_no_cell_may_lead(
    server: ImageServer, canary: ImageServer, fetch: Fetch, status: int, location: str, code: str
) -> None:
    url = server.add("/", status=status, headers={"Location": location.format(port=canary.port)})
    with pytest.raises(FetchError, match=rf"^{code}: .*redirect 1") as raised:
        fetch(url, data_urls=True)
    assert "pw" not in raised.value.detail


@pytest.fixture
def https_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ImageServer]:
    """A server whose certificate is trusted."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with ImageServer(tls=context) as running:
        yield running


def test_case_27_a_downgrade_is_followed_without_the_users_headers(
    server: ImageServer, https_server: ImageServer, outcome: Outcome
) -> None:
    target = server.add("/", body=b"ok")
    url = https_server.add("/", status=302, headers={"Location": target})
    secure = https_server.address
    headers = (f"{secure}: Authorization: Bearer x", f"{secure}: Cookie: a=b", f"{server.url('')}: Cookie: a=b")
    assert outcome(url, allow_private=True, header=headers) == "ok"
    assert {"authorization", "cookie"} <= set(https_server.requests[0].headers)
    assert not {"authorization", "cookie"} & set(server.requests[0].headers)


def test_case_27_another_host_does_not_get_the_users_headers(server: ImageServer, outcome: Outcome) -> None:
    server.add("/b", body=b"ok")
    dns = FakeDNS(a_example=[["127.0.0.1"]], b_example=[["127.0.0.1"]])
    server.add("/a", status=302, headers={"Location": f"http://b.example:{server.port}/b"})
    header = (f"http://a.example:{server.port}: Authorization: Bearer x",)
    assert outcome(f"http://a.example:{server.port}/a", resolver=dns, header=header) == "ok"
    assert ["authorization" in request.headers for request in server.requests] == [True, False]


@pytest.mark.parametrize(
    ("location", "code"),
    [("/0", "too_many_redirects"), (None, "http_302"), ("/中.png", "ok"), ("中.png", "ok")],
    ids=["loop", "none", "UTF-8", "relative"],
)
def test_case_28_odd_redirects(server: ImageServer, outcome: Outcome, location: str | None, code: str) -> None:
    server.add("/%E4%B8%AD.png", body=b"ok")
    field = b"" if location is None else b"Location: " + location.encode() + b"\r\n"
    url = server.add_raw("/0", [b"HTTP/1.1 302 -\r\nContent-Length: 0\r\n" + field + b"\r\n"])
    assert outcome(url) == code


def test_case_28_a_chain_of_eleven(server: ImageServer, outcome: Outcome) -> None:
    for hop in range(11):
        server.add(f"/{hop}", status=302, headers={"Location": f"/{hop + 1}"})
    server.add("/11", body=b"ok")
    assert (outcome(server.url("/1")), outcome(server.url("/0"))) == ("ok", "too_many_redirects")


@pytest.mark.parametrize("port", [0, 1, 7, 21, 22, 23, 25, 110, 143, 465, 587, 2049, 3659, 6000, 6379, 6667, 10080])
def test_case_29_ports_of_other_protocols(outcome: Outcome, port: int) -> None:
    assert outcome(f"http://h.example:{port}/", resolver=FakeDNS(h_example=[["8.8.8.8"]])) == "address_blocked"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_case_30_a_proxy_in_the_environment_is_ignored(
    server: ImageServer,
    https_server: ImageServer,
    canary: ImageServer,
    outcome: Outcome,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, canary.url(""))
    for asked in (server, https_server):
        url = asked.add("/", body=b"ok")
        assert outcome(url, allow_address=(asked.address, canary.address)) == "ok"


def test_case_33_an_address_that_is_allowed_opens_alone(
    server: ImageServer, canary: ImageServer, outcome: Outcome
) -> None:
    server.add("/", body=b"ok")
    assert outcome(server.url("/"), allow_address=(server.address,)) == "ok"
    assert outcome(canary.url("/"), allow_address=(server.address,)) == "address_blocked"


def test_case_33_a_name_cannot_be_allowed() -> None:
    with pytest.raises(UsageError, match="a name's address can change"):
        FetchOptions(allow_address=("localhost:80",))
