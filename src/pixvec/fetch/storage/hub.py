"""A file in a repository of the Hugging Face hub -> the request for it: with the guard, limits and tries of any URL.

fsspec's own client for the hub is not used: it works in threads that nobody can stop, and tries again in its own time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from pixvec.errors import FetchError
from pixvec.fetch.attempt import Attempt, Fetched
from pixvec.fetch.buckets import BucketObject
from pixvec.fetch.url import URL, parse


class HubAttempt(Attempt):
    """One try at a file; where redirects led is signed anew each time, and so is not told."""

    async def fetch(self) -> Fetched:
        """Fetch the file.

        Raises
        ------
        FetchError
            As for any URL, and ``file_not_found`` where there is none.
        """
        try:
            fetched = await super().fetch()
        except FetchError as error:
            if error.code == "http_404":
                raise FetchError("file_not_found", "there is no such file, revision or repository") from None
            raise
        return Fetched(fetched.body, None, claim=fetched.claim)


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub is, and as whom it is asked.

    Parameters
    ----------
    login
        The headers that say who asks; empty where nobody is logged in.
    """

    endpoint: str
    login: dict[str, str] = field(repr=False)

    def url_of(self, wanted: BucketObject) -> URL:
        """Return where a file is."""
        revision = quote(unquote(wanted.revision) or "main", safe="")
        return parse(f"{self.endpoint}/{wanted.bucket.name}/resolve/{revision}/{quote(wanted.key)}")


def find_hub() -> Hub:
    """Find the hub, and the token of who is logged in, as its own library does."""
    from huggingface_hub import constants, get_token  # noqa: PLC0415 (slow to import)

    token = get_token()
    return Hub(constants.ENDPOINT, {"Authorization": f"Bearer {token}"} if token else {})
