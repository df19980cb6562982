"""Asking for a file, or for the rest of one: over HTTP, HTTPS and FTP, and nothing else."""

from __future__ import annotations

import ftplib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

SCHEMES = ("http", "https", "ftp")
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP errors that may be gone a moment later
_PROXY_LOGIN = 407  # says nothing of the file
_FTP_ABSENT = "550"  # of a file that is not there, or not for the one who asks
_UNSATISFIABLE = 416  # the file there is shorter than the part here


class Refused(Exception):
    """Asking again would not help."""


class Absent(Refused):
    """The address has no such file, or does not give it out."""


class Interrupted(Exception):
    """Asking again may help."""


class Changed(Interrupted):
    """The content there is no longer the one that a part was kept of."""


@dataclass(frozen=True)
class Response:
    """An open answer: `read(n)` gives up to n bytes from `offset` of a content of `total` bytes, if known."""

    read: Callable[[int], bytes]
    offset: int
    total: int | None
    validator: str | None  # changes when the content does: an ETag, else a modification time


def received(response: Response, most: int) -> bytes:
    """Up to `most` bytes, none at the end; `Interrupted` says what went wrong."""
    try:
        return response.read(most)
    except TimeoutError:
        raise Interrupted("the server went silent") from None
    except (OSError, EOFError, http.client.HTTPException) as error:
        raise Interrupted(f"the connection broke ({str(error) or type(error).__name__})") from None


@contextmanager
def asked(url: str, offset: int, validator: str | None, timeout: float) -> Iterator[Response]:
    """The answer to a request for the content from `offset` on; an answer may start at 0 all the same.

    Args:
        validator: of the part that is there already.
        timeout: seconds.

    Raises:
        Refused, Interrupted: with the reason in a few words.
    """
    try:
        ask = _ask_ftp if urlsplit(url).scheme == "ftp" and not _has_proxy(url) else _ask_http
        response, close = ask(url, offset, validator, timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _UNSATISFIABLE:
            raise Changed("the file changed while it was downloaded") from None
        absent = 400 <= error.code < 500 and error.code != _PROXY_LOGIN
        kind = Interrupted if error.code in _PASSING else Absent if absent else Refused
        raise kind(f"the server answered {error.code} {error.reason}") from None
    except ftplib.error_perm as error:
        raise (Absent if str(error).startswith(_FTP_ABSENT) else Refused)(f"the server answered {error}") from None
    except TimeoutError:
        raise Interrupted(f"no answer in {timeout:g} s") from None
    except urllib.error.URLError as error:
        raise Interrupted(f"cannot be reached ({error.reason})") from None
    except (ValueError, http.client.InvalidURL) as error:
        raise Refused(f"not a usable address ({error})") from None
    except (OSError, EOFError, ftplib.Error, http.client.HTTPException) as error:
        raise Interrupted(f"cannot be reached ({str(error) or type(error).__name__})") from None
    try:
        yield response
    finally:
        close()


_Answer = tuple[Response, Callable[[], None]]


def _proxies() -> dict[str, str]:
    """The proxies that are set, each as an address: one of FTP is asked over HTTP, and need not say so."""
    known = urllib.request.getproxies()
    return {kind: f"http://{proxy}" if kind == "ftp" and "://" not in proxy else proxy for kind, proxy in known.items()}


def _has_proxy(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in _proxies() and not urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2])


def _ask_http(url: str, offset: int, validator: str | None, timeout: float) -> _Answer:
    # Built by hand so that a redirection has no handler for file: or data: addresses to end at.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(_proxies()), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
        urllib.request.FTPHandler(), urllib.request.HTTPRedirectHandler(), urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(), urllib.request.UnknownHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    headers = {"User-Agent": "docablate", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator and not validator.startswith("W/"):  # a weak one does not promise the same bytes
            headers["If-Range"] = validator
    answer = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
    length = answer.headers.get("Content-Length")
    total = int(length) if length is not None and length.isdecimal() else None
    start = 0
    if getattr(answer, "status", None) == 206:
        first, _, rest = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")
        whole = rest.partition("/")[2]
        start = int(first) if first.isdecimal() else -1
        total = int(whole) if whole.isdecimal() else None
    tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    read = answer.read1 if hasattr(answer, "read1") else answer.read
    return Response(read, start, total, tag), answer.close


def _ask_ftp(url: str, offset: int, validator: str | None, timeout: float) -> _Answer:
    # Not by urllib, which cannot continue a transfer.
    parts = urlsplit(url)
    ftp = ftplib.FTP(timeout=timeout)
    try:
        ftp.connect(parts.hostname or "", parts.port or 21)
        ftp.login(parts.username or "", parts.password or "")
        path = unquote(parts.path)
        ftp.voidcmd("TYPE I")
        total = ftp.size(path)
        try:
            modified: str | None = ftp.voidcmd(f"MDTM {path}")
        except ftplib.error_perm:
            modified = None
        if (total, modified) != (total, validator):
            offset = 0
        connection = ftp.transfercmd(f"RETR {path}", rest=offset or None)
    except BaseException:
        ftp.close()
        raise

    def close() -> None:
        connection.close()
        ftp.close()

    return Response(connection.recv, offset, total, modified), close
