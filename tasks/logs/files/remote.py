"""Log files in object storage, through fsspec: listed, then downloaded whole.

fsspec finds the library of each storage by its protocol, and each library its credentials in the
environment. What a library says when it fails may hold a secret, so errors name their kind alone.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.errors import StoreUnreachableError, UsageError
from tasks.logs.files.log_file import LogFile, Remote, protocol_of, without_password

_EXTRA = "pip install 'llm-flywheel[object-storage]'"
_IN_EXTRA = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
_ALLOWED = "s3://, gs://, az:// and other storages that fsspec knows; a folder or a pattern too"
#: what tells one version of a file from another, the surest first
_VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")


def find(pattern: str) -> list[LogFile]:
    """The files that an address, folder or pattern names; hidden ones are passed over.

    Raises UsageError where a library is missing or the protocol unknown, StoreUnreachableError
    where the storage does not answer.
    """
    try:
        fs, path = _file_system(pattern)
        fs.invalidate_cache()
        if glob.has_magic(path):
            entries = list(fs.glob(path, detail=True).values())
        elif (entry := fs.info(path))["type"] == "file":
            entries = [entry]
        else:
            entries = list(fs.find(path, detail=True).values())
    except FileNotFoundError:
        return []
    except UsageError:
        raise
    except Exception as error:
        raise _unreachable(pattern, error) from None
    files = (entry for entry in entries if entry["type"] == "file")
    return [_log_file(fs, file) for file in files
            if not PurePosixPath(file["name"]).name.startswith(".")]  # fmt: skip


def download(remote: Remote, size_bytes: int, target: Path) -> None:
    """Write the file to `target`. Raises StoreUnreachableError."""
    shown = without_password(remote.fs.unstrip_protocol(remote.name))
    try:
        remote.fs.get_file(remote.name, str(target))
    except Exception as error:
        raise _unreachable(shown, error) from None
    arrived = target.stat().st_size
    if arrived != size_bytes:
        raise StoreUnreachableError(
            "a log file came in another size than it was listed with",
            received=f"{arrived} of {size_bytes} bytes of {shown}",
            next="run the same command again; nothing of this file was taken in",
        )


def _file_system(pattern: str) -> tuple[Any, str]:
    protocol = protocol_of(pattern)
    try:
        from fsspec.core import url_to_fs
        from fsspec.registry import known_implementations
    except ImportError:
        raise UsageError(f"reading {protocol}:// needs fsspec", next=_EXTRA) from None
    if protocol in ("http", "https"):
        raise UsageError(
            "logs are not read from web servers",
            received=without_password(pattern),
            allowed=_ALLOWED,
            next="curl ADDRESS | flywheel ingest --logs -",
        )
    if "::" in pattern or protocol not in known_implementations:
        raise UsageError(
            "not an address that logs can be read from",
            received=without_password(pattern),
            allowed=_ALLOWED,
        )
    try:
        located: tuple[Any, str] = url_to_fs(pattern)
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None)
        package = (missing or known_implementations[protocol]["class"]).partition(".")[0]
        raise UsageError(
            f"reading {protocol}:// needs {package}",
            received=without_password(pattern),
            next=_EXTRA if protocol in _IN_EXTRA else f"pip install {package}",
        ) from None
    return located


def _log_file(fs: Any, entry: Mapping[str, Any]) -> LogFile:
    name = str(entry["name"])
    version = next((str(entry[key]) for key in _VERSIONS if entry.get(key) is not None), None)
    return LogFile(
        path=Path(PurePosixPath(name).name),
        size_bytes=int(entry["size"]),
        mtime_ns=0,
        source=without_password(fs.unstrip_protocol(name)),
        etag=version,
        remote=Remote(fs, name),
    )


def _unreachable(pattern: str, error: Exception) -> StoreUnreachableError:
    return StoreUnreachableError(
        f"the storage of the logs does not answer as it should: {type(error).__name__}",
        received=without_password(pattern),
        next="check the address, the network and the credentials, then run the same command again",
    )
