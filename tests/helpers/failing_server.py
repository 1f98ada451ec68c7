"""A server on this machine that fails as servers of files do, and counts what it is asked."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

QUOTA = """<!DOCTYPE html><html><head><title>Quota exceeded</title></head><body>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p>
</body></html>"""
SIGN_IN = """<html><head><title>Sign in</title></head><body>
<form action="https://accounts.google.com/signin">to continue</form></body></html>"""

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class FailingServer:
    """Answers to each name's requests in turn, the last one for good; `asked` are their ranges."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.port = 0

    def offer(self, name: str, content: bytes, *answers: Answer) -> str:
        """Offer a file and return its address."""
        self.files[name], self.answers[name] = content, list(answers) or [whole]
        return f"http://127.0.0.1:{self.port}/{name}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.lstrip("/").rpartition("=")[2]
        self.asked.append((name, handler.headers.get("Range")))
        answers = self.answers.get(name, [status(404)])
        step = answers.pop(0) if len(answers) > 1 else answers[0]
        step(handler, self.files.get(name, b""))


@contextlib.contextmanager
def running() -> Iterator[FailingServer]:
    """A server for as long as the block lasts."""
    found = FailingServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _send(handler: BaseHTTPRequestHandler, code: int, body: bytes, **headers: str) -> None:
    handler.send_response(code)
    for key, value in ({"Content_Length": str(len(body))} | headers).items():
        handler.send_header(key.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """The file, or the part of it that is asked for."""
    asked = handler.headers.get("Range")
    if asked is None:
        return _send(handler, 200, content)
    start = int(asked.removeprefix("bytes=").partition("-")[0])
    end = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return _send(handler, 206, content[start:], Content_Range=end)


def without_ranges(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """All of the file, whatever part is asked for."""
    _send(handler, 200, content)


def cut_off(after: int) -> Answer:
    """The first bytes of a longer file; then the connection ends."""

    def answer(handler: BaseHTTPRequestHandler, content: bytes) -> None:
        _send(handler, 200, content[:after], Content_Length=str(len(content)))
        handler.close_connection = True

    return answer


def too_short(by: int) -> Answer:
    """A file without its end, and a length that agrees with it."""
    return lambda handler, content: _send(handler, 200, content[:-by])


def page(text: str) -> Answer:
    """A web page in place of the file, with the status of success."""
    return lambda handler, _: _send(handler, 200, text.encode(), Content_Type="text/html")


def status(code: int) -> Answer:
    """An error."""
    return lambda handler, _: _send(handler, code, b"no")


def redirect(name: str) -> Answer:
    """To another name."""
    return lambda handler, _: _send(handler, 302, b"", Location=f"/{name}")
