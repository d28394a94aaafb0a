#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server's life: start, crash, reload, a new binary in its place, the end; and who may start it."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from urllib.parse import urlparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402


def children(pid):
    return [int(word) for word in
            Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(what, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            value = what()
        except OSError:
            value = None
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


class Asker(threading.Thread):
    """Asks all the time, a fresh connection each, and counts what is lost."""

    def __init__(self, url):
        super().__init__()
        self.address = urlparse(url)
        self.good, self.lost, self.stopping = 0, [], False

    def run(self):
        while not self.stopping:
            try:
                connection = http.client.HTTPConnection(self.address.hostname,
                                                        self.address.port, timeout=20)
                connection.request("GET", "/healthz")
                self.good += connection.getresponse().status == 200
                connection.close()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))

    def finish(self):
        self.stopping = True
        self.join()
        return self


class Supervisor(onggi.ProjectCase):
    files = {"onggi.yaml": "server: {threads: 2}\n"}

    def start(self):
        self.project.serve()
        self.pid = self.project.server.pid
        return wait_for(lambda: children(self.pid))[0]

    def healthy(self):
        with self.project.open("/healthz", timeout=20) as reply:
            return reply.status == 200

    def test_crash_costs_a_fraction_of_a_second_and_leaves_its_stack(self):
        child = self.start()
        began = time.monotonic()
        os.kill(child, signal.SIGSEGV)
        # The sockets outlive the child: this waits in their queue and is answered.
        wait_for(lambda: children(self.pid) not in ([], [child]))
        self.assertTrue(wait_for(self.healthy))
        self.assertLess(time.monotonic() - began, 5)
        traces = list((self.path / ".onggi" / "logs").glob(f"crash-*-{child}.txt"))
        self.assertEqual(len(traces), 1, self.project.log())
        self.assertIn("signal 11", traces[0].read_text())
        self.assertIn(traces[0].name, self.project.log())

    def test_of_the_stacks_of_crashes_the_newest_stay(self):
        child = self.start()
        logs = self.path / ".onggi" / "logs"
        for number in range(25):
            (logs / f"crash-{1700000000 + number}-{child}.txt").write_text("of another process with this number")
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: "ended by signal 9" in self.project.log())
        self.assertNotIn("its stack is in", self.project.log())
        self.assertEqual(sorted(path.name for path in logs.glob("crash-*")),
                         [f"crash-{1700000000 + number}-{child}.txt" for number in range(5, 25)])

    def test_kill_9_again_and_again_is_survived(self):
        child = self.start()
        for _ in range(3):
            os.kill(child, signal.SIGKILL)
            child = wait_for(lambda: [pid for pid in children(self.pid) if pid != child])[0]
            self.assertTrue(wait_for(self.healthy))

    def test_who_started_it_may_ignore_sigchld(self):
        with open(self.path / "serve.log", "a", encoding="utf-8") as log:
            self.project.server = subprocess.Popen(
                [onggi.BINARY, "serve", "--listen", "127.0.0.1:0"], cwd=self.path, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.pid = self.project.server.pid
        self.project.url = wait_for(
            lambda: json.loads((self.path / ".onggi" / "server.json").read_text())["url"])
        child = wait_for(lambda: children(self.pid))[0]
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: children(self.pid) not in ([], [child]))
        self.assertTrue(wait_for(self.healthy))
        self.project.server.terminate()
        self.assertEqual(self.project.server.wait(20), 0, self.project.log())

    def back_off(self, child):
        """Crashes it until the pause before the next child is long; returns in the middle of it."""
        for pause in (100, 200, 400, 800, 1600):
            child = wait_for(lambda: [pid for pid in children(self.pid) if pid != child])[0]
            wait_for(self.healthy)
            os.kill(child, signal.SIGKILL)
            wait_for(lambda: f"in {pause} ms" in self.project.log())

    def test_sigterm_between_two_children_ends_it_at_once(self):
        child = self.start()
        os.kill(child, signal.SIGKILL)
        self.back_off(child)
        self.assertEqual(children(self.pid), [])
        began = time.monotonic()
        self.project.server.terminate()
        self.assertEqual(self.project.server.wait(20), 0, self.project.log())
        self.assertLess(time.monotonic() - began, 1.5)

    def test_sighup_does_not_end_a_child_that_is_starting(self):
        child = self.start()
        os.kill(child, signal.SIGKILL)
        for _ in range(300):
            os.kill(self.pid, signal.SIGHUP)
            time.sleep(0.001)
        wait_for(lambda: children(self.pid) not in ([], [child]))
        self.assertTrue(wait_for(self.healthy))
        self.assertNotIn("ended by signal 1 ", self.project.log())

    def test_while_it_ends_nobody_new_is_let_in(self):
        self.start()
        address = urlparse(self.project.url)
        body = json.dumps({"service": "none", "entities": {}}).encode()
        with socket.create_connection((address.hostname, address.port), 20) as busy:
            busy.sendall(b"POST /api/v1/features/get HTTP/1.1\r\nHost: localhost\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
            time.sleep(0.2)
            self.project.server.terminate()

            def is_refused():
                try:
                    socket.create_connection((address.hostname, address.port), 5).close()
                except ConnectionRefusedError:
                    return True
                return False

            self.assertTrue(wait_for(is_refused, 5))
            self.assertIsNone(self.project.server.poll())
            busy.sendall(body[5:])
            self.assertIn(b"HTTP/1.1 4", busy.recv(4096))
        self.assertEqual(self.project.server.wait(20), 0, self.project.log())

    def test_sigterm_ends_it_in_order(self):
        self.start()
        self.assertTrue((self.path / ".onggi" / "server.json").exists())
        self.project.server.terminate()
        self.assertEqual(self.project.server.wait(20), 0, self.project.log())
        self.assertFalse((self.path / ".onggi" / "server.json").exists())
        self.assertNotIn("error", self.project.log().lower())

    def test_a_killed_supervisor_takes_its_child_along(self):
        child = self.start()
        self.project.server.kill()
        self.project.server.wait()
        wait_for(lambda: not Path(f"/proc/{child}").exists() or
                 " Z " in Path(f"/proc/{child}/stat").read_text())
        self.start()
        self.assertTrue(self.healthy())

    def test_sighup_reads_users_again(self):
        self.start()
        (self.path / "onggi.yaml").write_text("server: {threads: 2}\nbad\n")
        os.kill(self.pid, signal.SIGHUP)
        wait_for(lambda: "onggi.yaml:2:1" in self.project.log())
        self.assertTrue(self.healthy())
        (self.path / "onggi.yaml").write_text("server: {threads: 2}\n")
        os.kill(self.pid, signal.SIGHUP)
        wait_for(lambda: "configuration read again" in self.project.log())

    def test_a_new_binary_takes_over_and_nobody_notices(self):
        binary, name = self.path / "onggi-copy", onggi.BINARY
        shutil.copy(name, binary)
        onggi.BINARY = str(binary)
        try:
            child = self.start()
        finally:
            onggi.BINARY = name
        asker = Asker(self.project.url)
        asker.start()
        # As an upgrade does it: another file under the same name.
        shutil.copy(name, self.path / "onggi-next")
        os.replace(self.path / "onggi-next", binary)
        (self.path / ".onggi" / "server.json").unlink()
        os.kill(self.pid, signal.SIGUSR2)
        wait_for(lambda: children(self.pid) and child not in children(self.pid), 60)
        time.sleep(0.3)
        asker.finish()
        self.assertEqual(asker.lost, [])
        self.assertGreater(asker.good, 10)
        self.assertIsNone(self.project.server.poll())
        self.assertTrue(self.healthy())
        # No job or script inherits what the new program was given.
        for fd in Path(f"/proc/{self.pid}/fd").iterdir():
            if int(fd.name) > 2:
                flags = Path(f"/proc/{self.pid}/fdinfo/{fd.name}").read_text().split("flags:")[1].split()[0]
                self.assertTrue(int(flags, 8) & os.O_CLOEXEC, os.readlink(fd))
        # What commands find it by is written by who answers now.
        self.assertIn(self.project.url, self.project.must("status"))

    def test_a_second_server_is_told_about_the_first(self):
        self.start()
        second = self.project.run("serve", "--listen", "127.0.0.1:0")
        self.assertEqual(second.returncode, 1)
        self.assertIn("a server already runs", second.stderr)
        self.assertIn(str(self.pid), second.stderr)

    def test_a_port_in_use_names_who_has_it(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            done = self.project.run("serve", "--listen", f"127.0.0.1:{port}")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"127.0.0.1:{port} is in use by process {os.getpid()}", done.stderr)
        self.assertIn("--listen", done.stderr)

    def test_the_world_is_refused_without_users(self):
        done = self.project.run("serve", "--listen", "0.0.0.0:0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("users add", done.stderr)

    def test_a_mistake_in_the_configuration_has_its_place(self):
        (self.path / "onggi.yaml").write_text("server:\n  lisen: 1\n")
        done = self.project.run("serve")
        self.assertEqual(done.returncode, 1)
        self.assertIn("onggi.yaml:2:3", done.stderr)
        self.assertIn("listen", done.stderr)

    def test_the_lock_of_a_command_is_waited_for(self):
        (self.path / ".onggi").mkdir()
        held = subprocess.Popen(["flock", str(self.path / ".onggi" / "lock"), "sleep", "1"])
        time.sleep(0.3)
        self.start()
        held.wait()
        self.assertIn("waiting", self.project.log())

    def test_status_and_doctor_speak_of_the_server(self):
        self.start()
        self.assertIn(self.project.url, self.project.must("status"))
        checks = json.loads(self.project.run("doctor", "--json").stdout)["checks"]
        self.assertLessEqual({"server", "disk", "clock", "duckdb", "onnxruntime", "python"},
                             {check["name"] for check in checks})


if __name__ == "__main__":
    unittest.main()
