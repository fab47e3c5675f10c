"""Servers for tests, real ones that misbehave on purpose: a web host, and a proxy before any server."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Resource:
    """One path of a host."""

    content: bytes = b""
    etag: str | None = None
    """None: the sha256 of the content; empty: the header is left out."""
    ranges: bool = True
    head: int = 200
    status: int = 200
    location: str = ""
    cuts: deque[int] = field(default_factory=deque)
    """After so many bytes the connection ends, one number for each GET."""
    drip: float = 0.0
    """Seconds between two bytes."""
    before: Callable[[Resource], None] = lambda resource: None
    """Done before each GET is answered."""

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"' if self.etag is None else self.etag


class Host:
    """An http or https server on a free port of loopback."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.resources: dict[str, Resource] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers (lower-case) of every request."""
        self._server = _Quiet(("127.0.0.1", 0), type("Handler", (_Handler,), {"host": self}))
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def put(self, path: str, content: bytes = b"", **how: object) -> Resource:
        self.resources[path] = Resource(content, **how)  # type: ignore[arg-type]
        return self.resources[path]

    def gets(self, path: str) -> list[dict[str, str]]:
        """Headers of every GET of a path."""
        return [headers for method, asked, headers in self.asked if (method, asked) == ("GET", path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that goes away is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    host: Host
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, send: bool) -> None:
        path = self.path.partition("?")[0]
        self.host.asked.append((self.command, path, {k.lower(): v for k, v in self.headers.items()}))
        found = self.host.resources.get(path)
        if found is not None and send:
            found.before(found)
        status = 404 if found is None else found.status if send or found.head == 200 else found.head
        if found is None or status != 200:
            self._refuse(status, found.location if found else "")
        else:
            with suppress(OSError):
                self._send(found, send)

    def _refuse(self, status: int, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("location", location)
        self.send_header("content-length", "0")
        self.end_headers()

    def _send(self, found: Resource, send: bool) -> None:
        start = self._start(found)
        self.send_response(206 if start else 200)
        if start:
            last = len(found.content) - 1
            self.send_header("content-range", f"bytes {start}-{last}/{len(found.content)}")
        if found.tag:
            self.send_header("etag", found.tag)
        self.send_header("content-length", str(len(found.content) - start))
        self.end_headers()
        if send:
            self._body(found, found.content[start:])

    def _start(self, found: Resource) -> int:
        asked, condition = self.headers.get("range", ""), self.headers.get("if-range")
        if not found.ranges or not asked or (condition and condition != found.tag):
            return 0
        return int(asked.removeprefix("bytes=").partition("-")[0])

    def _body(self, found: Resource, content: bytes) -> None:
        cut = found.cuts.popleft() if found.cuts else None
        if found.drip:
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(found.drip)
            return
        self.wfile.write(content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


@contextmanager
def serving(host: Host) -> Iterator[Host]:
    try:
        yield host
    finally:
        host.close()


class CuttingProxy:
    """Hands bytes on to another port; of the answers it lets through only as many as it is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cuts: deque[int | None] = deque()
        """Bytes of the answer after which a connection is cut, one for each connection; None: never."""
        self.stall = threading.Event()
        """Set: instead of a cut, nothing more comes."""
        self.connections = 0
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with suppress(OSError):
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._port))
                left = self.cuts.popleft() if self.cuts else None
                threading.Thread(target=self._pump, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, left), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        with suppress(OSError):
            while data := source.recv(16384):
                if left is not None and len(data) > left:
                    target.sendall(data[:left])
                    if self.stall.is_set():
                        self._ended.wait(60)
                    break
                left = None if left is None else left - len(data)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context for a server on 127.0.0.1, and the file of the authority to trust."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "host.pem", folder / "host.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem
