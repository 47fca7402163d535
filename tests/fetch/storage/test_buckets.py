from __future__ import annotations

import sys

import pytest

from pixvec.errors import FetchError, MissingExtraError, UsageError
from pixvec.fetch import FetchOptions, looks_like_url
from pixvec.fetch.buckets import Bucket, BucketObject, parse_bucket, parse_object

PHOTOS = Bucket("s3", "photos")
DATASET = Bucket("hf", "datasets/owner/photos")


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("s3://photos", PHOTOS),
        ("s3://photos/", PHOTOS),
        ("S3://photos", PHOTOS),
        ("gs://my_photos.example.org", Bucket("gs", "my_photos.example.org")),
        ("az://$web", Bucket("az", "$web")),
        ("hf://datasets/owner/photos", DATASET),
        ("hf://owner/model", Bucket("hf", "owner/model")),
    ],
    ids=str,
)
def test_a_bucket_is_read(text: str, bucket: Bucket) -> None:
    assert parse_bucket(text) == bucket


@pytest.mark.parametrize(
    "text",
    [
        *("", "photos", "s3:photos", "s3://", "s3://photos/a", "s3://*", "s3://user@photos", "s3://photos:80"),
        *("http://photos", "hf://owner", "hf://datasets/owner", "hf://datasets/owner/photos@main"),
        *("hf://datasets/owner/photos/a", "hf://datasets/../photos", "hf://owner/.", "hf://../models"),
    ],
)
def test_what_is_no_whole_bucket_is_the_callers_mistake(text: str) -> None:
    with pytest.raises(UsageError, match=r"`allow_bucket=.*expected s3://NAME"):
        FetchOptions(allow_bucket=(text,))


@pytest.mark.parametrize(("scheme", "client"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
def test_a_client_that_is_missing_is_named_before_any_work(
    scheme: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(MissingExtraError, match=rf'^Reading {scheme}:// .*pip install "pixvec\[cloud\]"'):
        FetchOptions(allow_bucket=(f"{scheme}://photos",))


@pytest.mark.parametrize(
    "key",
    ["a.jpg", "a b%20c.jpg", "ä/日.jpg", "a?b=c#d.jpg", "/a.jpg", "a//b.jpg", "a@b.jpg", "a.jpg ", "a\\b.jpg", "..a"],
)
def test_a_key_stays_as_the_cell_has_it(key: str) -> None:
    wanted = parse_object(f" s3://photos/{key}\n", allowed=[PHOTOS])
    assert wanted == BucketObject(PHOTOS, key)
    assert str(wanted) == f"s3://photos/{key}"


@pytest.mark.parametrize(
    ("cell", "revision", "key"),
    [
        ("hf://datasets/owner/photos/a/b.jpg", "", "a/b.jpg"),
        ("hf://datasets/owner/photos@v1/a@b.jpg", "v1", "a@b.jpg"),
        ("hf://datasets/owner/photos@refs/convert/parquet/a.jpg", "refs/convert/parquet", "a.jpg"),
        ("hf://datasets/owner/photos@refs%2Fpr%2F1/a.jpg", "refs%2Fpr%2F1", "a.jpg"),
    ],
)
def test_a_file_of_the_hub_may_name_a_revision(cell: str, revision: str, key: str) -> None:
    wanted = parse_object(cell, allowed=[DATASET])
    assert wanted == BucketObject(DATASET, key, revision)
    assert str(wanted) == cell
    assert wanted.host == "hf://datasets/owner/photos"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("s3://other/a.jpg", r"scheme_blocked: .*`allow_bucket=\['s3://other'\]`$"),
        ("s3://Photos/a.jpg", r"scheme_blocked: .*`allow_bucket=\['s3://Photos'\]`$"),
        ("s3://photos.example.org/a.jpg", "scheme_blocked"),
        ("gs://photos/a.jpg", r"scheme_blocked: .*`allow_bucket=\['gs://photos'\]`$"),
        ("s3://photos:80/a.jpg", r"scheme_blocked: .*`allow_bucket=\['s3://NAME'\]`$"),
        ("s3://key:secret@photos/a.jpg", r"scheme_blocked: .*`allow_bucket=\['s3://NAME'\]`$"),
        ("s3://photos", "file_not_found: no key"),
        ("s3://photos/", "file_not_found: no key"),
        ("s3://photos/a/", "file_not_found: .*ends without a slash$"),
        ("s3://photos/../other/a.jpg", "path_blocked"),
        ("s3://photos/a/./b.jpg", "path_blocked"),
        ("s3://photos/a\nb.jpg", "invalid_url"),
        ("s3://photos/" + 5000 * "a", "invalid_url"),
    ],
)
def test_other_buckets_and_impossible_keys_have_their_codes(cell: str, said: str) -> None:
    with pytest.raises(FetchError, match=f"^{said}"):
        parse_object(cell, allowed=[PHOTOS])


@pytest.mark.parametrize("revision", ["..", ".", "%2e%2e", "%2E.", "refs/pr/..", "..%2F..", "a%2f..%2fb"])
def test_a_revision_with_dots_between_slashes_is_refused(revision: str) -> None:
    with pytest.raises(FetchError, match=r"^path_blocked: a revision"):
        parse_object(f"{DATASET}@{revision}/raw/main/x", allowed=[DATASET])


@pytest.mark.parametrize("cell", ["https://example.org/a.jpg", "s3:a.jpg", "abfs://photos/a.jpg", "a.jpg", "bs3://a/b"])
def test_other_cells_are_none_of_its_business(cell: str) -> None:
    assert parse_object(cell, allowed=[PHOTOS]) is None


@pytest.mark.parametrize(
    ("cell", "is_url"),
    [("s3://photos/a.jpg", True), ("hf://owner/model/a.jpg", True), ("s3://photos", False), ("s3://photos/", False)],
)
def test_a_column_of_objects_is_found_whether_they_are_let_in_or_not(cell: str, is_url: bool) -> None:
    assert looks_like_url(cell) is is_url
