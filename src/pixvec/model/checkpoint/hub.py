"""A repository id -> the folder in the hub's cache that holds its files.

In: the id of a model's repository and a revision. Out: a folder named by the commit. Everything on the wire and in the
cache is `huggingface_hub`'s.

A cache that holds a whole checkpoint answers with no request. Else one question, the list of the revision's files,
decides what to fetch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Final

import huggingface_hub
from huggingface_hub import constants, errors
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from pixvec.errors import ModelError
from pixvec.files.own import OwnFolder
from pixvec.model.checkpoint.folder import (
    CONFIG,
    PROCESSORS,
    choose_tokenizer,
    choose_weights,
    file_names,
    read_json,
    shard_files,
    weight_files,
)
from pixvec.model.checkpoint.known import meant_model

_logger = logging.getLogger("pixvec")

_client_lock = threading.Lock()

_REQUEST_TIMEOUT_S: Final = 4.0
_QUESTION_TIMEOUT_S: Final = 4.5  # what a resolver takes is in no time-out of the client's
_THREAD_NAME: Final = "pixvec-hub"
_LOGIN: Final = "`hf auth login` or HF_TOKEN"
# The base of its client's errors stands there too: httpx's or httpx2's, by version.
_FAILURES: Final = (errors.HTTPError, OSError, RuntimeError, ValueError)  # type: ignore[attr-defined]


def locate(repo_id: str, *, revision: str) -> Path:
    """Return the folder that holds a checkpoint's files, fetched where the cache lacks them.

    Raises
    ------
    ModelError
        The repository does not exist or is closed, holds no checkpoint, or cannot be reached, and the cache does not
        hold it either.
    """
    snapshot = _cached_snapshot(repo_id, revision)
    if snapshot and _has_model(snapshot) and _has_tokenizer(snapshot):
        return snapshot
    try:
        with _client_at_rest():
            commit, names = _ask_for_files(repo_id, revision)
            return _download(repo_id, revision, commit, names)
    except _FAILURES as error:
        if snapshot and _has_model(snapshot):
            return snapshot
        raise ModelError(_explain(error, repo_id, revision)) from error


def find_cached(repo_id: str, *, revision: str = "main") -> Path | None:
    """Return the folder in the cache that holds a whole checkpoint, with its tokenizer or without; asks nobody."""
    snapshot = _cached_snapshot(repo_id, revision)
    return snapshot if snapshot is not None and _has_model(snapshot) else None


def blobs_of(snapshot: Path) -> Path:
    """Return the folder in the cache where the files of a repository lie under the names of their hashes."""
    return snapshot.parent.parent / "blobs"


def _cached_snapshot(repo_id: str, revision: str) -> Path | None:
    try:
        config = huggingface_hub.try_to_load_from_cache(repo_id, CONFIG, revision=revision)
    except HFValidationError as error:
        raise ModelError(f"{repo_id!r} cannot be the id of a model's repository: {_reason(error)}") from error
    return Path(config).parent if isinstance(config, str) else None


def _has_model(snapshot: Path) -> bool:
    try:
        has_weights = all(path.is_file() for path in weight_files(snapshot))
    except ModelError:
        return False
    return has_weights and not file_names(snapshot).isdisjoint(PROCESSORS)


def _has_tokenizer(snapshot: Path) -> bool:
    """Tell whether a cached checkpoint has its tokenizer, or no text tower that needs one."""
    return bool(choose_tokenizer(file_names(snapshot))) or read_json(snapshot / CONFIG).get("model_type") != "clip"


def _ask_for_files(repo_id: str, revision: str) -> tuple[str, frozenset[str]]:
    """Ask for a revision's commit and the names of its files, for no longer than the limit."""
    answer: Future[Any] = Future()

    def ask() -> None:
        try:
            answer.set_result(huggingface_hub.model_info(repo_id, revision=revision, timeout=_REQUEST_TIMEOUT_S))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is raised where the answer is awaited)
            answer.set_exception(error)

    # A daemon, so that a resolver that never answers holds up neither the caller nor the end of the program.
    threading.Thread(target=ask, name=_THREAD_NAME, daemon=True).start()
    info = answer.result(_QUESTION_TIMEOUT_S)
    return info.sha, frozenset(sibling.rfilename for sibling in info.siblings or ())


def _download(repo_id: str, revision: str, commit: str, names: frozenset[str]) -> Path:
    weights = choose_weights(names)
    if weights is None or CONFIG not in names:
        raise ModelError(f"{repo_id} at {revision} holds no model that pixvec can read: no {CONFIG} beside weights")

    def fetch(name: str) -> Path:
        _logger.info("fetching %s of %s", name, repo_id)
        return Path(
            huggingface_hub.hf_hub_download(
                repo_id, name, revision=commit, etag_timeout=_REQUEST_TIMEOUT_S, tqdm_class=_NoBar
            )
        )

    for name in (*names.intersection(PROCESSORS), *choose_tokenizer(names), CONFIG):
        fetch(name)
    path = fetch(weights)
    for shard in shard_files(path) if weights.endswith(".index.json") else ():
        fetch(shard.name)
    _remember_revision(path.parent, revision)
    return path.parent


def _remember_revision(snapshot: Path, revision: str) -> None:
    """Note the commit of a branch or tag, as the cache does when a file is asked for by that name."""
    if revision == snapshot.name:
        return
    *folders, name = ("refs", *PurePosixPath(revision).parts)
    with ExitStack() as opened:
        folder = opened.enter_context(OwnFolder.at(snapshot.parent.parent))
        for part in folders:
            folder = opened.enter_context(folder.subfolder(part, create=True, of_anyone=True))
        folder.write(name, snapshot.name.encode())


class _NoBar(tqdm):  # type: ignore[misc]  # tqdm has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("name", None)
        super().__init__(*args, **kwargs | {"disable": True})


@contextmanager
def _client_at_rest() -> Iterator[None]:
    """Keep the client from asking the hub about the program it runs in, and what it logs from its own handlers.

    What it finds matters to the user in our one error only. Both switches are its globals: they are put back.
    """
    caller = threading.get_ident()

    def is_not_ours(record: logging.LogRecord) -> bool:
        return record.thread != caller and record.threadName != _THREAD_NAME

    with _client_lock:
        handlers = tuple(logging.getLogger("huggingface_hub").handlers)
        telemetry_disabled = constants.HF_HUB_DISABLE_TELEMETRY
        constants.HF_HUB_DISABLE_TELEMETRY = True
        for handler in handlers:
            handler.addFilter(is_not_ours)
        try:
            yield
        finally:
            for handler in handlers:
                handler.removeFilter(is_not_ours)
            constants.HF_HUB_DISABLE_TELEMETRY = telemetry_disabled


def _explain(error: Exception, repo_id: str, revision: str) -> str:
    page, hint = f"{constants.ENDPOINT}/{repo_id}", meant_model(repo_id)
    match error:
        case GatedRepoError():
            return f"the model {repo_id} is gated: accept its terms at {page}, then log in ({_LOGIN})"
        case RepositoryNotFoundError():
            return f"there is no model at {page}, or it is private: check its name, or log in ({_LOGIN}){hint}"
        case RevisionNotFoundError():
            return f"the model {repo_id} has no revision {revision!r}: see {page}/commits"
        case HfHubHTTPError() if error.response.status_code in {401, 403}:
            return f"{constants.ENDPOINT} does not let this login see {repo_id}: log in ({_LOGIN})"
        case OfflineModeIsEnabled():
            why = "HF_HUB_OFFLINE is set"
        case _:
            why = f"getting it from {constants.ENDPOINT} failed ({_reason(error)})"
    return (
        f"the model {repo_id} is not in the cache and {why}. Three ways out: give a folder with the model's files; "
        f"bring a filled cache along (HF_HOME, with HF_HUB_OFFLINE=1); or try the built-in `model='demo'`{hint}"
    )


def _reason(error: Exception) -> str:
    """Return the first line of an error's text, or its kind where it has none."""
    return str(error).partition("\n")[0] or type(error).__name__
