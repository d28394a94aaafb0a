#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A full disk: each write says so, what serves goes on serving, and with room again all goes on."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402
from test_predict import FILES  # noqa: E402

GET = {"service": "now", "entities": {"shop": ["north"]},
       "request": {"moment": ["2020-01-01T12:00:00Z"], "offered": [4]}}
MEGABYTES = 48


def mounted(folder):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", folder],
                          capture_output=True).returncode == 0


@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class FullDisk(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="onggi-full-"))
        if not mounted(self.folder):
            self.folder.rmdir()
            self.skipTest("a small file system cannot be mounted here (needs root)")
        self.project = onggi.Project(self.folder, FILES)
        os.environ["ONGGI_PYTHON"] = sys.executable
        self.project.must("apply")
        self.project.serve()
        self.project.must("features", "materialize")

    def tearDown(self):
        self.project.stop()
        subprocess.run(["umount", "-l", self.folder], check=True)
        self.folder.rmdir()

    def fill(self):
        """Takes every block that is left."""
        with open(self.folder / "filler", "wb", buffering=0) as file:
            piece = 1 << 20
            while piece:
                try:
                    while file.write(b"x" * piece) == piece:
                        pass
                except OSError:
                    pass
                piece //= 2

    def refused(self, path, body):
        code, answer = self.project.ask(path, body)
        self.assertGreaterEqual(code, 400, answer)
        self.assertRegex(answer["error"]["message"].lower(), "disk|space", answer)

    def test_what_writes_says_so_and_what_serves_goes_on(self):
        values = self.project.post("/api/v1/features/get", GET)["rows"]
        self.fill()
        self.refused("/api/v1/features/materialize", {})
        self.refused("/api/v1/features/training-set",
                     {"service": "now", "entities_sql": "SELECT moment, shop, amount AS offered FROM sales"})
        endpoint = self.folder / "endpoints" / "small.yaml"
        # No room for the file itself, so the change is made in place.
        with open(endpoint, "r+", encoding="utf-8") as file:
            file.write(FILES["endpoints/small.yaml"].replace("timeout: 5s", "timeout: 4s"))
        self.refused("/api/v1/apply", {})
        code, text = self.project.ask("/api/v1/pipelines/small/executions", {})
        self.assertGreaterEqual(code, 400, text)
        self.assertEqual(self.project.post("/api/v1/features/get", GET)["rows"], values)
        code, text = self.project.ask("/api/v1/endpoints/small/predict",
                              {"entities": {"shop": "north"}, "request": {"moment": "2020-01-01T12:00:00Z", "offered": 1}})
        self.assertEqual(code, 200, text)

        (self.folder / "filler").unlink()
        code, text = self.project.ask("/api/v1/apply", {})
        self.assertTrue(text["applied"], text)
        self.assertEqual(self.project.ask("/api/v1/features/materialize", {})[0], 200)
        self.assertEqual(self.project.post("/api/v1/features/get", GET)["rows"], values)
        self.project.must("pipeline", "run", "small", "--follow")


if __name__ == "__main__":
    os.environ.setdefault("TINY_ONNX", str(Path(__file__).resolve().parents[1] / "support"))
    unittest.main()
