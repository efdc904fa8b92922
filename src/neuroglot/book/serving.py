"""The built book on this machine alone: loopback, its own names, its own folder, and the pages' own policy."""

import http.server
import re
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..base.errors import NeuroglotError
from .policy import policy, policy_of

#: Names of this machine. Another site's name that leads here (DNS rebinding) would let its scripts read the book.
_NAMES = re.compile(r"(?i)(127\.0\.0\.1|localhost)(:\d{1,5})?")
#: A page's policy stands within its first letters.
_HEAD = 8192


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, to whoever asks this machine by one of its names."""

    # A browser runs no file of another type than these, and a system's table may have others.
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".html": "text/html",
        ".js": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg+xml",
    }
    headers: Message
    #: The page that is being given; none where the answer is that there is none.
    page: Path | None = None

    def send_head(self) -> Any:
        """The file that is asked for, or the answer that there is none."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not _NAMES.fullmatch(hosts[0].strip()):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "this is no name of the book")
            return None
        self.page = self._file()
        if self.page is None:
            self.send_error(HTTPStatus.NOT_FOUND, "there is no such page")
            return None
        return super().send_head()

    def _file(self) -> Path | None:
        """What is asked for, if it is a file of the folder; links lead nowhere out of it, and no folder is listed."""
        try:
            found = Path(self.translate_path(self.path)).resolve()
            if found.is_dir():
                # With its slash, so that nobody is sent anywhere.
                found = (found / "index.html").resolve() if urlsplit(self.path).path.endswith("/") else found
            inside = found.is_relative_to(Path(self.directory).resolve())
            return found if inside and found.is_file() else None
        except (OSError, ValueError, RuntimeError):  # a name that no file has, or links in a circle
            return None

    def end_headers(self) -> None:
        """Every answer with the policy of its page, or one under which nothing runs."""
        self.send_header("Content-Security-Policy", f"{self._policy()}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        super().end_headers()

    def _policy(self) -> str:
        if self.page is not None and self.page.suffix == ".html":
            with self.page.open("rb") as file:
                head = file.read(_HEAD)
            if own := policy_of(head.decode("utf-8", "replace")):
                return own
        return policy(files=False)


def server(folder: Path, port: int = 0, handler: type[_Handler] = _Handler) -> http.server.ThreadingHTTPServer:
    """A server of a built book on loopback, not yet started.

    Raises:
        NeuroglotError: there is no book, no such port, or it is taken.
    """
    if not (folder / "index.html").is_file():
        raise NeuroglotError(f"there is no book in {folder}; run: make book")
    if not 0 <= port < 2**16:
        raise NeuroglotError(f"port {port}: give a number from 0 to {2**16 - 1} with --port.")

    def handle(*args: Any) -> http.server.SimpleHTTPRequestHandler:
        return handler(*args, directory=str(folder))

    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handle)
    except OSError as error:
        raise NeuroglotError(f"port {port} cannot be used ({error.strerror}); give another with --port.") from error


def serve(folder: Path, port: int = 8000) -> None:
    """Serve a built book on loopback until interrupted.

    Raises:
        NeuroglotError: as :func:`server`.
    """
    with server(folder, port) as book:
        print(f"the book is at http://127.0.0.1:{book.server_port}/ (Ctrl-C stops it)", flush=True)
        try:
            book.serve_forever()
        except KeyboardInterrupt:
            print()
