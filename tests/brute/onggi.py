# SPDX-License-Identifier: Apache-2.0
"""The binary under test, on a project of the test's own, by command line and over HTTP."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

BINARY = os.environ.get("ONGGI_BINARY", "")


class Project:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.server = None

    def run(self, *arguments):
        """The finished process; its output is text."""
        return subprocess.run([BINARY, *map(str, arguments)], cwd=self.folder, text=True,
                              capture_output=True, timeout=240)

    def must(self, *arguments):
        done = self.run(*arguments)
        if done.returncode != 0:
            raise AssertionError(f"onggi {' '.join(map(str, arguments))}: exit {done.returncode}\n"
                                 f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done.stdout

    def serve(self, wait=60):
        with open(self.folder / "serve.log", "w", encoding="utf-8") as log:
            self.server = subprocess.Popen([BINARY, "serve", "--listen", "127.0.0.1:0"],
                                           cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and self.server.poll() is None:
            try:
                self.url = json.loads((self.folder / ".onggi" / "server.json").read_text())["url"]
                urllib.request.urlopen(self.url + "/readyz", timeout=5).close()
                return
            except (OSError, ValueError, KeyError):
                time.sleep(0.05)
        raise AssertionError("no server: " + (self.folder / "serve.log").read_text())

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"POST {path}: {error.code} {error.read().decode()}") from None

    def stop(self):
        if self.server:
            self.server.terminate()
            self.server.wait(30)
