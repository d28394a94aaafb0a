#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models that are not what one hopes for, behind a real endpoint and at the Open Inference door."""
import json
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
from model_case import ModelCase, asked, tensor  # noqa: E402

CLIENT = TESTS.parent / "build" / "venv" / "triton" / "bin" / "python"


class Models(ModelCase):
    # ---- rows

    def test_each_row_gets_its_own_answer_whatever_the_model_makes_of_many(self):
        rows = [asked(1, 2), asked(3, 4), asked(5, 6)]
        for name in ("mean", "columns"):
            self.served(name)
            alone = [self.predict(row)["prediction"] for row in rows]
            together = [row["prediction"] for row in self.predict({"rows": rows})["rows"]]
            self.assertEqual(together, alone, name)
        self.assertEqual(alone[2], {"score": 6})  # the last of a row's columns
        self.served("mean")
        self.assertEqual(self.predict(rows[0])["prediction"], {"score": 1.5})

    # ---- what cannot serve says why

    def test_features_that_the_service_lacks_are_named_all_at_once(self):
        self.assert_undeployable("misspelt", "plain", "'frist' (did you mean 'first'?)",
                                 "'secnod' (did you mean 'second'?)", "service 'asked'")

    def test_a_model_that_names_no_features(self):
        self.assert_undeployable("nameless", "plain", "does not say which features", "features.json")

    def test_a_score_that_nobody_can_tell(self):
        self.assert_undeployable("two", "spare", "decision 'block'", "('y', 'z')", "score: OUTPUT")
        self.served("two")  # without rules it does not matter

    def test_operators_that_the_model_brings_along(self):
        self.served("functional")
        self.assertEqual(self.predict(asked(1, 2))["prediction"], {"score": 6})
        self.assert_undeployable("missing", "plain", "Thrice")

    def test_shapes_that_no_row_fits(self):
        self.assert_undeployable("three_rows", "plain", "'x' [3,2]", "[1,columns]")

    def test_a_model_without_outputs(self):
        self.assert_undeployable("mute", "plain", "no outputs")

    # ---- rules

    def test_rules_that_can_make_no_difference(self):
        for decision, where, words in (
                ('{block: "score > 1", stop: "score > 1", pass: true}', "4:39", "'stop' is never reached: 'block' has the same"),
                ('{block: "1 > 2", pass: true}', "4:20", "looks at nothing"), ("{block: false, pass: true}", "4:19", "looks at nothing"),
                ('{pass: true, block: "score > 1"}', "4:24", "'block' is never reached"),
                ('{block: "scor > 1"}', "4:20", "did you mean 'score'?"), ("{}", "4:11", "without any, leave 'decision' out"),
                ('{block: "first == null", pass: true}', "4:29", "write 'NAME is null'"), ('{block: "null<>first"}', "4:24", "never holds"),
                ("{block: True}", "4:19", "in small letters"), ('{"": "score > 1"}', "4:13", "needs a name"), ("{block: }", "4:12", "behind 'block'")):
            self.project.write("endpoints/other.yaml", f"endpoint: other\nservice: asked\nmodel: m\ndecision: {decision}\n")
            done = self.project.run("validate")
            (self.path / "endpoints/other.yaml").unlink()
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"endpoints/other.yaml:{where}", done.stderr)
            self.assertIn(words, done.stderr)

    # ---- while it serves

    def test_a_row_that_the_model_fails_at(self):
        self.served("table")
        self.served("table", "spare")
        self.assertEqual(self.predict(asked(1), "spare")["prediction"], {"score": 0.5})
        answer = self.predict(asked(7), "spare")
        self.assertEqual((answer["fallback"], answer["decision"]), ("model_error", "block"))
        self.refused(400, ["out of data bounds"], "/api/v1/endpoints/plain/predict", asked(7))

    def test_a_slow_row_does_not_hold_up_the_loop(self):
        self.served("moody")
        for path, question, code in (("/api/v1/endpoints/plain/predict", asked(500), 504),
                                     ("/v2/models/m/infer", tensor([[13, 0]]), 200)):
            begun, slow = time.monotonic(), []
            thread = threading.Thread(target=lambda: slow.append(self.ask(path, question)))
            thread.start()
            longest = 0
            while time.monotonic() - begun < 1:
                before = time.monotonic()
                self.good("/healthz")
                longest = max(longest, time.monotonic() - before)
            self.assertTrue(thread.is_alive(), slow)  # it is slow indeed
            self.assertLess(longest, 0.7, path)
            thread.join()
            self.assertEqual(slow[0][0], code, slow)
        self.assertEqual(self.predict(asked(1, 2))["prediction"], {"score": 3})

    def test_the_newest_version_left_is_the_current_one(self):
        self.served("good", "spare")
        self.served("table", "plain")
        self.assertEqual(self.good("/v2/models/m")["inputs"][0]["shape"], [-1, 1])
        self.served("good", "plain")  # loaded already; `table` goes
        self.assertEqual(self.good("/v2/models/m")["inputs"][0]["shape"], [-1, 2])

    # ---- the Open Inference door

    def infer(self, body, code=200, path="/v2/models/m/infer"):
        got, answer = self.ask(path, body)
        self.assertEqual(got, code, answer)
        return answer if code == 200 else answer["error"]

    def test_metadata_and_health(self):
        self.served("good")
        version = self.versions["good"]
        answer = self.good("/v2/models/m")
        self.assertIn(str(version), answer.pop("versions"))
        self.assertEqual(answer, {"name": "m", "platform": "onnx_onnxv1",
                                  "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
                                  "outputs": [{"name": "score", "datatype": "FP32", "shape": [-1, 1]}]})
        self.assertEqual(self.good(f"/v2/models/m/versions/{version}")["name"], "m")
        self.assertEqual(self.good("/v2")["name"], "onggi")
        self.assertEqual(self.good("/v2/health/live"), {"live": True})
        self.assertEqual(self.good("/v2/health/ready"), {"ready": True})
        self.assertEqual(self.good("/v2/models/m/ready"), {"name": "m", "ready": True})
        self.assertEqual(self.good("/v2/")["name"], "onggi")
        for path in ("/v2/nothing", "/v2/models/m/nothing", "/v2/health"):
            for body in (None, {}):
                code, answer = self.ask(path, body)
                self.assertEqual((code, list(answer)), (404, ["error"]), path)
                self.assertIn("nothing is at", answer["error"])
        self.assertIn("message", self.ask("/v22")[1]["error"])
        for path in ("/v2/models/n", "/v2/models/n/ready", "/v2/models/m/versions/99", "/v2/models/m/versions/one/ready"):
            code, answer = self.ask(path)
            self.assertEqual(code, 404)
            self.assertEqual(answer["error"][:25], "Request for unknown model")

    def test_inferring(self):
        self.served("good")
        flat = self.infer({**tensor([[1, 2], [3, 4]]), "id": "a-1"})
        self.assertEqual(flat, {"model_name": "m", "model_version": str(self.versions["good"]), "id": "a-1",
                                "outputs": [{"name": "score", "datatype": "FP32", "shape": [2, 1], "data": [3, 7]}]})
        nested = {"inputs": [{**tensor([[1, 2]])["inputs"][0], "shape": [2, 2], "data": [[1, 2], [3, 4]]}]}
        self.assertEqual(self.infer(nested)["outputs"], flat["outputs"])
        self.assertNotIn("id", self.infer(nested))
        extras = {**nested, "parameters": {"priority": 3, "binary_data_output": True},
                  "outputs": [{"name": "score", "parameters": {"binary_data": True}}]}
        self.assertEqual(self.infer(extras)["outputs"], flat["outputs"])
        self.served("inverse")
        self.assertEqual(self.infer(tensor([[0, "-Infinity"], ["NaN", -0.5]]))["outputs"][0]["data"],
                         ["Infinity", -0.0, "NaN", -2])

    def test_tensors_that_do_not_fit(self):
        self.served("good")
        good = tensor([[1, 2]])["inputs"][0]
        for change, words in (({"name": "y"}, "unknown input 'y'; there is 'x'"), ({"datatype": "FP64"}, "expected FP32, found FP64"),
                              ({"datatype": "float32"}, "'float32' is not served"), ({"shape": [2, 1]}, "expected shape [-1,2], found [2,1]"),
                              ({"shape": [2]}, "found [2]"), ({"shape": [1, 3]}, "does not have its shape"), ({"shape": [-1, 2]}, "dimension 0"),
                              ({"shape": [1 << 40, 2]}, "more elements than data"), ({"shape": [0, 2], "data": []}, "no elements"),
                              ({"data": [1, None]}, "element 1: expected FP32"), ({"data": [1, -1e39]}, "element 1: expected FP32, found real beyond it"), ({"data": [1, "2"]}, "element 1"),
                              ({"data": [[1], [2]]}, "does not have its shape"), ({"data": [[[1, 2]]]}, "does not have its shape"),
                              ({"data": 1}, "'data'"), ({"data": None}, "'data'"), ({"shape": None}, "'shape'"),
                              ({"parameters": {"binary_data_size": 8}}, "binary_data=False"),
                              ({"parameters": {"shared_memory_region": "r"}}, "shared memory")):
            self.assertIn(words, self.infer({"inputs": [{**good, **change}]}, 400), change)
        for body, words in (({}, "'inputs' is missing"), ({"inputs": []}, "input 'x' is missing"), ({"inputs": [good, good]}, "twice"),
                            ({"inputs": [good], "outputs": [{"name": "y"}]}, "unknown output 'y'"),
                            ({"inputs": [good], "outputs": [{"name": "score", "parameters": {"classification": 2}}]}, "class_count"),
                            ({"inputs": [good], "id": 7}, "'id'"), ("[" * 5000, "nested"), ("", "nothing")):
            self.assertIn(words, self.infer(body, 400), body)
        self.infer(tensor([[1, 2]]), 404, "/v2/models/n/infer")
        self.infer(tensor([[1, 2]]), 404, "/v2/models/m/versions/99/infer")

    @unittest.skipUnless(CLIENT.exists(), "tritonclient is not installed")
    def test_tritonclient(self):
        self.served("good")
        done = subprocess.run([CLIENT, TESTS / "support" / "triton_client.py", self.project.url.split("//")[1].rstrip("/")],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout), {
            "live": True, "ready": True, "model": True, "other": False, "platform": "onnx_onnxv1", "shape": [2, 1],
            "named": [3.0, 7.0], "all": [3.0, 7.0], "id": "a-1", "unknown": ["404", "Request for unknown model"],
            "misnamed": "400", "binary": "400"})


if __name__ == "__main__":
    unittest.main()
