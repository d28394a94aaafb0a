#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How the server behaves over time: pipelines, slow and leaving clients, crowds, deadlines, streams, drain."""
import json
import os
import pathlib
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.raw_http import Client, Closed, Server, request, wait_until  # noqa: E402

TOKEN = "Authorization: Bearer secret"


def reset(client):
    """Leaves with a reset instead of a good-bye."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def metric(server, name):
    for line in server.get("/metrics", TOKEN).body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return None


def cpu_seconds(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pipelines(unittest.TestCase):
    def test_replies_come_in_order(self):
        with Server() as server, server.connect() as client:
            client.send(request("GET", "/slow?ms=100") + request("GET", "/things/second") +
                        request("POST", "/worker", body=b"third") + request("GET", "/hand-over?ms=5") +
                        request("GET", "/events?count=2&ms=1") + request("GET", "/things/last"))
            self.assertEqual(client.reply().body, b"slept")
            self.assertEqual(client.reply().headers["x-path"], "/things/second")
            self.assertEqual(client.reply().body, b"third")
            self.assertEqual(client.reply().body, b"slept")
            self.assertEqual(client.reply().body.count(b"event: tick"), 2)
            self.assertEqual(client.reply().headers["x-path"], "/things/last")

    def test_a_long_pipeline(self):
        with Server() as server, server.connect() as client:
            text = b"".join(request("GET", f"/things/{i}") for i in range(3000))
            threading.Thread(target=client.send, args=(text,)).start()
            for i in range(3000):
                self.assertEqual(client.reply().headers["x-path"], f"/things/{i}")

    def test_nothing_is_answered_after_close(self):
        with Server() as server, server.connect() as client:
            client.send(request("GET", "/echo", "Connection: close") + request("GET", "/echo"))
            self.assertEqual(client.reply().headers["connection"], "close")
            self.assertTrue(client.is_closed())

    def test_http_1_0(self):
        with Server() as server:
            with server.connect() as client:
                client.send("GET /echo HTTP/1.0\r\n\r\n")
                self.assertEqual(client.reply().headers["connection"], "close")
                self.assertTrue(client.is_closed())
            with server.connect() as client:
                client.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
                self.assertEqual(client.reply().headers["connection"], "keep-alive")
                client.reply()
            with server.connect() as client:
                client.send("GET /stream?bytes=30000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                code, headers = client.head()
                self.assertNotIn("transfer-encoding", headers)
                with self.assertRaises(Closed):
                    client.exactly(30001)
                self.assertEqual(client.waiting, b"s" * 30000)


class Bodies(unittest.TestCase):
    def test_head_has_length_and_no_body(self):
        with Server() as server, server.connect() as client:
            for target, length in [("/json", "366"), ("/large?bytes=100000", "100000"),
                                   ("/file?bytes=200000", "200000")]:
                client.send(request("HEAD", target))
                reply = client.reply(head_only=True)
                self.assertEqual((reply.code, reply.headers["content-length"]), (200, length))
            client.send(request("HEAD", "/stream?bytes=100000"))
            self.assertEqual(client.reply(head_only=True).code, 200)
            client.send(request("GET", "/things/next"))
            self.assertEqual(client.reply().headers["x-path"], "/things/next")

    def test_expect_continue(self):
        with Server() as server, server.connect() as client:
            head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            client.send(head)
            self.assertEqual(client.reply().code, 100)
            client.send("hello")
            self.assertEqual(client.reply().body, b"hello")
            # A refusal comes instead of the invitation.
            client.send(head.replace("Content-Length: 5", "Content-Length: 5000000"))
            self.assertEqual(client.reply().code, 413)
            self.assertTrue(client.is_closed())

    def test_limits_by_route(self):
        with Server() as server:
            self.assertEqual(server.ask(request("POST", "/small", body=b"x" * 1000)).code, 200)
            self.assertEqual(server.ask(request("POST", "/small", body=b"x" * 1001)).code, 413)
            chunked = "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            self.assertEqual(server.ask(chunked + "3e8\r\n" + "x" * 1000 + "\r\n0\r\n\r\n").code, 200)
            self.assertEqual(server.ask(chunked + "3e9\r\n" + "x" * 1001 + "\r\n0\r\n\r\n").code, 413)

    def test_reading_stops_at_the_limit(self):
        """A client that goes on sending gets the status, not a reset, and is not read for ever."""
        with Server() as server, server.connect() as client:
            client.send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
            sent = 0
            try:
                while sent < 100000000:
                    sent += client.socket.send(b"x" * 65536)
                    time.sleep(0.05)
            except (BrokenPipeError, ConnectionResetError):
                pass
            self.assertLess(sent, 50000000)

    def test_all_bodies_together_are_bounded(self):
        with Server(bodies=3000000) as server:
            head = "POST /worker HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n"
            first, second = server.connect(), server.connect()
            first.send(head + "x" * 1900000)
            time.sleep(0.5)  # until it is read: who comes last is refused
            self.assertTrue(wait_until(lambda: server.ask(request("POST", "/worker", body=b"y" * 2000000)).code == 503))
            second.send(request("POST", "/worker", body=b"small"))  # what a turn holds anyway does not count
            self.assertEqual(second.reply().body, b"small")
            first.send("x" * 100000)
            self.assertEqual(len(first.reply().body), 2000000)
            self.assertTrue(wait_until(lambda: server.ask(request("POST", "/worker", body=b"y" * 2000000)).code == 200))
            first.socket.close()
            second.socket.close()

    def test_an_unwanted_small_body_saves_the_connection(self):
        with Server() as server, server.connect() as client:
            client.send(request("POST", "/nothing", body=b"x" * 3000) + request("GET", "/things/next"))
            self.assertEqual(client.reply().code, 404)
            self.assertEqual(client.reply().headers["x-path"], "/things/next")

    def test_uploads_go_to_a_file(self):
        with Server() as server:
            data = bytes(i * 7 % 251 for i in range(3000000))
            wanted = 0
            for byte in data[:5000]:
                wanted = (wanted * 31 + byte) % 2**64
            reply = server.ask(request("POST", "/upload", body=data[:5000]))
            self.assertEqual(json.loads(reply.body), {"bytes": 5000, "sum": wanted})
            with server.connect() as client:
                client.send("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                for at in range(0, len(data), 100000):
                    client.send(b"186a0\r\n" + data[at:at + 100000] + b"\r\n")
                client.send("0\r\n\r\n")
                chunked = json.loads(client.reply().body)
                client.send(request("POST", "/upload", body=data))
                self.assertEqual(json.loads(client.reply().body), chunked)
            self.assertEqual(chunked["bytes"], len(data))
            # Leaving in the middle leaves no file behind.
            with server.connect() as client:
                client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
                client.send(data[:2000000])
            self.assertEqual(server.get("/echo").code, 200)

    def test_files(self):
        with Server() as server, server.connect() as client:
            for size in [0, 1, 65536, 65537, 5000000]:
                client.send(request("GET", f"/file?bytes={size}"))
                reply = client.reply()
                self.assertEqual((reply.code, len(reply.body)), (200, size))


class Streams(unittest.TestCase):
    def test_events(self):
        with Server() as server, server.connect() as client:
            client.send(request("GET", "/events?count=3&ms=50", "Accept: text/event-stream"))
            start = time.monotonic()
            code, headers = client.head()
            self.assertEqual((code, headers["content-type"]), (200, "text/event-stream"))
            self.assertEqual(client.chunk(), b'event: tick\ndata: {"i":0}\n\n')
            self.assertLess(time.monotonic() - start, 0.1, "events wait for each other")
            self.assertEqual(client.chunk() + client.chunk() + client.chunk(),
                             b'event: tick\ndata: {"i":1}\n\nevent: tick\ndata: {"i":2}\n\n')

    def test_a_failure_in_mid_stream(self):
        with Server() as server, server.connect() as client:
            client.send(request("GET", "/events?count=1&fail=1"))
            self.assertIn(b'event: error\ndata: {"error":{"code":"conflict"', client.reply().body)
            client.send(request("GET", "/stream?bytes=10000&fail=1"))
            self.assertEqual(client.head()[0], 200)
            client.chunk()
            with self.assertRaises(Closed):  # without the last chunk: nobody takes it for whole
                client.chunk()

    def test_a_slow_reader_slows_the_writer(self):
        with Server() as server, server.connect() as client:
            client.send(request("GET", "/stream?bytes=60000000"))
            client.head()
            before = metric(server, "process_resident_memory_bytes")
            time.sleep(1)
            self.assertLess(metric(server, "process_resident_memory_bytes") - before, 20e6)
            total = 0
            while chunk := client.chunk():
                total += len(chunk)
            self.assertEqual(total, 60000000)

    def test_streams_do_not_starve_the_workers(self):
        with Server(workers=2, streams=8) as server:
            watchers = []
            for _ in range(8):
                client = server.connect()
                client.send(request("GET", "/events?count=100&ms=100"))
                client.head()
                watchers.append(client)
            self.assertEqual(server.get("/slow?ms=1").code, 200)
            self.assertEqual(server.get("/events?count=1").code, 503)
            for client in watchers:
                reset(client)
            self.assertTrue(wait_until(lambda: server.get("/events?count=1").code == 200))


class Leaving(unittest.TestCase):
    def test_with_a_reply_in_flight(self):
        with Server(workers=4) as server:
            for leave in [reset, lambda client: client.socket.close()]:
                for _ in range(40):
                    client = server.connect()
                    client.send(request("GET", "/slow?ms=50") + request("GET", "/slow?ms=50"))
                    leave(client)
            self.assertEqual(server.get("/slow?ms=1").body, b"slept")
            self.assertTrue(wait_until(lambda: metric(server, "onggi_http_connections") == 1))

    def test_in_the_middle_of_everything(self):
        with Server() as server:
            for text in ["GET /ec", "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + "x" * 200000,
                         request("GET", "/file?bytes=50000000"), request("GET", "/stream?bytes=50000000"),
                         request("GET", "/large?bytes=50000000"), request("GET", "/events?count=9&ms=9")]:
                for pause in [0, 0.02]:
                    client = server.connect()
                    client.send(text)
                    time.sleep(pause)
                    reset(client)
            self.assertEqual(server.get("/echo").code, 200)
            self.assertTrue(wait_until(lambda: metric(server, "onggi_http_connections") == 1))

    def test_a_half_closed_client_gets_its_reply(self):
        with Server() as server, server.connect() as client:
            client.send(request("GET", "/json"))
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.reply().code, 200)
        with Server() as server, server.connect() as client:
            client.send(request("POST", "/worker", body=b"x"))
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.reply().body, b"x")


class Crowds(unittest.TestCase):
    def test_300_connections(self):
        with Server() as server:
            clients = [server.connect() for _ in range(300)]
            for round_ in range(3):
                for i, client in enumerate(clients):
                    client.send(request("GET", f"/things/{i}"))
                for i, client in enumerate(clients):
                    self.assertEqual(client.reply().headers["x-path"], f"/things/{i}")
            for client in clients:
                client.send(request("GET", "/slow?ms=1"))
            for client in clients:
                self.assertEqual(client.reply().body, b"slept")
                client.socket.close()

    def test_the_ceiling(self):
        with Server(connections=20) as server:
            clients = [server.connect() for _ in range(20)]
            for client in clients:
                client.send(request("GET", "/echo"))
                self.assertEqual(client.reply().code, 200)
            with server.connect() as client:
                reply = client.reply()
                self.assertEqual((reply.code, reply.headers["connection"]), (503, "close"))
            clients.pop().socket.close()
            self.assertTrue(wait_until(lambda: server.get("/echo").code == 200))
            for client in clients:
                client.socket.close()

    def test_few_files_are_fewer_connections(self):
        with Server(files=300, loops=1) as server:
            clients = [server.connect() for _ in range(149)]
            for client in clients:
                client.send(request("GET", "/echo"))
                self.assertEqual(client.reply().code, 200)
            others = [server.connect() for _ in range(130)]
            self.assertEqual(others[1].reply().code, 503)
            # Of those who are refused only some are told so: they take files, too.
            self.assertTrue(others[-1].is_closed())
            clients[0].send(request("GET", "/echo"))
            self.assertEqual(clients[0].reply().code, 200)
            for client in clients + others:
                client.socket.close()
            self.assertTrue(wait_until(lambda: server.get("/echo").code == 200))

    def test_without_a_file_left_it_does_not_spin(self):
        with Server(files=30, loops=1) as server:
            clients = [server.connect() for _ in range(40)]
            time.sleep(0.3)
            before = cpu_seconds(server)
            time.sleep(1)
            self.assertLess(cpu_seconds(server) - before, 0.5)
            for client in clients:
                client.socket.close()

            def answers():
                try:
                    return server.get("/echo").code == 200
                except (OSError, Closed):
                    return False

            self.assertTrue(wait_until(answers))

    def test_a_full_queue(self):
        with Server(workers=1, queue=2) as server:
            clients = [server.connect() for _ in range(6)]
            for client in clients:
                client.send(request("GET", "/slow?ms=300"))
            codes = sorted(client.reply().code for client in clients)
            self.assertEqual(codes[:2], [200, 200])
            self.assertIn(503, codes)
            for client in clients:
                client.socket.close()


class Lanes(unittest.TestCase):
    def test_slow_control_work_does_not_keep_a_decision_waiting(self):
        with Server(workers=1) as server:
            clients = [server.connect() for _ in range(4)]
            for client in clients:
                client.send(request("GET", "/slow?ms=700"))
            time.sleep(0.1)
            for target in ("/decide?ms=1", "/decide-or-not?ms=1"):
                began = time.monotonic()
                self.assertEqual(server.get(target).body, b"slept")
                self.assertLess(time.monotonic() - began, 0.4)
            for client in clients:
                self.assertEqual(client.reply().body, b"slept")
                client.socket.close()

    def test_each_lane_is_full_by_itself_and_may_say_it_otherwise(self):
        with Server(workers=1, queue=1) as server:
            clients = [server.connect() for _ in range(8)]
            # Of each four one runs, one waits, two are refused.
            for lane, target in ((clients[:4], "/slow?ms=1500"), (clients[4:], "/decide-or-not?ms=1500")):
                lane[0].send(request("GET", target))
                time.sleep(0.2)
                for client in lane[1:]:
                    client.send(request("GET", target))
            self.assertEqual(sorted(client.reply().code for client in clients[:4]), [200, 200, 503, 503])
            self.assertEqual(sorted(client.reply().body for client in clients[4:]),
                             [b"in its place"] * 2 + [b"slept"] * 2)
            for client in clients:
                client.socket.close()

    def test_watchers_of_decisions_leave_their_workers_free(self):
        with Server(workers=1, streams=3) as server:
            clients = [server.connect() for _ in range(3)]
            for client in clients:
                client.send(request("GET", "/events?count=8&ms=100"))
                client.head()
            self.assertEqual(server.get("/decide?ms=1").body, b"slept")
            self.assertEqual(server.get("/slow?ms=1").body, b"slept")
            for client in clients:
                client.socket.close()


class Deadlines(unittest.TestCase):
    def assert_ends(self, client, code, low, high):
        start = time.monotonic()
        if code is None:
            self.assertTrue(client.is_closed(within=high + 3))
        else:
            self.assertEqual(client.reply().code, code)
        self.assertTrue(low <= time.monotonic() - start <= high, time.monotonic() - start)

    def test_a_trickled_head(self):
        with Server(head_ms=700) as server, server.connect() as client:
            start = time.monotonic()
            text = request("GET", "/echo", "A: " + "b" * 2000)
            try:
                for byte in text:
                    client.send(bytes([byte]))
                    time.sleep(0.1)
            except OSError:
                pass
            self.assertLess(time.monotonic() - start, 5)

    def test_each(self):
        with Server(head_ms=500, body_ms=600, idle_ms=900, handler_ms=400) as server:
            with server.connect() as client:
                client.send("GET /echo HTTP/1.1\r\nHost: a\r\n")
                self.assert_ends(client, 408, 0.4, 2)
            with server.connect() as client:
                client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")
                self.assert_ends(client, 408, 0.5, 2)
            with server.connect() as client:
                self.assert_ends(client, None, 0.8, 2.5)
            with server.connect() as client:
                client.send(request("GET", "/echo"))
                client.reply()
                self.assert_ends(client, None, 0.8, 2.5)
            with server.connect() as client:
                client.send(request("GET", "/slow?ms=3000&deaf=1"))
                self.assert_ends(client, 503, 0.3, 1.5)
            with server.connect() as client:
                client.send(request("GET", "/slow?ms=100"))
                self.assertEqual(client.reply().code, 200)

    def test_a_body_has_the_time_of_what_has_come(self):
        with Server(body_ms=600) as server:
            with server.connect() as client:  # three times as long, but fast enough
                client.send("POST /worker HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(18):
                    client.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                    time.sleep(0.1)
                client.send("0\r\n\r\n")
                self.assertEqual(len(client.reply().body), 18 * 0x4000)
            with server.connect() as client:
                client.send("POST /worker HTTP/1.1\r\nHost: a\r\nContent-Length: 294912\r\n\r\n")
                for _ in range(18):
                    client.send(b"x" * 0x4000)
                    time.sleep(0.1)
                self.assertEqual(len(client.reply().body), 18 * 0x4000)
            # What is announced earns nothing.
            for framing in ["Content-Length: 9000000\r\n", "Transfer-Encoding: chunked\r\n\r\n800000"]:
                with server.connect() as client:
                    client.send(f"POST /worker HTTP/1.1\r\nHost: a\r\n{framing}\r\n")
                    self.trickle(client, b"x")
                    self.assert_ends(client, 408, 0, 1)

    @staticmethod
    def trickle(client, byte):
        try:
            for _ in range(10):
                client.send(byte)
                time.sleep(0.1)
        except OSError:
            pass

    def test_who_was_fast_may_pause_but_not_for_long(self):
        with Server(body_ms=600) as server, server.connect() as client:
            client.send(b"POST /worker HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 8000000)
            self.assert_ends(client, 408, 0.3, 3)

    def test_the_handlers_time_begins_when_the_body_is_here(self):
        with Server(handler_ms=400) as server, server.connect() as client:
            client.send("POST /slow?ms=200 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
            time.sleep(0.6)
            client.send("x")
            self.assertEqual(client.reply().body, b"slept")

    def test_a_reader_that_takes_a_little_now_and_then(self):
        with Server(idle_ms=1500) as server, server.connect(receive=4096) as slow:
            slow.send(request("GET", "/large?bytes=50000000"))
            began = time.monotonic()
            while metric(server, "onggi_http_connections") > 1:
                slow.socket.recv(500)
                time.sleep(0.1)
                self.assertLess(time.monotonic() - began, 20)

    def test_a_reader_that_takes_nothing(self):
        with Server(idle_ms=600) as server:
            client = server.connect()
            client.send(request("GET", "/large?bytes=50000000"))
            client.more()
            self.assertTrue(wait_until(lambda: metric(server, "onggi_http_connections") == 1, 8))
            client.socket.close()


class Files(unittest.TestCase):
    def test_a_result_stays_until_somebody_has_had_all_of_it(self):
        with Server() as server:
            for size in (1000, 900000):  # read at once, and sent by the kernel
                self.assertEqual(server.ask(request("POST", "/results/a", body=b"r" * size)).code, 204)
                with server.connect() as client:
                    client.send(request("HEAD", "/results/a"))
                    self.assertEqual(client.reply(head_only=True).headers["content-length"], str(size))
                reply = server.get("/results/a")
                self.assertEqual(reply.body, b"r" * size)
                self.assertTrue(wait_until(lambda: server.get("/results/a").code == 404))

    def test_who_leaves_in_the_middle_may_come_again(self):
        size = 900000
        with Server() as server:
            server.ask(request("POST", "/results/a", body=b"r" * size))
            with server.connect(receive=4096) as client:
                client.send(request("GET", "/results/a"))
                client.socket.recv(100)
            self.assertTrue(wait_until(lambda: metric(server, "onggi_http_connections") == 1))
            self.assertEqual(len(server.get("/results/a").body), size)

    def test_bodies_that_a_killed_server_left_are_swept(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            with Server(spool=folder) as server:
                client = server.connect()
                client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n" + b"x" * 100)
                self.assertTrue(wait_until(lambda: any(folder.iterdir())))
                # Another server leaves alone what is somebody's.
                with Server(spool=folder) as other:
                    self.assertEqual(other.ask(request("POST", "/upload", body=b"y")).code, 200)
                    self.assertTrue(wait_until(lambda: len(list(folder.iterdir())) == 1))
                client.send(b"x" * 800)
                self.assertEqual(client.reply().code, 200)
                self.assertTrue(wait_until(lambda: not any(folder.iterdir())))
                client.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n" + b"x" * 100)
                self.assertTrue(wait_until(lambda: any(folder.iterdir())))
                server.process.kill()
                server.process.wait()
                server.process.returncode = 0  # as was wanted
            (folder / "mine.txt").write_text("kept")
            with Server(spool=folder):
                self.assertEqual([path.name for path in folder.iterdir()], ["mine.txt"])


class Replacements(unittest.TestCase):
    """Where the handler overstays, another reply goes out in its name."""

    def test_it_is_the_same_request(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "access.log"
            with Server(handler_ms=200, log=path) as server:
                with server.connect() as client:
                    client.send(request("GET", "/private/slow?ms=900&deaf=1", TOKEN, "X-Request-Id: id-7"))
                    reply = client.reply()
                    self.assertEqual((reply.code, reply.headers["x-request-id"]), (503, "id-7"))
                    self.assertEqual(json.loads(reply.body)["error"]["request_id"], "id-7")
                self.assertTrue(wait_until(lambda: path.read_text()))
            line = json.loads(path.read_text().splitlines()[0])
            self.assertEqual([line[name] for name in ("method", "path", "route", "user", "request_id", "status")],
                             ["GET", "/private/slow", "/private/slow", "ada", "id-7", 503])

    def test_a_head_stays_without_body_and_a_dialect_its_own(self):
        with Server(handler_ms=200) as server:
            with server.connect() as client:
                client.send(request("HEAD", "/slow?ms=900&deaf=1"))
                self.assertEqual(client.reply(head_only=True).code, 503)
                self.assertTrue(client.is_closed())
            reply = server.get("/dialect/slow?ms=900&deaf=1")
            self.assertEqual((reply.code, list(json.loads(reply.body))), (503, ["alas"]))

    def test_metrics_can_be_read_while_all_workers_are_busy(self):
        with Server(workers=1) as server, server.connect() as client:
            client.send(request("GET", "/slow?ms=900&deaf=1"))
            time.sleep(0.1)
            began = time.monotonic()
            self.assertEqual(server.get("/metrics", TOKEN).code, 200)
            self.assertLess(time.monotonic() - began, 0.5)


class Ends(unittest.TestCase):
    def test_drain_finishes_what_runs(self):
        with Server() as server:
            idle, late, busy, streaming = (server.connect() for _ in range(4))
            for client in (idle, late):
                client.send(request("GET", "/echo"))
                client.reply()
            busy.send(request("GET", "/slow?ms=800"))
            streaming.send(request("GET", "/events?count=8&ms=100"))
            streaming.head()
            time.sleep(0.2)
            server.signal(signal.SIGTERM)
            # A request that was on its way is answered; who sends none is closed a second later.
            time.sleep(0.1)
            late.send(request("GET", "/echo"))
            self.assertEqual(late.reply().headers["connection"], "close")
            reply = busy.reply()
            self.assertEqual((reply.body, reply.headers["connection"]), (b"slept", "close"))
            self.assertTrue(busy.is_closed())
            events = 0
            while streaming.chunk():
                events += 1
            self.assertEqual(events, 8)
            self.assertTrue(idle.is_closed(within=1.5))
            with self.assertRaises(OSError):
                Client(server.port).reply()
            self.assertEqual(server.process.wait(10), 0)

    def test_drain_has_an_end(self):
        with Server(drain_ms=500) as server, server.connect() as client:
            client.send(request("GET", "/slow?ms=20000"))
            time.sleep(0.1)
            start = time.monotonic()
            server.signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(15), 0)
            self.assertLess(time.monotonic() - start, 5)

    def test_the_access_log(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "access.log"
            with Server(log=path) as server:
                server.get("/things/a%22%0ab", "X-Request-Id: id-1")
                server.get("/nothing")
                server.get("/private", TOKEN)
                self.assertTrue(wait_until(lambda: len(path.read_text().splitlines()) == 3))
                path.rename(path.with_suffix(".old"))
                server.signal(signal.SIGHUP)
                self.assertTrue(wait_until(path.exists))
                server.get("/echo")
            lines = {line["path"]: line
                     for line in map(json.loads, path.with_suffix(".old").read_text().splitlines())}
            thing = lines["/things/a\"\nb"]
            self.assertEqual((thing["route"], thing["status"], thing["request_id"]),
                             ("/things/{name}", 200, "id-1"))
            self.assertEqual((lines["/nothing"]["status"], lines["/nothing"]["route"]), (404, ""))
            self.assertEqual(lines["/private"]["user"], "ada")
            self.assertEqual(len(path.read_text().splitlines()), 1)


class Operators(unittest.TestCase):
    def test_health_metrics_and_description(self):
        with Server() as server:
            self.assertEqual(server.get("/healthz").body, b'{"status":"alive"}')
            self.assertEqual(server.get("/readyz").code, 200)
            self.assertEqual(server.get("/metrics").code, 401)
            server.get("/things/secret-name")
            time.sleep(0.3)  # a loop's timer comes ten times a second
            text = server.get("/metrics", TOKEN).body.decode()
            self.assertIn('onggi_http_requests_total{method="GET",route="/things/{name}",status="200"} 1', text)
            self.assertNotIn("secret-name", text)
            for name in ["onggi_http_request_seconds_bucket", "onggi_http_connections", "onggi_http_worker_queue",
                         "onggi_http_loop_lag_seconds_count", "process_resident_memory_bytes"]:
                self.assertIn(name, text)
            paths = json.loads(server.get("/openapi.json", TOKEN).body)["paths"]
            self.assertIn("get", paths["/things/{name}"])


if __name__ == "__main__":
    unittest.main()
