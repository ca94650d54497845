"""Moto's S3 as a process of its own, with a record of what was asked, and faults on demand."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Environ = dict[str, Any]
Start = Callable[..., Any]
CONTROL = "/-/"


@dataclass
class Fault:
    """What goes wrong with the next requests of a kind."""

    method: str
    holds: str
    """What the path holds."""
    status: str
    """The line of the answer; `stall`: half of the body is read, and no answer comes; `cut`: half of
    the answer comes."""
    code: str = ""
    body: str = "<Error><Code>{code}</Code><Message>{code}, says S3</Message></Error>"
    times: int = 1_000_000

    def fits(self, environ: Environ) -> bool:
        """Whether it strikes now."""
        fits = environ["REQUEST_METHOD"] == self.method and self.holds in environ["PATH_INFO"]
        self.times -= fits
        return fits and self.times >= 0


class Server:
    """One request at a time reaches the store: real ones decide on `If-None-Match` as strictly."""

    def __init__(self) -> None:
        self.store = DomainDispatcherApplication(create_backend_app)
        self.turn = threading.Lock()
        self.faults: list[Fault] = []
        self.asked: list[dict[str, str]] = []

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(CONTROL):
            return self.control(environ, start)
        names = {"method": "REQUEST_METHOD", "path": "PATH_INFO", "range": "HTTP_RANGE"}
        self.asked.append({name: environ.get(key, "") for name, key in names.items()})
        for fault in self.faults:
            if fault.fits(environ):
                return self.fail(fault, environ, start)
        return self.ask(environ, start)

    def ask(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """What the store answers."""
        with self.turn:
            return list(self.store(environ, start))

    def control(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Takes faults, gives the record and begins a new one."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["PATH_INFO"] == f"{CONTROL}faults":
            self.faults = [Fault(**fault) for fault in json.loads(body)]
        asked, self.asked = self.asked, []
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(asked).encode()]

    def fail(self, fault: Fault, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answers as S3 does when something is wrong."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if fault.status == "cut":
            answer = b"".join(self.ask(environ, start))
            return [answer[: len(answer) // 2]]
        if fault.status == "stall":
            environ["wsgi.input"].read(length // 2)
            time.sleep(120)
            return []
        environ["wsgi.input"].read(length)
        start(fault.status, [("Content-Type", "application/xml")])
        return [fault.body.format(code=fault.code).encode()]


def end_with_parent() -> None:
    """Ends the process when whoever started it is gone."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    server = make_server("127.0.0.1", 0, Server(), threaded=True)
    print(server.port, flush=True)
    sys.stderr = open("/dev/null", "w")  # noqa: PTH123, SIM115  (a line a request)
    server.serve_forever()
