# SPDX-License-Identifier: Apache-2.0
"""HTTP without a client: sockets, exact bytes, and the small server of src/net that the tests drive."""
import os
import pathlib
import resource
import signal
import socket
import ssl
import subprocess
import time


def server_program():
    """Beside the binary under test, where the build puts it."""
    given = os.environ.get("ONGGI_TEST_SERVER")
    if given:
        return given
    return str(pathlib.Path(os.environ["ONGGI_BINARY"]).parent / "src" / "net" / "net_test_server")


class Server:
    """A test server with options as in Server(idle_ms=500); stops, and must stop well, at the end.

    files: how many it may have open.
    """

    def __init__(self, files=None, **options):
        arguments = [server_program()]
        for name, value in options.items():
            arguments += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=files and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))))
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Ends by SIGTERM; a sanitizer's finding or a crash is the test's failure."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            errors = self.process.communicate(timeout=60)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError("the server did not end after SIGTERM")
        if self.process.returncode != 0:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{errors}")

    def connect(self, timeout=10, receive=None):
        """receive: bytes that the system takes for the client before it reads."""
        return Client(self.port, timeout, receive=receive)

    def ask(self, text, timeout=10):
        """One connection, these bytes, the first reply."""
        with self.connect(timeout) as client:
            client.send(text)
            return client.reply()

    def get(self, target, *headers):
        return self.ask(request("GET", target, *headers))


def request(method, target, *headers, body=None):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")


class Reply:
    def __init__(self, code, headers, body, complete=True):
        self.code, self.headers, self.body, self.complete = code, headers, body, complete

    def __repr__(self):
        return f"<{self.code} {self.headers} {self.body[:100]!r}>"


class Closed(Exception):
    """The server has closed before a reply was whole."""


class Client:
    def __init__(self, port, timeout=10, wrap=None, receive=None):
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        if wrap:
            self.socket = wrap(self.socket)
        self.waiting = b""

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Closed(self.waiting)
        self.waiting += data

    def until(self, mark):
        while mark not in self.waiting:
            self.more()
        found, self.waiting = self.waiting.split(mark, 1)
        return found

    def exactly(self, count):
        while len(self.waiting) < count:
            self.more()
        found, self.waiting = self.waiting[:count], self.waiting[count:]
        return found

    def head(self):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        assert lines[0].startswith("HTTP/1.1 "), lines[0]
        headers = {}
        for line in lines[1:]:
            name, value = line.split(": ", 1)
            assert name.lower() not in headers, f"{name} stands twice"
            headers[name.lower()] = value
        return int(lines[0].split()[1]), headers

    def chunk(self):
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def reply(self, head_only=False):
        code, headers = self.head()
        if head_only or code in (100, 204, 304):
            return Reply(code, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            assert "content-length" not in headers
            body = b""
            while chunk := self.chunk():
                body += chunk
            return Reply(code, headers, body)
        return Reply(code, headers, self.exactly(int(headers["content-length"])))

    def is_closed(self, within=5):
        """Whether the server closes, without another byte."""
        self.socket.settimeout(within)
        try:
            return self.socket.recv(1) == b""
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            return True
        except TimeoutError:
            return False


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False
