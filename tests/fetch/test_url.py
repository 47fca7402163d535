from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        pytest.param("https:/h.example/a.jpg", "https://h.example/a.jpg", id="one slash"),
        pytest.param("https:h.example/a.jpg", "https://h.example/a.jpg", id="no slash"),
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
        ("/a//b", "/a//b"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
    ],
)
def test_escapes_only_what_is_illegal(target: str, expected: str) -> None:
    assert expected == parse(f"http://h.example{target}").target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a/../b.jpg", "/b.jpg"),
        ("/../c.jpg", "/c.jpg"),
        ("/a/./d.jpg", "/a/d.jpg"),
        ("/a/%2e%2E/e.jpg", "/e.jpg"),
        ("/a/.%2e/%2E./f.jpg", "/f.jpg"),
        ("/a/%2e/g.jpg", "/a/g.jpg"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/a/..", "/"),
        ("/a//../b", "/a/b"),
        ("/.//a", "//a"),
        ("/a/.../..b/c../.d", "/a/.../..b/c../.d"),
        ("/a/..;x/%2e%2e%2fb/%252e%252e/c", "/a/..;x/%2e%2e%2fb/%252e%252e/c"),
        ("/a%2F../b", "/a%2F../b"),
        ("/a/../b%7E?c=/../%2e%2e/d&s=%3D", "/b%7E?c=/../%2e%2e/d&s=%3D"),
        ("/a/../%41 中?", "/%41%20%E4%B8%AD?"),
    ],
)
def test_resolves_dot_segments_and_changes_nothing_else(target: str, expected: str) -> None:
    assert expected == parse(f"http://h.example{target}").target
    assert expected == parse("http://h.example/x/y?z").join(target).target


SEGMENTS = st.lists(
    st.one_of(
        st.sampled_from([".", "..", "%2e", "%2E", ".%2e", "%2E.", "%2e%2E", ""]),
        st.text("aA0.%;=~+@:,!$&'()*", max_size=4),
    ),
    max_size=8,
)
DOTS = {".", ".."}


@given(SEGMENTS, st.text("a./%?=&~+", max_size=6))
def test_a_path_without_dot_segments_stays_as_it_is(segments: list[str], query: str) -> None:
    path = "/" + "/".join(segments)
    url = parse(f"http://h.example{path}?{query}")
    sent, _, sent_query = url.target.partition("?")
    left = sent.replace("%25", "%").split("/")[1:]
    assert sent_query.replace("%25", "%") == query.replace("%25", "%")
    assert not DOTS.intersection(segment.replace("%2e", ".").replace("%2E", ".") for segment in sent.split("/"))
    if not any(segment.replace("%2e", ".").replace("%2E", ".") in DOTS for segment in segments):
        assert left == path.replace("%25", "%").split("/")[1:]
    assert parse(str(url)) == url


@given(st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=8))
def test_dot_segments_are_resolved_as_a_walk_through_folders(segments: list[str]) -> None:
    walked: list[str] = []
    for segment in segments:
        match segment:
            case "..":
                walked = walked[:-1]
            case ".":
                pass
            case _:
                walked = [*walked, segment]
    end = "/" if segments[-1] in DOTS and walked else ""
    assert parse(f"http://h.example/{'/'.join(segments)}").target == f"/{'/'.join(walked)}{end}"


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("http://h.example/a.jpg, http://h.example/b.jpg", "several URLs"),
        ("http://h.example/a.jpg,http://h.example/b.jpg", "several URLs"),
        ("http://h.example/a?x=1 | http://h.example/b?x=1", "several URLs"),
        ("http://h.example/a|https://h.example/b", "several URLs"),
        ("http://h.example/a http://h.example/b", "several URLs"),
        ("h.example/a.jpg, h.example/b.jpg", "several URLs"),
        ("http://h.example/a.jpg, b.jpg", "several URLs"),
        ("a.jpg, b.jpg", "several URLs"),
        ("a.jpg|b.jpg", "several URLs"),
        ("photos/a.jpg;photos/b.JPEG", "several URLs"),
        ("http://h.example/a.jpg\nhttp://h.example/b.jpg", "several URLs"),
        ("http://h.example/a\r\nb.jpg", "a line break"),
        ('["http://h.example/a.jpg"]', "a list"),
        ("['http://h.example/a.jpg', 'http://h.example/b.jpg']", "a list"),
        ("[http://h.example/a.jpg]", "a list"),
        ('{"url": "http://h.example/a.jpg"}', "a list"),
        ('"http://h.example/a.jpg"', r"quotation mark \(U\+0022\) stands before http"),
        ("'http://h.example/a.jpg", r"apostrophe \(U\+0027\) stands before http"),
        ("\u200bhttp://h.example/a.jpg", r"zero width space \(U\+200B\) stands before http"),
        ("\u201chttp://h.example/a.jpg\u201d", r"left double quotation mark \(U\+201C\) stands"),
        ("<http://h.example/a.jpg>", r"less-than sign \(U\+003C\) stands before http"),
        ('src="http://h.example/a.jpg"', "other text stands before http"),
    ],
)
def test_says_what_a_cell_holds_that_is_not_one_url(cell: str, hint: str) -> None:
    with pytest.raises(FetchError, match=rf"^invalid_url: .*{hint}"):
        parse(cell)
    assert not looks_like_url(cell)


@pytest.mark.parametrize(
    "target",
    [
        "/Paris, France.jpg",
        "/width=80,quality=75/https://other.example/a.jpg",
        "/?a=http://x.example/a,http://x.example/b",
        "/x?files=a.jpg,b.jpg",
        "/a b.png",
        "/a|b.png",
        "/a.jpg,b.jpg",
        "/fetch/c_fill,w_300/http://x.example/a.jpg",
    ],
)
def test_one_url_that_resembles_several_is_one(target: str) -> None:
    parse(f"http://h.example{target}")


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "not a url",
        "example.com",
        "http:",
        "http://",
        "http:///a.png",
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
        ("/a/../b//c/%2e%2e/x", "http://h.example/b//x"),
        (".//x", "http://h.example/a//x"),
        ("../../../x/..", "http://h.example/"),
        ("http:/x", "http://h.example/x"),
        ("http:x", "http://h.example/a/x"),
        ("https:/other.example/x", "https://other.example/x"),
        ("/a.jpg, /b.jpg", "http://h.example/a.jpg,%20/b.jpg"),
    ],
)
def test_joins_a_location(location: str, expected: str) -> None:
    assert expected == str(parse("http://h.example/a/b?q=1").join(location))


def test_urls_that_differ_by_fragment_are_equal() -> None:
    assert len({parse("http://h.example/a"), parse("HTTP://H.example:80/a#b")}) == 1
