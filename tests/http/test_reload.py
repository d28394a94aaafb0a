#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""onggi.yaml read again while it serves: certificates, users, deadlines, logs; and what is wrong changes nothing."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import onggi  # noqa: E402
from support.raw_http import Client, request, wait_until  # noqa: E402


def make_certificate(folder, name, *options):
    """Self-signed, for this machine; NAME.pem and NAME.key."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "30", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", folder / f"{name}.pem",
                    "-keyout", folder / f"{name}.key", *(options or ["-nodes"])], check=True, capture_output=True)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)
        self.config = self.path / "onggi.yaml"
        self.project = onggi.Project(self.path)
        self.addCleanup(self.project.stop)

    def start(self, config):
        """Until it answers at the port that it has written down."""
        self.config.write_text(config)
        with open(self.path / "serve.log", "w", encoding="utf-8") as log:
            self.project.server = subprocess.Popen([onggi.BINARY, "serve", "--listen", "127.0.0.1:0"], cwd=self.path,
                                                   stdout=log, stderr=log)
        info = self.path / ".onggi" / "server.json"
        self.assertTrue(wait_until(info.exists, 30), self.log())
        self.project.url = json.loads(info.read_text())["url"]
        self.port = int(self.project.url.rsplit(":", 1)[1])
        self.pid = self.project.server.pid

    def log(self):
        return (self.path / "serve.log").read_text()

    def reload(self, config, expected):
        """Returns once the log has the sentence."""
        before = len(self.log())
        if config is not None:
            self.config.write_text(config)
        os.kill(self.pid, signal.SIGHUP)
        self.assertTrue(wait_until(lambda: expected in self.log()[before:], 20), self.log()[before:])

    def children(self):
        return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def code(self, path, token=None, host=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if host:
            headers["Host"] = host
        try:
            with urllib.request.urlopen(urllib.request.Request(self.project.url + path, headers=headers),
                                        timeout=20) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code


@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class Certificates(Case):
    CONFIG = "server:\n  threads: 2\n  tls:\n    certificate: used.pem\n    key: used.key\n"

    def setUp(self):
        super().setUp()
        make_certificate(self.path, "first")
        make_certificate(self.path, "second")
        self.use("first")

    def use(self, name):
        for suffix in (".pem", ".key"):
            shutil.copy(self.path / (name + suffix), self.path / ("used" + suffix))

    def connect(self, trusted):
        context = ssl.create_default_context(cafile=self.path / f"{trusted}.pem")
        client = Client(self.port, 20, wrap=lambda s: context.wrap_socket(s, server_hostname="localhost"))
        self.addCleanup(client.socket.close)
        return client

    def healthy(self, client):
        client.send(request("GET", "/healthz"))
        return client.reply().code == 200

    def serves(self, name):
        try:
            return self.healthy(self.connect(name))
        except ssl.SSLCertVerificationError:
            return False

    def test_a_new_certificate_without_a_dropped_connection(self):
        self.start(self.CONFIG)
        self.assertTrue(self.project.url.startswith("https://"))
        old = [self.connect("first") for _ in range(8)]
        self.assertTrue(all(map(self.healthy, old)))
        self.use("second")
        self.reload(None, "configuration read again")
        self.assertTrue(all(self.serves("second") for _ in range(8)))
        self.assertFalse(self.serves("first"))
        self.assertTrue(all(map(self.healthy, old)))
        # Under other names too, and a server that is started anew after a crash has it as well.
        self.reload(self.CONFIG.replace("used", "first"), "configuration read again")
        self.assertTrue(self.serves("first"))
        os.kill(self.children()[0], signal.SIGKILL)
        self.assertTrue(self.serves("first"))

    def test_a_broken_new_certificate_keeps_the_old(self):
        self.start(self.CONFIG)
        old = self.connect("first")
        shutil.copy(self.path / "second.key", self.path / "used.key")
        self.reload(None, "onggi.yaml:5:10: the key does not belong to the certificate")
        (self.path / "used.pem").write_text("nothing\n")
        self.reload(None, "onggi.yaml:4:18: read the certificate")
        self.assertIn("nothing is changed", self.log())
        self.assertTrue(self.serves("first"))
        self.assertTrue(self.healthy(old))

    def test_a_crash_after_a_broken_renewal_does_not_take_the_service_away(self):
        self.start(self.CONFIG)
        (self.path / "used.pem").write_text("nothing\n")
        self.reload(None, "nothing is changed")
        for _ in range(2):
            child = self.children()[0]
            os.kill(child, signal.SIGKILL)
            self.assertTrue(wait_until(lambda: self.children() not in ([], [child])))
            self.assertTrue(self.serves("first"))
        # Half renewed, and nobody has asked to read it yet.
        self.use("second")
        shutil.copy(self.path / "first.key", self.path / "used.key")
        os.kill(self.children()[0], signal.SIGKILL)
        self.assertTrue(self.serves("first"))
        self.use("second")
        os.kill(self.children()[0], signal.SIGKILL)
        self.assertTrue(self.serves("second"))

    def test_commands_find_the_server_by_the_certificate_that_it_took(self):
        self.start(self.CONFIG)
        self.reload(self.CONFIG.replace("used", "second"), "configuration read again")
        self.assertIn(self.project.url, self.project.must("status"))
        # Not by one that it did not take.
        self.reload(self.CONFIG.replace("used.key", "second.key"), "nothing is changed")
        self.assertIn(self.project.url, self.project.must("status"))

    def test_what_is_wrong_at_the_start_has_its_place(self):
        make_certificate(self.path, "locked", "-passout", "pass:secret")
        cases = [("used.key", "nowhere.key", "5:10", "nowhere.key: No such file"),
                 ("used.key", "second.key", "5:10", "does not belong to the certificate"),
                 ("used.key", "locked.key", "5:10", "has a passphrase"),
                 ("used.key", "used.pem", "5:10", "used.pem: there is none in it"),
                 ("used.key", ".", "5:10", "read the key"),
                 ("used.pem", "nowhere.pem", "4:18", "nowhere.pem: No such file"),
                 ("used.pem", "used.key", "4:18", "used.key: there is none in it"),
                 ("used.pem", "onggi.yaml", "4:18", "onggi.yaml: there is none in it")]
        for given, instead, place, sentence in cases:
            self.config.write_text(self.CONFIG.replace(given, instead))
            for arguments in (["--listen", "127.0.0.1:0"], ["--check"]):
                done = self.project.run("serve", *arguments)
                self.assertEqual(done.returncode, 1, (instead, done.stderr))
                self.assertIn(f"onggi.yaml:{place}: ", done.stderr)
                self.assertIn(sentence, done.stderr)
        self.config.write_text(self.CONFIG)
        self.assertIn("is fine", self.project.run("serve", "--check").stderr)

    def test_commands_know_the_certificate_of_their_server(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "30", "-nodes", "-subj", "/CN=x",
                        "-addext", "subjectAltName=DNS:onggi.example.com", "-out", self.path / "named.pem",
                        "-keyout", self.path / "named.key"], check=True, capture_output=True)
        self.start(self.CONFIG.replace("used", "named"))
        self.assertIn(self.project.url, self.project.must("status"))
        # Not so for one that is named, nor for one that shows another certificate.
        done = self.project.run("status", "--server", self.project.url)
        self.assertEqual(done.returncode, 5)
        self.assertIn("self-signed", done.stderr)
        shutil.copy(self.path / "second.pem", self.path / "named.pem")
        done = self.project.run("status")
        self.assertEqual(done.returncode, 5)
        self.assertIn("another certificate", done.stderr)

    def test_an_expired_certificate_is_told(self):
        make_certificate(self.path, "soon", "-nodes", "-days", "3")
        self.start(self.CONFIG.replace("used", "soon"))
        self.assertRegex(self.log(), "certificate .*soon.pem expires in [23] days")


@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class Settings(Case):
    BASE = "server: {threads: 2, access_log: one.log}\n"

    def test_limits_deadlines_and_logs(self):
        self.start(self.BASE)
        kept = Client(self.port)
        self.addCleanup(kept.socket.close)
        kept.send(request("GET", "/healthz"))
        self.assertEqual(kept.reply().code, 200)
        self.reload("server: {threads: 2, access_log: two.log, connections: 2, log: json,\n"
                    "         hosts: [onggi.example.com], deadlines: {head: 300ms, idle: 60s}}\n",
                    '"message":"server: configuration read again"')
        kept.send(request("GET", "/readyz", "Host: onggi.example.com").replace(b"Host: localhost\r\n", b""))
        self.assertEqual(kept.reply().code, 200)
        with Client(self.port) as slow:
            began = time.monotonic()
            slow.send("GET /hea")
            self.assertEqual(slow.reply().code, 408)
            self.assertLess(time.monotonic() - began, 5)
        time.sleep(0.3)  # the slow one is gone
        with Client(self.port) as second:
            second.send(request("GET", "/healthz"))
            self.assertEqual(second.reply().code, 200)
            with Client(self.port) as third:
                self.assertEqual(third.reply().code, 503)
        self.assertTrue(wait_until(lambda: "/readyz" in (self.path / "two.log").read_text()))
        self.assertIn("/healthz", (self.path / "one.log").read_text())
        self.assertNotIn("/readyz", (self.path / "one.log").read_text())
        self.reload("server: {threads: 2}\n", "configuration read again")
        size = (self.path / "two.log").stat().st_size
        kept.send(request("GET", "/healthz"))
        self.assertEqual(kept.reply().code, 200)
        time.sleep(0.5)
        self.assertEqual((self.path / "two.log").stat().st_size, size)

    def test_how_much_is_logged(self):
        self.start(self.BASE)
        read_again = "configuration read again"
        self.config.write_text("server: {threads: 2, log_level: error, hosts: [onggi.example.com]}\n")
        os.kill(self.pid, signal.SIGHUP)
        self.assertTrue(wait_until(lambda: self.code("/readyz", host="onggi.example.com") == 200))
        time.sleep(0.2)
        self.assertNotIn(read_again, self.log())
        self.reload(self.BASE, read_again)
        self.reload("server: {threads: 2, log_level: loud}\n", "onggi.yaml:1:33: expected debug, info, warn or error")
        done = self.project.run("status", env={"ONGGI_LOG": "loud"})
        self.assertEqual(done.returncode, 2)
        self.assertIn("ONGGI_LOG is 'loud'", done.stderr)

    def test_what_has_to_wait_is_named(self):
        self.start(self.BASE)
        self.reload("python: python4\nserver: {threads: 3, workers: 7, listen: '127.0.0.1:1', access_log: one.log,\n"
                    "         tls: {certificate: a, key: b}}\n",
                    "python, server.listen, server.threads, server.workers, server.tls: takes effect at the next start")
        self.assertEqual(self.code("/readyz"), 200)

    def test_a_mistake_changes_nothing(self):
        self.start(self.BASE)
        for text, place in [("server: {threads: 2, access_log: two.log,\n  deadlines: {head: soon}}\n", "onggi.yaml:2:21"),
                            ("server: {threads: 2, access_log: two.log}\nusers:\n\t- x\n", "onggi.yaml:3:1"),
                            ("server: {threads: 2, access_log: two.log}\nuser: []\n", "onggi.yaml:2:1"),
                            ("server: {deadlines: {idle: 40000d}}\n", "onggi.yaml:1:28"),
                            ("server: {access_log: nowhere/two.log, hosts: [evil.example]}\n", "nowhere/two.log")]:
            self.reload(text, place)
            self.assertEqual(self.code("/readyz"), 200)
            self.assertEqual(self.code("/readyz", host="evil.example"), 403)
        self.assertTrue(wait_until(lambda: "/readyz" in (self.path / "one.log").read_text()))
        self.assertFalse((self.path / "two.log").exists())
        # Who comes after a crash has not heard of it either.
        child = self.children()[0]
        os.kill(child, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.children() not in ([], [child])))
        self.assertEqual(self.code("/readyz"), 200)
        self.assertEqual(self.code("/readyz", host="evil.example"), 403)

    def test_a_crash_when_the_log_cannot_be_opened_any_more(self):
        (self.path / "logs").mkdir()
        self.start("server: {threads: 2, access_log: logs/one.log}\n")
        shutil.rmtree(self.path / "logs")
        child = self.children()[0]
        os.kill(child, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.children() not in ([], [child])))
        self.assertEqual(self.code("/readyz"), 200)
        self.assertIn("serving without it", self.log())
        (self.path / "logs").mkdir()
        self.reload(None, "configuration read again")
        self.assertEqual(self.code("/readyz"), 200)
        self.assertTrue(wait_until(lambda: "/readyz" in (self.path / "logs" / "one.log").read_text()))

    def test_reloads_under_load_lose_nothing(self):
        self.start(self.BASE)
        clients = [Client(self.port) for _ in range(8)]
        for turn in range(20):
            fresh = self.path / "fresh.yaml"  # half a file may be a good one, too
            fresh.write_text(f"server: {{threads: 2, access_log: {'one' if turn % 2 else 'two'}.log}}\n")
            os.replace(fresh, self.config)
            os.kill(self.pid, signal.SIGHUP)
            for client in clients:
                client.send(request("GET", "/healthz") * 10)
            for client in clients:
                for _ in range(10):
                    self.assertEqual(client.reply().code, 200)
        for client in clients:
            client.socket.close()
        self.project.stop()
        lines = sum((self.path / name).read_text().count('"path":"/healthz"') for name in ("one.log", "two.log"))
        self.assertEqual(lines, 20 * 8 * 10)


@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class WhoIsLetIn(Case):
    def add(self, name, role, token=""):
        done = subprocess.run([onggi.BINARY, "users", "add", name, "--role", role], cwd=self.path, text=True,
                              env=dict(os.environ, ONGGI_TOKEN=token), capture_output=True, timeout=60, check=True)
        return done.stdout.strip()

    def remove(self, name, token):
        subprocess.run([onggi.BINARY, "users", "remove", name], cwd=self.path, check=True, capture_output=True,
                       env=dict(os.environ, ONGGI_TOKEN=token), timeout=60)

    def test_a_crash_does_not_bring_back_who_was_removed(self):
        self.config.write_text("server: {threads: 1}\n")
        admin = self.add("root", "admin")
        self.start(self.config.read_text())
        viewer = self.add("vera", "viewer", admin)
        self.reload(None, "configuration read again")
        self.remove("vera", admin)
        self.assertEqual(self.code("/api/v1/status", viewer), 401)
        os.kill(self.children()[0], signal.SIGKILL)
        self.assertTrue(wait_until(lambda: self.code("/api/v1/status", admin) == 200))
        self.assertEqual(self.code("/api/v1/status", viewer), 401)

    def test_host_is_checked_as_soon_as_nobody_needs_a_token(self):
        self.config.write_text("server: {threads: 1}\n")
        admin = self.add("root", "admin")
        self.start(self.config.read_text())
        self.assertEqual(self.code("/healthz", host="evil.example"), 200)
        self.remove("root", admin)
        self.assertEqual(self.code("/api/v1/status"), 200)
        self.assertEqual(self.code("/api/v1/status", host="evil.example"), 403)

    def test_a_takeover_that_could_not_start_is_not_tried(self):
        binary, name = self.path / "onggi-copy", onggi.BINARY
        shutil.copy(name, binary)
        onggi.BINARY = str(binary)
        try:
            self.start("server: {threads: 1}\n")
        finally:
            onggi.BINARY = name
        for text in ("server: {threads: 1}\nbad\n", "server: {threads: 1}\nserver: {threads: 1, listen: ':8470'}\n"):
            before = len(self.log())
            self.config.write_text(text)
            os.kill(self.pid, signal.SIGUSR2)
            self.assertTrue(wait_until(lambda: "cannot take over" in self.log()[before:], 30), self.log())
            self.assertIn("onggi.yaml:", self.log()[before:])
            self.assertEqual(self.code("/readyz"), 200)
        # A file that is no program, and one that fails.
        self.config.write_text("server: {threads: 1}\n")
        for content in ("no program", "#!/bin/false\n"):
            before = len(self.log())
            (self.path / "next").write_text(content)
            (self.path / "next").chmod(0o755)
            os.replace(self.path / "next", binary)
            os.kill(self.pid, signal.SIGUSR2)
            self.assertTrue(wait_until(lambda: "cannot take over" in self.log()[before:], 30), self.log())
            self.assertEqual(self.code("/readyz"), 200)
        self.assertIsNone(self.project.server.poll())

    def test_a_takeover_trusts_by_where_the_sockets_are(self):
        """Open to the world with users; then the file says loopback without users. The sockets stay open to the world."""
        self.config.write_text("server: {threads: 1}\n")
        admin = self.add("root", "admin")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.config.write_text(f"server: {{threads: 1, listen: ':{port}'}}\n" +
                               self.config.read_text().split("\n", 1)[1])
        with open(self.path / "serve.log", "w", encoding="utf-8") as log:
            self.project.server = subprocess.Popen([onggi.BINARY, "serve"], cwd=self.path, stdout=log, stderr=log)
        self.pid, self.project.url = self.project.server.pid, f"http://127.0.0.1:{port}"
        self.assertTrue(wait_until(lambda: "try" in self.log(), 30), self.log())
        self.assertEqual(self.code("/api/v1/status", admin), 200)
        child = self.children()
        self.config.write_text(f"server: {{threads: 1, listen: '127.0.0.1:{port}'}}\n")
        os.kill(self.pid, signal.SIGUSR2)
        self.assertTrue(wait_until(lambda: self.children() and not set(child) & set(self.children()), 60), self.log())
        self.assertIn("the sockets stay at 0.0.0.0", self.log())
        self.assertEqual(self.code("/api/v1/status"), 401)


if __name__ == "__main__":
    unittest.main()
