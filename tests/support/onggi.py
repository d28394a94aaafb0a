# SPDX-License-Identifier: Apache-2.0
"""The binary under test, on a project of the test's own, by command line and over HTTP."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

BINARY = os.environ.get("ONGGI_BINARY", "")
JSON = "application/json"


class Project:
    """A folder, the commands that run in it, and at most one server."""

    def __init__(self, folder, files=None):
        self.folder = Path(folder)
        self.server = None
        self.url = None
        for name, text in (files or {}).items():
            self.write(name, text)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    # ---- commands

    def start(self, *arguments, **options):
        """A process under way, in a session of its own; its output is text."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen([BINARY, *map(str, arguments)], cwd=self.folder, text=True,
                                start_new_session=True, **options)

    def run(self, *arguments, env=None, timeout=240):
        """The finished process; its output is text."""
        return subprocess.run([BINARY, *arguments_of(arguments)], cwd=self.folder, text=True, errors="replace",
                              capture_output=True, timeout=timeout, env=None if env is None else {**os.environ, **env})

    def must(self, *arguments, env=None):
        done = self.run(*arguments, env=env)
        if done.returncode != 0:
            raise AssertionError(f"onggi {' '.join(map(str, arguments))}: exit {done.returncode}\n"
                                 f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done.stdout

    # ---- the server

    def serve(self, wait=60, listen="127.0.0.1:0"):
        """Returns when the server is ready."""
        with open(self.folder / "serve.log", "a", encoding="utf-8") as log:
            self.server = subprocess.Popen([BINARY, "serve", "--listen", listen], cwd=self.folder, stdout=log,
                                           stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and self.server.poll() is None:
            try:
                self.url = json.loads((self.folder / ".onggi" / "server.json").read_text())["url"]
                urllib.request.urlopen(self.url + "/readyz", timeout=5).close()
                return
            except (OSError, ValueError, KeyError):
                time.sleep(0.02)
        raise AssertionError("no server: " + self.log()[-4000:])

    def log(self):
        return (self.folder / "serve.log").read_text(errors="replace")

    def stop(self):
        if self.server and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(30)

    def kill(self):
        """The whole session: the supervisor and its child, at once, as a power cut would."""
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait(30)

    # ---- requests

    def open(self, path, body=None, method=None, content_type=JSON, accept=None, token=None, timeout=60):
        """What urllib gives; the body is text, bytes, or what becomes JSON."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        headers = {"Content-Type": content_type}
        headers.update({"Accept": accept} if accept else {})
        headers.update({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(self.url + path, body.encode() if isinstance(body, str) else body, headers,
                                         method=method)
        return urllib.request.urlopen(request, timeout=timeout)

    def ask(self, path, body=None, method=None, **options):
        """(code, the answer's JSON)"""
        try:
            with self.open(path, body, method, **options) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def post(self, path, body):
        """The answer's JSON; what is not 2xx fails the test."""
        code, answer = self.ask(path, body)
        if code >= 300:
            raise AssertionError(f"POST {path}: {code} {answer}")
        return answer

    def read(self, path):
        """The answer's bytes."""
        with self.open(path) as reply:
            return reply.read()

    def events(self, path, body=None, **options):
        """(event, data) of a stream, to its end."""
        with self.open(path, body, accept="text/event-stream", **options) as reply:
            name = None
            for line in reply:
                line = line.decode().rstrip("\n")
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    yield name, json.loads(line[5:])

    # ---- pipelines

    def execute(self, pipeline, **params):
        return self.post(f"/api/v1/pipelines/{pipeline}/executions", {"params": params})["execution"]

    def wait(self, execution, seconds=60):
        """The execution once it has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            code, answer = self.ask(f"/api/v1/executions/{execution}")
            if code != 200 or answer["status"] != "RUNNING":
                return answer
            time.sleep(0.05)
        raise AssertionError(f"does not end: {answer}")


def arguments_of(values):
    return [value if isinstance(value, bytes) else str(value) for value in values]


@unittest.skipUnless(BINARY, "ONGGI_BINARY does not name the binary to test")
class ProjectCase(unittest.TestCase):
    """Each case, or with `shared` each class, has a project made of `files`, and a server if it wants one."""

    files = {}
    shared = False
    serving = False

    @classmethod
    def make_project(cls):
        folder = tempfile.mkdtemp(prefix="onggi-test-")
        cls.path = Path(folder)
        cls.project = Project(folder, cls.files)
        try:
            cls.prepare(cls.project)
            if cls.serving:
                cls.project.serve()
        except BaseException:
            cls.remove_project()
            raise

    @classmethod
    def prepare(cls, project):
        """Before the server starts."""

    @classmethod
    def remove_project(cls):
        cls.project.stop()
        shutil.rmtree(cls.path, ignore_errors=True)

    @classmethod
    def setUpClass(cls):
        if cls.shared:
            cls.make_project()
            cls.addClassCleanup(cls.remove_project)

    def setUp(self):
        if not self.shared:
            type(self).make_project()
            self.addCleanup(type(self).remove_project)

    def ask(self, path, body=None, method=None, **options):
        return self.project.ask(path, body, method, **options)

    def good(self, path, body=None, method=None, **options):
        """The answer, which is 2xx."""
        code, answer = self.ask(path, body, method, **options)
        self.assertLess(code, 300, answer)
        return answer

    def refused(self, code, words, path, body=None, method=None, **options):
        """The message: it has these words, and the status is this."""
        got, answer = self.ask(path, body, method, **options)
        self.assertEqual(got, code, answer)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, answer["error"]["message"])
        return answer["error"]["message"]

    def declined(self, code, words, *arguments, env=None):
        """The same of a command: its exit code, and what stderr says; stdout stays empty."""
        done = self.project.run(*arguments, env=env)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr
