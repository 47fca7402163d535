"""A server on loopback that answers as S3, Google, Azure and the hub do when an object is read, and counts requests."""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from tests.loopback import LoopbackServer

OBJECT = re.compile(r"/(?:account/|(?P<facts>storage/v1/b/)|download/storage/v1/b/)?photos/(?:o/)?(?P<key>.+)")
HUB_FILE = re.compile(r"/datasets/owner/photos/resolve/(?P<revision>[^/]+)/(?P<key>.+)")
SECRET = "c2VjcmV0"
FACTS = {
    "ETag": '"1"',
    "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
    "x-ms-blob-type": "BlockBlob",
    "x-ms-creation-time": "Mon, 01 Jan 2024 00:00:00 GMT",
}
GS_TIMES = {"updated": "2024-01-01T00:00:00.000Z", "timeCreated": "2024-01-01T00:00:00.000Z"}


class StorageServer(LoopbackServer):
    """Holds the objects of one bucket, ``photos``, and the same as files of the hub's ``datasets/owner/photos``."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.logins: list[str | None] = []
        self.status: int | None = None
        self.redirect: str | None = None
        self.silence_s = 0.0

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Where the clients look for a server and for credentials."""
        url = f"http://{self.address}"
        return {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "STORAGE_EMULATOR_HOST": url,
            "AZURE_STORAGE_CONNECTION_STRING": (
                f"DefaultEndpointsProtocol=http;AccountName=account;AccountKey={SECRET};BlobEndpoint={url}/account;"
            ),
            "HF_ENDPOINT": url,
            "HF_TOKEN": SECRET,
        }


class Handler(BaseHTTPRequestHandler):
    server: StorageServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.logins.append(self.headers.get("Authorization"))
        time.sleep(self.server.silence_s)
        path = self.path.partition("?")[0]
        found = OBJECT.fullmatch(path) or HUB_FILE.fullmatch(path)
        body = self.server.objects.get(unquote(found["key"])) if found else None
        if self.server.status:
            self.answer(self.server.status, f"<Error><Message>{SECRET}</Message></Error>".encode())
        elif self.server.redirect:
            self.answer(302, b"", Location=self.server.redirect)
        elif found is None or body is None:
            self.answer(404, b"{}")
        elif "facts" in found.groupdict() and found["facts"]:
            facts = {"bucket": "photos", "name": unquote(found["key"]), "size": str(len(body)), **GS_TIMES}
            self.answer(200, json.dumps(facts).encode(), **{"Content-Type": "application/json"})
        else:
            self.answer_part(body, self.headers.get("x-ms-range") or self.headers.get("Range"))

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer_part(self, body: bytes, part: str | None) -> None:
        if part is None:
            return self.answer(200, body, **FACTS)
        first, last = map(int, part.removeprefix("bytes=").split("-"))
        return self.answer(
            206, body[first : last + 1], **FACTS, **{"Content-Range": f"bytes {first}-{last}/{len(body)}"}
        )

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...
