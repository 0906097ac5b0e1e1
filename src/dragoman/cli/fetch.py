"""Downloads intelligence that the user names by address; nothing else opens a connection.

Only ``intel add`` comes here, and only for an address among its arguments. HTTPS, or HTTP from the
machine itself; redirects obey the same rule; size and time are bounded.
"""

from __future__ import annotations

import http.client
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..errors import LimitError, SourceError, UsageError

URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.I)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
WAIT = 30  # seconds without a byte
SECONDS = 300  # for one download
STEP = 1 << 16


@contextmanager
def local(paths: Iterable[str], most: int) -> Iterator[list[str]]:
    """The paths, each address among them replaced by a temporary file with what lies there.

    Raises:
        UsageError: an address that is neither HTTPS nor on this machine.
        SourceError: it cannot be had, or not in time; LimitError: more than ``most`` bytes.
    """
    with tempfile.TemporaryDirectory(prefix="dragoman-") as folder:
        yield [
            str(_download(path, Path(folder) / str(number), most)) if URL.match(path) else path
            for number, path in enumerate(paths)
        ]


def _download(url: str, folder: Path, most: int) -> Path:
    _check(url)
    name = re.sub(r"[^\w.-]", "_", unquote(urlsplit(url).path).rpartition("/")[2])[-100:]
    folder.mkdir()
    target = folder / (name.lstrip(".") or "download")
    request = Request(url, headers={"User-Agent": "dragoman"})  # noqa: S310 (checked above)
    try:
        with (
            build_opener(_Redirects).open(request, timeout=WAIT) as answer,
            target.open("wb") as out,
        ):
            _copy(answer, out, url, most)
    except (URLError, http.client.HTTPException, OSError, ValueError) as err:
        raise SourceError(
            f"cannot be downloaded: {getattr(err, 'reason', err)}", where=url
        ) from err
    return target


def _copy(answer: Any, out: IO[bytes], url: str, most: int) -> None:
    end, size = time.monotonic() + SECONDS, 0
    while chunk := answer.read1(STEP):
        size += len(chunk)
        if size > most:
            raise LimitError(
                f"longer than limits.document_bytes = {most}",
                where=url,
                hint="raise limits.document_bytes in the file given to --config",
            )
        if time.monotonic() > end:
            raise SourceError(f"not complete after {SECONDS} seconds", where=url)
        out.write(chunk)
    if answer.length:  # what the server still owes
        raise SourceError("the download was cut short", where=url)


def _check(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise UsageError(
            "only https:// addresses are downloaded", where=url, hint="download the file yourself"
        )


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to addresses that could have been asked for."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
