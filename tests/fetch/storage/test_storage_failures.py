from __future__ import annotations

import importlib
from collections.abc import Iterator

import aiohttp
import azure.core.exceptions
import botocore.exceptions
import google.auth.exceptions
import pytest
import requests
from gcsfs.retry import HttpError

from pixvec.codes import code_of
from pixvec.fetch.storage.storage_failures import _TABLE, as_storage_error

ROOTS = (
    *(aiohttp.ClientError, azure.core.exceptions.AzureError, botocore.exceptions.BotoCoreError),
    *(botocore.exceptions.ClientError, google.auth.exceptions.GoogleAuthError, requests.RequestException, HttpError),
)


def family(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.__module__)
def test_every_error_of_a_client_has_a_code(root: type[BaseException]) -> None:
    unmapped = [
        kind
        for kind in family(root)
        if not any(f"{base.__module__}.{base.__qualname__}" in _TABLE for base in kind.__mro__)
    ]
    assert unmapped == []


@pytest.mark.parametrize("name", _TABLE)
def test_every_name_in_the_table_is_that_of_a_class(name: str) -> None:
    module, _, kind = name.rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    assert issubclass(found, Exception)
    assert f"{found.__module__}.{found.__qualname__}" == name
    assert code_of(_TABLE[name][0])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (botocore.exceptions.NoCredentialsError(), "file_error"),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="secret"), "timeout"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="secret"), "connect_error"),
        (botocore.exceptions.SSLError(endpoint_url="secret", error="secret"), "tls_error"),
        (botocore.exceptions.ClientError({"ResponseMetadata": {"HTTPStatusCode": 503}}, "secret"), "http_503"),
        (botocore.exceptions.ClientError({"ResponseMetadata": {"HTTPStatusCode": 404}}, "secret"), "file_not_found"),
        (azure.core.exceptions.ServiceRequestError("secret"), "connect_error"),
        (azure.core.exceptions.ClientAuthenticationError("secret"), "file_error"),
        (HttpError({"code": 429, "message": "secret"}), "http_429"),
        (google.auth.exceptions.RefreshError("secret"), "file_error"),
        (requests.ConnectionError("secret"), "connect_error"),
        (OSError("Forbidden: secret"), "http_403"),
        (PermissionError("secret"), "http_403"),
        (OSError(5, "secret"), "file_error"),
        (KeyError("secret"), "file_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_error_comes_to_its_code_and_says_nothing_of_the_clients(error: Exception, code: str) -> None:
    found = as_storage_error(error)
    assert found.code == code
    assert "secret" not in found.detail


def test_the_status_behind_an_error_says_more_than_its_class() -> None:
    error = OSError(16, "busy")
    error.__cause__ = botocore.exceptions.ClientError({"ResponseMetadata": {"HTTPStatusCode": 503}}, "GetObject")
    assert str(as_storage_error(error)) == "http_503: the storage answered 503 (Service Unavailable)"
