"""What the clients of buckets raise -> a `FetchError`: the only place that knows their classes, by name alone.

A status that the storage answered with says more than a class, and comes first. The details are ours: a client's own
words may hold keys, signatures or credentials.
"""

from __future__ import annotations

import http
from collections.abc import Iterator
from typing import Final

from pixvec.errors import FetchError

_NO_CREDENTIALS: Final = ("file_error", "the storage's client found no credentials, or could not use them")
_TIMEOUT: Final = ("timeout", "no complete answer in time")
_CONNECTION: Final = ("connect_error", "the connection to the storage could not be made or broke")
_TRUNCATED: Final = ("truncated_body", "the object ended before it was complete")
_TLS: Final = ("tls_error", "no secure connection to the storage")
_REFUSED: Final = ("file_error", "the storage, or its client, would not read the object")

_TABLE: Final[dict[str, tuple[str, str]]] = {
    "builtins.FileNotFoundError": ("file_not_found", "there is no such object, or no such bucket"),
    "builtins.IsADirectoryError": ("file_not_found", "the key is that of a folder"),
    "builtins.PermissionError": ("http_403", "the storage does not let these credentials read the object"),
    "builtins.TimeoutError": _TIMEOUT,
    "builtins.ConnectionError": _CONNECTION,
    "ssl.SSLError": _TLS,
    "aiohttp.client_exceptions.ClientSSLError": _TLS,
    "aiohttp.client_exceptions.ClientPayloadError": _TRUNCATED,
    "aiohttp.client_exceptions.ClientError": _CONNECTION,
    "azure.core.exceptions.ClientAuthenticationError": _NO_CREDENTIALS,
    "azure.core.exceptions.IncompleteReadError": _TRUNCATED,
    "azure.core.exceptions.ResourceNotFoundError": ("file_not_found", "there is no such object, or no such bucket"),
    "azure.core.exceptions.ServiceRequestTimeoutError": _TIMEOUT,
    "azure.core.exceptions.ServiceResponseTimeoutError": _TIMEOUT,
    "azure.core.exceptions.ServiceRequestError": _CONNECTION,
    "azure.core.exceptions.ServiceResponseError": _CONNECTION,
    "azure.core.exceptions.AzureError": _REFUSED,
    "botocore.exceptions.NoCredentialsError": _NO_CREDENTIALS,
    "botocore.exceptions.PartialCredentialsError": _NO_CREDENTIALS,
    "botocore.exceptions.CredentialRetrievalError": _NO_CREDENTIALS,
    "botocore.exceptions.ConnectTimeoutError": _TIMEOUT,
    "botocore.exceptions.ReadTimeoutError": _TIMEOUT,
    "botocore.exceptions.SSLError": _TLS,
    "botocore.exceptions.IncompleteReadError": _TRUNCATED,
    "botocore.exceptions.ResponseStreamingError": _TRUNCATED,
    "botocore.exceptions.ConnectionError": _CONNECTION,
    "botocore.exceptions.HTTPClientError": _CONNECTION,
    "botocore.exceptions.BotoCoreError": _REFUSED,
    "botocore.exceptions.ClientError": _REFUSED,
    "gcsfs.retry.HttpError": _REFUSED,
    "google.auth.exceptions.GoogleAuthError": _NO_CREDENTIALS,
    "requests.exceptions.Timeout": _TIMEOUT,
    "requests.exceptions.SSLError": _TLS,
    "requests.exceptions.RequestException": _CONNECTION,
}
"""By a class's full name; the nearest of its bases counts. A client that is not installed raises nothing."""


def as_storage_error(error: Exception) -> FetchError:
    """Say what an exception of a storage's client means for a row."""
    status = next(filter(None, map(_status_of, _chain(error))), None)
    if status == http.HTTPStatus.NOT_FOUND:
        return FetchError(*_TABLE["builtins.FileNotFoundError"])
    if status is not None:
        return FetchError(f"http_{status:03d}", f"the storage answered {status}{_phrase(status)}")
    for kind in type(error).__mro__:
        if found := _TABLE.get(f"{kind.__module__}.{kind.__qualname__}"):
            return FetchError(*found)
    return FetchError(_REFUSED[0], f"{_REFUSED[1]} ({type(error).__name__})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _status_of(error: BaseException) -> int | None:
    """Find the status that an error was made from; each client keeps it at another place."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        places = ((response, "status_code"), (error, "status_code"), (error, "status"), (error, "code"))
        found = next((value for owner, name in places if isinstance(value := getattr(owner, name, None), int)), None)
    if found is None and isinstance(error, OSError) and str(error).startswith("Forbidden: "):  # gcsfs's words for 403
        return int(http.HTTPStatus.FORBIDDEN)
    return found if isinstance(found, int) and 300 <= found <= 599 else None


def _phrase(status: int) -> str:
    return f" ({http.HTTPStatus(status).phrase})" if status in frozenset(http.HTTPStatus) else ""
