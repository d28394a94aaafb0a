#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models over HTTP: loaded, asked, replaced under load, and those that misbehave."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.raw_http import Server, request  # noqa: E402


class ServingServer(Server):
    """The small server of src/serving; its models lie in .folder."""

    def __init__(self, start_with=lambda program: [program]):
        program = pathlib.Path(os.environ["ONGGI_BINARY"]).parent / "src/serving/serving_test_server"
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.process = subprocess.Popen([*start_with(str(program)), str(self.folder)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        super().stop()
        self.temporary.cleanup()

    def load(self, kind, version=1, name=None):
        query = urllib.parse.urlencode({"name": name or kind, "version": version,
                                        "path": self.folder / f"{kind}.onnx"})
        return self.ask(request("POST", f"/test/load?{query}", body=b""), timeout=60)


def tensor(rows, name="x"):
    flat = [number for row in rows for number in row]
    return {"inputs": [{"name": name, "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": flat}]}


def infer(client, model, body):
    client.send(request("POST", f"/v2/models/{model}/infer", "Content-Type: application/json",
                        body=json.dumps(body).encode()))
    reply = client.reply()
    return reply.code, json.loads(reply.body)


def output(answer, name):
    return next(item for item in answer["outputs"] if item["name"] == name)


class Models(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = ServingServer()
        assert cls.server.load("trees").code == 204
        assert cls.server.load("network").code == 204

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_many_rows_are_answered_as_one_by_one(self):
        rows = [[(i * k % 17) / 8 - 1 for k in (3, 5, 7)] for i in range(2000)]
        with self.server.connect() as client:
            code, together = infer(client, "trees", tensor(rows))
            self.assertEqual(code, 200)
            scores = output(together, "probabilities")
            self.assertEqual(scores["shape"], [2000, 2])
            for i in range(0, 2000, 97):
                code, alone = infer(client, "trees", tensor(rows[i:i + 1]))
                self.assertEqual(code, 200)
                self.assertEqual(output(alone, "probabilities")["data"], scores["data"][2 * i:2 * i + 2])

    def test_a_number_survives_the_way(self):
        with self.server.connect() as client:
            code, answer = infer(client, "network", tensor([[0.1] * 30]))
            self.assertEqual(code, 200)
            self.assertTrue(0 < output(answer, "y")["data"][0] < 1)

    def test_errors_come_as_the_protocol_has_them(self):
        with self.server.connect() as client:
            for model, body, code in (("trees", {}, 400), ("absent", tensor([[1, 2, 3]]), 404),
                                      ("trees", tensor([[1, 2]]), 400), ("trees", [], 400)):
                got, answer = infer(client, model, body)
                self.assertEqual(got, code)
                self.assertEqual(list(answer), ["error"])
                self.assertIsInstance(answer["error"], str)

    def test_binary_tensors_are_declined_with_advice(self):
        reply = self.server.ask(request("POST", "/v2/models/trees/infer",
                                        "Inference-Header-Content-Length: 2", body=b"{}\0\0\0\0"))
        self.assertEqual(reply.code, 400)
        self.assertIn("binary_data=False", json.loads(reply.body)["error"])

    def test_metrics_count_rows(self):
        with self.server.connect() as client:
            infer(client, "trees", tensor([[1, 2, 3]] * 5))
        text = self.server.get("/metrics").body.decode()
        line = next(line for line in text.splitlines() if line.startswith('onggi_model_rows_total{model="trees"}'))
        self.assertGreaterEqual(float(line.split()[-1]), 5)


class Strangers(unittest.TestCase):
    """A bad model is refused with a sentence, and what was served is served on."""

    def setUp(self):
        self.server = ServingServer()
        self.assertEqual(self.server.load("trees", name="m").code, 204)

    def tearDown(self):
        with self.server.connect() as client:
            self.assertEqual(infer(client, "m", tensor([[1, 2, 3]]))[0], 200)
        self.server.stop()

    def assert_refused(self, kind, part):
        reply = self.server.load(kind, 2, "m")
        self.assertEqual(reply.code, 400)
        self.assertIn(part, json.loads(reply.body)["error"]["message"])

    def test_no_model(self):
        self.assert_refused("nonsense", "no ONNX model")

    def test_a_model_without_an_end(self):
        self.assert_refused("hopeless", "within 5000 ms")

    def test_a_model_cut_off(self):
        whole = (self.server.folder / "trees.onnx").read_bytes()
        (self.server.folder / "half.onnx").write_bytes(whole[:len(whole) // 2])
        self.assert_refused("half", "cut off")

    def test_a_model_cut_off_anywhere(self):
        whole = (self.server.folder / "trees.onnx").read_bytes()
        for i in range(50):
            (self.server.folder / "piece.onnx").write_bytes(whole[:len(whole) * i // 50])
            reply = self.server.load("piece", 2, "m")
            self.assertEqual(reply.code, 400, i)
            self.assertTrue(json.loads(reply.body)["error"]["message"])

    def test_a_run_without_an_end_is_ended(self):
        self.assertEqual(self.server.load("endless").code, 204)
        with self.server.connect(timeout=30) as client:
            start = time.monotonic()
            code, answer = infer(client, "endless", tensor([[5000]]))
            self.assertIn(code, (503, 504))
            self.assertLess(time.monotonic() - start, 10)
        with self.server.connect() as client:
            self.assertEqual(infer(client, "endless", tensor([[5]]))[0], 200)


LOADER = pathlib.Path("/lib64/ld-linux-x86-64.so.2")


class WithoutTheLibrary(unittest.TestCase):
    """The program's own search path is switched off: ONNX Runtime is then nowhere."""

    @unittest.skipUnless(LOADER.exists(), "knows only the loader of x86-64")
    def test_loading_says_what_is_missing_and_the_rest_serves(self):
        with ServingServer(lambda program: [str(LOADER), "--inhibit-rpath", "", program]) as server:
            reply = server.load("trees")
            self.assertEqual(reply.code, 503)
            message = json.loads(reply.body)["error"]["message"]
            self.assertIn("ONNX Runtime could not be loaded", message)
            self.assertIn("dev/setup brings it", message)
            self.assertEqual(server.get("/v2/health/live").code, 200)
            self.assertEqual(json.loads(server.get("/v2/models").body), {"models": []})


class Replacing(unittest.TestCase):
    def test_no_request_is_lost(self):
        with ServingServer() as server:
            self.assertEqual(server.load("trees", 1, "m").code, 204)
            done, codes = threading.Event(), []

            def ask():
                with server.connect(timeout=30) as client:
                    while not done.is_set():
                        codes.append(infer(client, "m", tensor([[1, 2, 3]]))[0])

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            for version in range(2, 7):
                self.assertEqual(server.load("trees", version, "m").code, 204)
            done.set()
            for thread in threads:
                thread.join()
            self.assertEqual(set(codes), {200})
            self.assertGreater(len(codes), 20)
            reply = json.loads(server.get("/v2/models/m").body)
            self.assertEqual(reply["versions"], ["6"])


if __name__ == "__main__":
    unittest.main()
