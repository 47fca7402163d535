from __future__ import annotations

import pytest

from pixvec.errors import FetchError
from pixvec.fetch import looks_like_url, parse


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        pytest.param("http://h.example/a.png", "http://h.example/a.png", id="as it is"),
        pytest.param("HTTP://H.Example/A.png", "http://h.example/A.png", id="case"),
        pytest.param("\ufeff  https://h.example/a \r\n", "https://h.example/a", id="trimmed"),
        pytest.param("http://h.example", "http://h.example/", id="no path"),
        pytest.param("http://h.example?a=1", "http://h.example/?a=1", id="query without path"),
        pytest.param("http://h.example:80/a", "http://h.example/a", id="the scheme's own port"),
        pytest.param("http://h.example:/a", "http://h.example/a", id="empty port"),
        pytest.param("http://h.example:8080/a", "http://h.example:8080/a", id="another port"),
        pytest.param("http://[2606:4700:0::1]:8080/a", "http://[2606:4700::1]:8080/a", id="IPv6"),
        pytest.param("http://h.example/a#b?c", "http://h.example/a", id="fragment"),
        pytest.param("example.com/a.png", "https://example.com/a.png", id="no scheme"),
        pytest.param("//h.example/a.png", "https://h.example/a.png", id="two slashes"),
        pytest.param("http://bücher.example/", "http://xn--bcher-kva.example/", id="IDN"),
        pytest.param("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", id="A-label"),
        pytest.param("http://example。com/", "http://example.com/", id="ideographic full stop"),
        pytest.param("http://foo_bar.host/", "http://foo_bar.host/", id="underscore"),
        pytest.param("http://host.example./", "http://host.example./", id="trailing dot"),
        pytest.param("http://①②⑦.⓪.⓪.①/", "http://127.0.0.1/", id="circled digits"),
        pytest.param("http://\uff11\uff12\uff17.0.0.1/", "http://127.0.0.1/", id="fullwidth digits"),
    ],
)
def test_reads_a_url(cell: str, expected: str) -> None:
    assert expected == str(parse(cell))
    assert looks_like_url(cell)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a b.png", "/a%20b.png"),
        ("/a%20b.png", "/a%20b.png"),
        ("/%E4%B8%AD.png", "/%E4%B8%AD.png"),
        ("/中.png", "/%E4%B8%AD.png"),
        ("/a%2Fb.png", "/a%2Fb.png"),
        ("/100%.png", "/100%25.png"),
        ("/%7E%41?x=%3D%7e", "/%7E%41?x=%3D%7e"),
        ("/a?", "/a?"),
        ("/a?url=http://x/y&b=a+b", "/a?url=http://x/y&b=a+b"),
        ("/a%23b.png", "/a%23b.png"),
        ("/a/../b/./c//d", "/a/../b/./c//d"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
    ],
)
def test_escapes_only_what_is_illegal(target: str, expected: str) -> None:
    assert expected == parse(f"http://h.example{target}").target


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "not a url",
        "example.com",
        "http:",
        "http://",
        "http:///a.png",
        "http:/a.png",
        "http://[",
        "http://[::1",
        "http://[fe80::1%eth0]/",
        "http://a:99999/",
        "http://a:80:80/",
        "http://a:٨٠/",
        "http://h.example/\r\nX: y",
        "http://ex\tample.com/",
        "http://h.example/\x00",
        "http://h.example/\ud800",
        "http://h.example\\@127.0.0.1/",
        "http://127.1.1.1:80\\@127.2.2.2:80/",
        "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
        "http://user:password@h.example/",
        "http://a b/",
        "http://a..b/",
        "http://%31%32%37.0.0.1/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "é" * 300 + ".example/",
        "http://i❤.example/",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
        "http://0/",
        "http://017700000001/",
        "http://0251.254.169.254/",
        "http://425.510.425.510/",
        "http://7147006462/",
        "http://127.0.0.1./",
        "http://h.example/" + "a" * 10_000,
    ],
    ids=lambda cell: ascii(cell)[:40],
)
def test_refuses_what_is_no_url(cell: str) -> None:
    with pytest.raises(FetchError, match=r"^invalid_url") as raised:
        parse(cell)
    assert "password" not in raised.value.detail.removeprefix("a user name or password")
    assert not looks_like_url(cell)


@pytest.mark.parametrize(
    "cell", ["patients/anna.jpg", "img_001.jpg", "photos.v2/a.png", "a.jpg/b", "./x/a.png", "C:/a"]
)
def test_a_path_is_no_url_and_names_the_way_to_read_files(cell: str) -> None:
    with pytest.raises(FetchError, match=r"^invalid_url.*`files_under`"):
        parse(cell)


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "s3", "jar", "dict", "javascript", "data", "FILE"])
def test_blocks_other_schemes(scheme: str) -> None:
    with pytest.raises(FetchError, match=rf"^scheme_blocked.*{scheme.lower()}:"):
        parse(f"{scheme}:///etc/passwd" + "x" * 100_000)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://other.example/x", "https://other.example/x"),
        ("//other.example/x", "http://other.example/x"),
        ("/x?", "http://h.example/x?"),
        ("x", "http://h.example/a/x"),
        ("../x", "http://h.example/x"),
        ("?y=1", "http://h.example/a/b?y=1"),
        ("#z", "http://h.example/a/b?q=1"),
        ("", "http://h.example/a/b?q=1"),
        ("/中.png", "http://h.example/%E4%B8%AD.png"),
        ("/\udce9.png", "http://h.example/%E9.png"),
        (" /x ", "http://h.example/x"),
    ],
)
def test_joins_a_location(location: str, expected: str) -> None:
    assert expected == str(parse("http://h.example/a/b?q=1").join(location))


def test_urls_that_differ_by_fragment_are_equal() -> None:
    assert len({parse("http://h.example/a"), parse("HTTP://H.example:80/a#b")}) == 1
