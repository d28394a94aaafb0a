#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten million rows in one body: refused at once or answered, in memory that has a bound, and the rest serves."""
import concurrent.futures
import json
import sys
import time
import unittest
import urllib.error
import urllib.parse
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "support"))
sys.path.insert(0, str(TESTS / "http"))
import onggi  # noqa: E402
import model_case  # noqa: E402
from support.raw_http import Client  # noqa: E402

ROWS = 10_000_000
PREDICT = "/api/v1/endpoints/plain/predict"


class LargeBodies(onggi.ProjectCase):
    # It is about memory here; on a busy machine the default minute may not do.
    files = {**model_case.FILES, "onggi.yaml": model_case.FILES["onggi.yaml"].replace(
        "threads: 1", "threads: 1, deadlines: {handler: 5m, body: 5m}")}
    serving = True

    @classmethod
    def prepare(cls, project):
        models = model_case.write_models(cls.path)
        project.must("apply")
        project.must("pipeline", "run", "m", "--param", f"file={models['good']}", "--follow")
        project.must("models", "approve", "m", "1", "--reason", "test")

    def setUp(self):
        super().setUp()
        self.good("/api/v1/endpoints/plain/deploy", {"version": 1})

    def connect(self):
        client = Client(urllib.parse.urlparse(self.project.url).port, 120)
        self.addCleanup(client.socket.close)
        return client

    def assert_serves(self):
        answer = self.good(PREDICT, model_case.asked(1, 2))
        self.assertEqual(answer["prediction"], {"score": 3})

    def most_memory(self):
        """Of the serving process, in bytes, ever."""
        supervisor = self.project.server.pid
        child = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0]
        line = next(line for line in Path(f"/proc/{child}/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def test_beyond_the_routes_limit_it_is_refused_before_it_comes(self):
        row = len(json.dumps(model_case.asked(1))) + 1
        began = time.monotonic()
        client = self.connect()
        client.send(f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {row * ROWS}\r\n\r\n")
        reply = client.reply()
        self.assertEqual((reply.code, reply.headers["connection"]), (413, "close"))
        self.assertIn("takes at most", json.loads(reply.body)["error"]["message"])
        # Without a length, when it has come too far.
        client = self.connect()
        client.send(f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"%x\r\n%s\r\n" % (row * 10_000, b" " * row * 10_000)
        try:
            for _ in range(ROWS // 10_000):
                client.send(piece)
        except OSError:
            pass
        self.assertEqual(client.reply().code, 413)
        self.assertLess(time.monotonic() - began, 20)
        self.assert_serves()

    def test_many_small_rows_within_the_limit(self):
        body = b'{"rows":[' + b"{}," * 2_500_000 + b"{}]}"
        self.refused(413, "the limit is 10000", PREDICT, body)
        body = b'{"service":"asked","entities":{},"request":{"a":[' + b"1," * 4_000_000 + b'1],"b":[1]}}'
        code, answer = self.ask("/api/v1/features/get", body)
        self.assertIn(code, (400, 413), answer)
        self.assert_serves()
        self.assertLess(self.most_memory(), 2 << 30)

    def infer(self, body):
        try:
            with self.project.open("/v2/models/m/infer", body, timeout=120) as reply:
                self.assertTrue(reply.read().endswith(b"]}]}"))
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code

    def test_many_numbers_for_a_model(self):
        numbers = b"1," * (2 * ROWS - 1) + b"1"
        body = (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[%d,2],"data":[' % ROWS) + numbers + b"]}]}"
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            codes = sorted(pool.map(lambda _: self.infer(body), range(3)))
        # What there is not enough memory for at a time is told so.
        self.assertLessEqual(set(codes), {200, 503})
        self.assertEqual(codes[0], 200)
        self.assert_serves()
        self.assertLess(self.most_memory(), 3 << 30)


if __name__ == "__main__":
    unittest.main()
