"""A real OpenID provider for tests: Django OAuth Toolkit as a program of its own, and a line to it that may be bad."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin

import httpx
from jwcrypto.jwk import JWK
from jwcrypto.jwt import JWT

from tests.servers.process import free_port

SITE = Path(__file__).with_name("openid_site.py")
CLIENT, SECRET = "tieout", "a secret with: colons / and spaces"
PATIENCE = 60.0


def as_it_is(_: str, body: bytes) -> bytes:
    """What goes through a line that changes nothing."""
    return body


class Line:
    """Stands at the issuer's address and hands everything on; what goes through it can be changed, or is cut off."""

    def __init__(self, target: int) -> None:
        self.changed: Callable[[str, bytes], bytes] = as_it_is
        self.is_cut = False
        self.status = 0
        self.asked: list[str] = []
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                line.asked.append(self.path)
                if line.is_cut:
                    self.close_connection = True
                    return
                length = int(self.headers.get("content-length", 0))
                url = f"http://127.0.0.1:{target}{self.path}"
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                answer = httpx.request(self.command, url, content=self.rfile.read(length), headers=headers)
                body = line.changed(self.path, answer.content)
                self.send_response(line.status or answer.status_code)
                for name, value in answer.headers.multi_items():
                    if name not in ("content-length", "connection", "transfer-encoding", "content-encoding", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the name that its base class looks for

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class OpenId:
    """A provider that knows ann, eve who has no role, and one of each role; its client comes back to `redirect`."""

    def __init__(self, folder: Path, redirect: str) -> None:
        self.folder = folder
        self.redirect = redirect
        self.port = free_port()
        self.line = Line(self.port)
        self.keys = [JWK.generate(kty="RSA", size=2048)]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.line.port}/o"

    def start(self) -> OpenId:
        """Start it, and wait until it answers."""
        pems = [key.export_to_pem(private_key=True, password=None).decode() for key in self.keys]
        (self.folder / "keys.json").write_text(json.dumps(pems))
        with (self.folder / "openid.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, SITE, self.folder, str(self.port), self.issuer, self.redirect], stdout=log, stderr=log
            )
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/o/.well-known/jwks.json").raise_for_status()
            except httpx.HTTPError:
                assert self.process.poll() is None, (self.folder / "openid.log").read_text()
                assert time.monotonic() < ends, "the provider does not start"
                time.sleep(0.05)
            else:
                return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        self.stop()
        self.line.close()

    def rotate(self, *, keeping: bool) -> None:
        """Sign with a new key from now on; the old one is still told of, or withdrawn."""
        self.stop()
        self.keys = [JWK.generate(kty="RSA", size=2048), *(self.keys if keeping else ())]
        self.start()

    def signed(self, claims: dict, key: JWK | None = None, **header: str) -> str:
        """A token with these claims, signed by the provider's own key, or by another one."""
        used = key or self.keys[0]
        token = JWT(header={"alg": "RS256", "kid": self.keys[0].thumbprint(), **header}, claims=claims)
        token.make_signed_token(used)
        return token.serialize()

    @contextmanager
    def changing(self, part: str, change: Callable[[dict], dict]) -> Iterator[None]:
        """Meanwhile, what is answered at paths that hold `part` comes changed."""

        def changed(path: str, body: bytes) -> bytes:
            return json.dumps(change(json.loads(body))).encode() if part in path else body

        before, self.line.changed = self.line.changed, changed
        try:
            yield
        finally:
            self.line.changed = before


class Browser:
    """A person's browser: keeps cookies, fills in the provider's form, and says where it is from."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=PATIENCE)
        self.address = address

    def close(self) -> None:
        self.http.close()

    def to_provider(self, back: str = "/v1/me") -> str:
        """Begin to log in; where the browser is sent."""
        answer = self.http.get("/v1/login", params={"back": back})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def at_provider(self, name: str, address: str) -> str:
        """Log in at the provider, which a browser comes to at this address; where it is sent back to."""
        answer = self.http.get(address)
        while not answer.headers.get("location", "").startswith(self.address):
            if answer.is_redirect:
                answer = self.http.get(urljoin(str(answer.url), answer.headers["location"]))
                continue
            hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.text)
            assert hidden, answer.text
            form = {"csrfmiddlewaretoken": unescape(hidden[1]), "username": name, "password": name}
            answer = self.http.post(str(answer.url), data=form, headers={"Referer": str(answer.url)})
        return answer.headers["location"]

    def login(self, name: str, back: str = "/v1/me") -> httpx.Response:
        """Log in; the answer to the way back from the provider."""
        return self.http.get(self.at_provider(name, self.to_provider(back)))

    def post(self, path: str, origin: str = "", **more) -> httpx.Response:
        """What a page of this server sends, or of another."""
        return self.http.post(path, headers={"Origin": origin or self.address}, **more)
