#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A machine without DuckDB or ONNX Runtime: what needs them says so in a sentence, and the rest serves."""
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
sys.path.insert(0, str(TESTS / "http"))
import onggi  # noqa: E402
import model_case  # noqa: E402

RPATH = b"build/deps/lib\0"


def without_libraries(folder):
    """A copy of the program that looks for its libraries where there are none."""
    program = Path(onggi.BINARY)
    content = program.read_bytes()
    if RPATH not in content:
        raise unittest.SkipTest("the program does not say where its libraries are")
    copy = Path(folder) / "onggi"
    copy.write_bytes(content.replace(RPATH, RPATH.replace(b"lib", b"nil")))
    shutil.copymode(program, copy)
    return str(copy)


class MissingLibrary(onggi.ProjectCase):
    files = {**model_case.FILES,
             "features/sales.yaml": "entity: shop\nkey: shop\ntype: string\n---\nsource: sales\npath: data/sales.csv\n"
                                    "time: at\n---\nview: takings\nentity: shop\nsource: sales\nfeatures:\n"
                                    "  count_1d: {count: \"*\", window: 1d}\n---\nservice: shops\nfeatures: [takings]\n",
             "data/sales.csv": "at,shop\n2020-01-01T10:00:00Z,north\n"}

    @classmethod
    def prepare(cls, project):
        models = model_case.write_models(cls.path)
        project.must("apply")
        project.must("pipeline", "run", "m", "--param", f"file={models['good']}", "--follow")
        project.must("models", "approve", "m", "1", "--reason", "test")

    def setUp(self):
        super().setUp()
        whole = onggi.BINARY
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        onggi.BINARY = without_libraries(folder.name)
        self.addCleanup(setattr, onggi, "BINARY", whole)
        self.project.serve()

    def test_each_says_what_is_missing_and_the_rest_serves(self):
        sets = {"service": "shops", "time": "at", "entities_sql": "SELECT TIMESTAMP '2020-01-02' AS at, 'north' AS shop"}
        self.refused(503, "libduckdb.so", "/api/v1/features/training-set", sets)
        self.refused(503, "libduckdb.so", "/api/v1/features/materialize", {})
        self.refused(503, "libonnxruntime.so.1", "/api/v1/endpoints/spare/deploy", {"version": 1})
        checks = {check["name"]: check for check in self.good("/api/v1/doctor")["checks"]}
        for name in ("duckdb", "onnxruntime"):
            self.assertIn("dev/setup brings it", str(checks[name]))
        answer = self.good("/api/v1/features/get", {"service": "asked", "entities": {}, "request": {"a": [1], "b": [2]}})
        self.assertEqual(answer["rows"], [[1, 2]])
        answer = self.good("/api/v1/endpoints/spare/predict", model_case.asked(1))
        self.assertEqual((answer["decision"], answer["fallback"]), ("block", "no_model"))


if __name__ == "__main__":
    unittest.main()
