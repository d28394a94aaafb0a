#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server behind TLS: the same behaviour, and a new certificate without a dropped connection."""
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import test_http_flow  # noqa: E402
from support.raw_http import Client, Server, request, wait_until  # noqa: E402


def make_certificate(folder, name):
    """Self-signed; (certificate, key)."""
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(cls.folder.name)
        cls.first, cls.second = make_certificate(path, "first"), make_certificate(path, "second")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        path = pathlib.Path(self.folder.name)
        self.used = path / "used.pem", path / "used.key"
        self.use(self.first)
        self.server = Server(cert=self.used[0], key=self.used[1])
        self.addCleanup(self.server.stop)

    def use(self, certificate):
        for source, target in zip(certificate, self.used):
            target.write_bytes(source.read_bytes())

    def connect(self, trusted=None, version=None):
        context = ssl.create_default_context(cafile=trusted or self.first[0])
        if version:
            context.maximum_version = version
        client = Client(self.server.port, wrap=lambda s: context.wrap_socket(s, server_hostname="localhost"))
        self.addCleanup(client.socket.close)
        return client

    def test_the_same_server(self):
        client = self.connect()
        client.send(request("GET", "/json") + request("GET", "/slow?ms=20") + request("POST", "/echo", body=b"x" * 100000))
        self.assertEqual(len(client.reply().body), 366)
        self.assertEqual(client.reply().body, b"slept")
        self.assertEqual(client.reply().body, b"x" * 100000)
        for target, size in [("/large?bytes=9000000", 9000000), ("/file?bytes=3000000", 3000000),
                             ("/stream?bytes=3000000", 3000000)]:
            client.send(request("GET", target))
            self.assertEqual(len(client.reply().body), size)
        client.send(request("POST", "/upload", body=b"y" * 3000000))
        self.assertIn(b'"bytes":3000000', client.reply().body)

    def test_tls_1_2_and_byte_by_byte(self):
        client = self.connect(version=ssl.TLSVersion.TLSv1_2)
        for byte in request("GET", "/echo"):
            client.send(bytes([byte]))
        self.assertEqual(client.reply().code, 200)

    def test_refusals_reach_the_client(self):
        client = self.connect()
        client.send("GET /echo HTTP/1.1\nHost: a\n\n")
        self.assertEqual(client.reply().code, 400)
        self.assertTrue(client.is_closed())

    def test_plain_http_and_noise_are_closed(self):
        for text in [request("GET", "/echo"), b"\x16\x03\x01\xff\xff" + b"\x00" * 300]:
            with Client(self.server.port, 5) as client:
                client.send(text)
                client.socket.shutdown(socket.SHUT_WR)
                while client.socket.recv(4096):  # perhaps an alert
                    pass
        self.assertEqual(self.get(self.connect()).code, 200)

    def get(self, client):
        client.send(request("GET", "/echo"))
        return client.reply()

    def test_reload_without_a_drop(self):
        old = self.connect()
        self.assertEqual(self.get(old).code, 200)
        busy = self.connect()
        busy.send(request("GET", "/slow?ms=700"))
        self.use(self.second)
        self.server.signal(signal.SIGHUP)

        def is_new():
            try:
                return self.get(self.connect(self.second[0])).code == 200
            except ssl.SSLCertVerificationError:
                return False

        self.assertTrue(wait_until(is_new))
        self.assertEqual(self.get(old).code, 200)
        self.assertEqual(busy.reply().body, b"slept")

    def test_a_bad_certificate_leaves_the_old_one(self):
        self.used[0].write_text("no certificate")
        self.server.signal(signal.SIGHUP)
        for _ in range(20):
            self.assertEqual(self.get(self.connect()).code, 200)

    def test_a_crowd(self):
        errors = []

        def work():
            try:
                client = self.connect()
                for _ in range(20):
                    assert self.get(client).code == 200
            except Exception as problem:  # noqa: BLE001: whatever it is, it fails the test
                errors.append(problem)

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])


class TlsServer(Server):
    """One whose clients speak TLS, so that what is tested of the plain one can be asked of it."""

    def __init__(self, **options):
        self.folder = tempfile.TemporaryDirectory()
        certificate, key = make_certificate(pathlib.Path(self.folder.name), "flow")
        self.context = ssl.create_default_context(cafile=certificate)
        super().__init__(cert=certificate, key=key, **options)

    def connect(self, timeout=10, receive=None):
        return Client(self.port, timeout, receive=receive,
                      wrap=lambda s: self.context.wrap_socket(s, server_hostname="localhost"))

    def stop(self):
        super().stop()
        self.folder.cleanup()


class Memory(unittest.TestCase):
    @staticmethod
    def growth(kind):
        """What a large reply to a slow reader takes."""
        with kind() as server, server.connect(receive=4096) as client:
            before = test_http_flow.metric(server, "process_resident_memory_bytes")
            client.send(request("GET", "/large?bytes=50000000"))
            client.head()
            time.sleep(0.5)
            return test_http_flow.metric(server, "process_resident_memory_bytes") - before

    def test_a_large_reply_is_enciphered_as_it_leaves(self):
        self.assertLess(self.growth(TlsServer), 1.5 * self.growth(Server))


class BehindTls(unittest.TestCase):
    def setUp(self):
        patch = unittest.mock.patch.object(test_http_flow, "Server", TlsServer)
        patch.start()
        self.addCleanup(patch.stop)


class Streams(BehindTls, test_http_flow.Streams):
    pass


class Leaving(BehindTls, test_http_flow.Leaving):
    test_a_half_closed_client_gets_its_reply = None  # TLS says good-bye in both directions


class Deadlines(BehindTls, test_http_flow.Deadlines):
    pass


class Files(BehindTls, test_http_flow.Files):
    pass


class Ends(BehindTls, test_http_flow.Ends):
    pass


if __name__ == "__main__":
    unittest.main()
