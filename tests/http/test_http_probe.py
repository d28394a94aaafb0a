#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the server takes and what it refuses, byte by byte: each refusal has its status and ends the connection."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.raw_http import Closed, Server, request  # noqa: E402

HIDDEN = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(*headers, body=""):
    return "\r\n".join(["POST /echo HTTP/1.1", "Host: localhost", *headers]) + "\r\n\r\n" + body


class Probe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(loops=1)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def assert_refused(self, code, text):
        """The status, then the end: nothing behind the refused bytes is ever answered."""
        with self.server.connect() as client:
            client.send(text)
            reply = client.reply()
            self.assertEqual(reply.code, code, (text[:200], reply))
            self.assertEqual(reply.headers.get("connection"), "close", text[:200])
            self.assertIn(b'"message"', reply.body)
            self.assertEqual(client.waiting, b"", f"answered more after {text[:200]!r}")
            self.assertTrue(client.is_closed(), f"still open after {text[:200]!r}")

    def assert_taken(self, text, code=200):
        reply = self.server.ask(text)
        self.assertEqual(reply.code, code, (text[:200], reply))
        return reply


class Framing(Probe):
    def test_length_and_chunked_exclude_each_other(self):
        body = "0\r\n\r\n" + HIDDEN
        self.assert_refused(400, post("Content-Length: 5", "Transfer-Encoding: chunked", body=body))
        self.assert_refused(400, post("Transfer-Encoding: chunked", "Content-Length: 5", body=body))

    def test_two_lengths(self):
        self.assert_refused(400, post("Content-Length: 5", "Content-Length: 6", body="hello!"))
        self.assert_refused(400, post("Content-Length: 5", "Content-Length: 5", body="hello"))
        self.assert_refused(400, post("Content-Length: 5, 5", body="hello"))

    def test_lengths_that_are_no_plain_number(self):
        for length in ["+5", "-5", " 5 5", "0x5", "5;", "", "five", "5.0", "1e1",
                       "18446744073709551617", "99999999999999999999999"]:
            self.assert_refused(400, post(f"Content-Length: {length}", body="hello"))
        # White space around a value is no part of it.
        self.assertEqual(self.assert_taken(post("Content-Length:  5 ", body="hello")).body, b"hello")

    def test_unknown_codings_are_501(self):
        for coding in ["gzip", "gzip, chunked", "identity", "xchunked", "chunked-foo"]:
            self.assert_refused(501, post(f"Transfer-Encoding: {coding}", body="0\r\n\r\n"))

    def test_chunked_twice(self):
        for lines in [["Transfer-Encoding: chunked, chunked"],
                      ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
                      ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"]]:
            with self.server.connect() as client:
                client.send(post(*lines, body="0\r\n\r\n" + HIDDEN))
                self.assertIn(client.reply().code, (400, 501))
                self.assertTrue(client.is_closed())

    def test_a_coding_in_http_1_0(self):
        text = post("Transfer-Encoding: chunked", body="0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0")
        self.assert_refused(400, text)

    def test_chunks(self):
        reply = self.assert_taken(post("Transfer-Encoding: chunked",
                                       body="5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"))
        self.assertEqual(reply.body, b"hello world")
        reply = self.assert_taken(post("Transfer-Encoding: CHUNKED",
                                       body="00000A\r\n0123456789\r\n0\r\nTrailer: ignored\r\n\r\n"))
        self.assertEqual(reply.body, b"0123456789")
        reply = self.assert_taken(post("Transfer-Encoding: chunked", body="5;a=b\r\nhello\r\n0\r\n\r\n"))
        self.assertEqual(reply.body, b"hello")

    def test_bad_chunk_sizes(self):
        for body in ["5x\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
                     "0x5\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n", "\r\nhello\r\n0\r\n\r\n",
                     "5 \r\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n",
                     "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n",
                     "5\r\nhello\n0\r\n\r\n", "5\rhello\r\n0\r\n\r\n", "5;a=\nb\r\nhello\r\n0\r\n\r\n",
                     ";\r\nhello\r\n0\r\n\r\n", "g\r\nhello\r\n0\r\n\r\n"]:
            self.assert_refused(400, post("Transfer-Encoding: chunked", body=body + HIDDEN))

    def test_too_many_chunks(self):
        self.assert_refused(400, post("Transfer-Encoding: chunked",
                                      body="1\r\nx\r\n" * 65600 + "0\r\n\r\n"))

    def test_endless_extensions_and_trailers(self):
        self.assert_refused(400, post("Transfer-Encoding: chunked",
                                      body="5;" + "a" * 40000 + "\r\nhello\r\n0\r\n\r\n"))
        self.assert_refused(400, post("Transfer-Encoding: chunked",
                                      body="0\r\n" + "A: b\r\n" * 8000 + "\r\n"))

    def test_a_chunk_that_is_announced_too_large_is_not_waited_for(self):
        for size in ["FFFFFFFFFFFFFFFF", "7FFFFFFFFFFFFFFF", "100001"]:
            self.assert_refused(413, post("Transfer-Encoding: chunked", body=f"{size}\r\n"))
        self.assert_refused(413, post("Transfer-Encoding: chunked", body="1\r\nx\r\n100000\r\n"))
        # The sum of what is here and what is announced is what counts.
        self.assert_taken(post("Transfer-Encoding: chunked", body="100000\r\n" + "x" * 0x100000 + "\r\n0\r\n\r\n"))

    def test_a_body_where_none_is_taken(self):
        self.assert_refused(413, request("GET", "/echo", "Content-Length: 5").decode() + "hello")
        self.assert_refused(413, request("GET", "/echo", "Transfer-Encoding: chunked").decode() +
                            "5\r\nhello\r\n0\r\n\r\n")


class Heads(Probe):
    def test_host(self):
        self.assert_refused(400, "GET /echo HTTP/1.1\r\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost:\r\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: a@b\r\n\r\n")
        for host in ["a:b", "a:80:80", "a:123456", "[::1", "::1", "[]", "[::1]a", "[::1]:x", "a]", "a, b", "a b", ":80"]:
            self.assert_refused(400, f"GET /echo HTTP/1.1\r\nHost: {host}\r\n\r\n")
        self.assert_taken("GET /echo HTTP/1.1\r\nHost: a_b-c.d:\r\n\r\n")
        self.assert_taken("GET /echo HTTP/1.1\r\nHost: a:8470\r\n\r\n")
        self.assert_taken("GET /echo HTTP/1.1\r\nHost: [::1]:8470\r\n\r\n")

    def test_what_stands_once(self):
        for name in ["Content-Type", "Authorization", "User-Agent", "X-Request-Id", "Traceparent",
                     "Origin", "X-Amz-Target", "Inference-Header-Content-Length", "Expect"]:
            self.assert_refused(400, request("GET", "/echo", f"{name}: 1", f"{name.lower()}: 1"))

    def test_line_ends(self):
        self.assert_refused(400, "GET /echo HTTP/1.1\nHost: localhost\n\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: localhost\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: localhost\r\n\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: localhost\r\nA: b\rC: d\r\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\rHost: localhost\r\n\r\n")

    def test_folding(self):
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\nHost: localhost\r\nA: b\r\n\tc\r\n\r\n")
        self.assert_refused(400, "GET /echo HTTP/1.1\r\n Host: localhost\r\n\r\n")

    def test_names(self):
        for line in ["A : b", "A\t: b", " A: b", ": b", "A(b): c", "A", "A\x00: b", "A\x7f: b",
                     "\u00e4: b", "Content-Length : 5", "Transfer-Encoding : chunked"]:
            self.assert_refused(400, f"GET /echo HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n")

    def test_values(self):
        self.assert_refused(400, request("GET", "/echo", "A: b\x00c"))
        self.assert_refused(400, request("GET", "/echo", "A: b\x01c"))
        self.assert_refused(400, request("GET", "/echo", "A: b\x7fc"))
        self.assert_taken(request("GET", "/echo", "A: b\u00e4c"))
        self.assert_taken(request("GET", "/echo", "A:b", "C:", "D:   e   "))

    def test_sizes(self):
        self.assert_taken(request("GET", "/echo", "A: " + "x" * 15000))
        self.assert_refused(431, request("GET", "/echo", "A: " + "x" * 17000))
        self.assert_refused(431, request("GET", "/echo", *[f"A{i}: b" for i in range(100)]))
        self.assert_taken(request("GET", "/echo", *[f"A{i}: b" for i in range(99)]))
        self.assert_taken(request("GET", "/echo?" + "x" * (8192 - 6)))
        self.assert_refused(414, request("GET", "/echo?" + "x" * (8193 - 6)))
        head = len(request("GET", "/echo", "A: "))
        self.assert_taken(request("GET", "/echo", "A: " + "x" * (16384 - head)))
        self.assert_refused(431, request("GET", "/echo", "A: " + "x" * (16385 - head)))
        self.assert_refused(414, request("GET", "/echo?" + "x" * 9000))
        self.assert_refused(414, "GET /" + "x" * 9000)

    def test_request_lines(self):
        for line in ["GET  /echo HTTP/1.1", "GET /echo  HTTP/1.1", "GET /echo HTTP/1.1 ", " GET /echo HTTP/1.1",
                     "GET /echo", "GET", "G@T /echo HTTP/1.1", "GET /echo HTTP", "GET /echo http/1.1",
                     "GET /a b HTTP/1.1", "GET /a\x00b HTTP/1.1", "GET echo HTTP/1.1", "GET * HTTP/1.1", "GET /echo#x HTTP/1.1"]:
            with self.server.connect() as client:
                client.send(f"{line}\r\nHost: localhost\r\n\r\n")
                code = client.reply().code
                # A version that is written oddly is none that we speak.
                self.assertIn(code, (400, 505), line)

    def test_versions(self):
        for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/3.0", "HTTP/0.9"]:
            self.assert_refused(505, f"GET /echo {version}\r\nHost: localhost\r\n\r\n")
        with self.server.connect() as client:
            client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.assertIn(client.reply().code, (400, 501, 505))
            self.assertTrue(client.is_closed())

    def test_methods(self):
        for method in ["BREW", "TRACE", "CONNECT", "PROPFIND", "get"]:
            self.assert_refused(501, f"{method} /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assert_refused(501, "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def test_packed_bodies(self):
        for coding in ["gzip", "GZIP", "deflate, gzip", "br"]:
            self.assert_refused(415, request("POST", "/echo", "Content-Encoding: " + coding, body=b"{}"))
        self.assert_refused(400, request("POST", "/echo", "Content-Encoding: identity", "Content-Encoding: gzip", body=b"{}"))

    def test_expectations(self):
        self.assert_refused(417, request("GET", "/echo", "Expect: 200-ok"))

    def test_bytes_that_are_no_http(self):
        for text in [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\n",
                     b"\x00\n", b"\xff\xfe\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n"]:
            with self.server.connect() as client:
                client.send(text)
                if text.endswith(b"9\r\n"):
                    client.send("\r\n")
                self.assertIn(client.reply().code, (400, 501))
                self.assertTrue(client.is_closed())

    def test_blank_lines_in_front(self):
        self.assert_taken(b"\r\n" + request("GET", "/echo"))
        self.assert_refused(400, "\r\n" * 10)

    def test_absolute_form(self):
        self.assertEqual(self.assert_taken("GET http://localhost/things/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
                         .headers["x-path"], "/things/a")
        self.assert_refused(400, "GET http://other/echo HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def test_a_wish_to_upgrade_is_not_heard(self):
        text = request("GET", "/echo", "Connection: upgrade", "Upgrade: websocket")
        with self.server.connect() as client:
            client.send(text + request("GET", "/things/next"))
            self.assertEqual(client.reply().code, 200)
            self.assertEqual(client.reply().headers["x-path"], "/things/next")


class Targets(Probe):
    def test_decoding_happens_once(self):
        self.assertEqual(self.server.get("/things/a%2541").headers["x-path"], "/things/a%41")
        self.assertEqual(self.server.get("/things/a%2Fb").code, 200)

    def test_bad_escapes_and_dots(self):
        for target in ["/things/%", "/things/%4", "/things/%zz", "/things/%00", "/things/%ff",
                       "/things/..", "/../echo", "/things/%2e%2e", "/./echo", "/echo?a=%zz"]:
            self.assertEqual(self.server.get(target).code, 400, target)

    def test_unknown_path_and_method(self):
        self.assertEqual(self.server.get("/nothing").code, 404)
        reply = self.server.ask(request("DELETE", "/echo"))
        self.assertEqual(reply.code, 405)
        self.assertEqual({m.strip() for m in reply.headers["allow"].split(",")},
                         {"GET", "HEAD", "POST", "OPTIONS"})
        self.assertEqual(self.server.ask(request("OPTIONS", "/echo")).code, 204)

    def test_errors_are_json_with_the_request_id(self):
        reply = self.server.ask(request("GET", "/nothing", "X-Request-Id: abc-1"))
        self.assertEqual(reply.headers["x-request-id"], "abc-1")
        self.assertIn(b'"request_id":"abc-1"', reply.body)
        self.assertEqual(reply.headers["content-type"], "application/json")
        for bad in ["a b", "a\"b", "x" * 200, "<script>"]:
            reply = self.server.ask(request("GET", "/nothing", f"X-Request-Id: {bad}"))
            self.assertNotEqual(reply.headers["x-request-id"], bad)

    def test_traceparent(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        handed_on = self.server.get("/echo", f"traceparent: {trace}").headers["x-trace"]
        self.assertEqual(handed_on[:35], trace[:35])
        self.assertNotEqual(handed_on[36:52], trace[36:52])
        for bad in ["00-" + "0" * 32 + "-b7ad6b7169203331-01", "nonsense", trace.upper()]:
            made = self.server.get("/echo", f"traceparent: {bad}").headers["x-trace"]
            self.assertRegex(made, "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$")
            self.assertNotEqual(made[:35], bad[:35])

    def test_permissions(self):
        reply = self.server.get("/private")
        self.assertEqual((reply.code, reply.headers["www-authenticate"]), (401, "Bearer"))
        self.assertEqual(self.server.get("/private", "Authorization: Bearer wrong").code, 401)
        self.assertEqual(self.server.get("/private", "Authorization: Bearer secret").code, 200)

    def test_no_injection_into_replies(self):
        reply = self.server.get("/things/a%0d%0aSet-Cookie:%20x")
        self.assertNotIn("set-cookie", reply.headers)
        self.assertEqual(reply.headers["x-path"], "/things/a  Set-Cookie: x")


class HostCheck(unittest.TestCase):
    """A page elsewhere that makes its name point here is refused by the name."""

    def test_names(self):
        with Server(check_host="yes", host="ours.example") as server:
            def code(host, *headers):
                lines = ["GET /echo HTTP/1.1", f"Host: {host}", *headers]
                return server.ask("\r\n".join(lines) + "\r\n\r\n").code

            for host in ["localhost", "localhost:8470", "127.0.0.1", "127.3.2.1:80", "[::1]:80", "LOCALHOST"]:
                self.assertEqual(code(host), 200, host)
            for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "127.1"]:
                self.assertEqual(code(host), 403, host)
            for host, origin in [("localhost", "http://localhost"), ("localhost:8470", "http://LOCALHOST:8470"),
                                 ("127.0.0.1:80", "http://127.0.0.1:80"), ("[::1]:8470", "https://[::1]:8470"),
                                 ("localhost:1", "https://ours.example"), ("localhost:1", "http://ours.example:7")]:
                self.assertEqual(code(host, f"Origin: {origin}"), 200, origin)
            for origin in ["http://evil.example", "null", "https://localhost.evil.example", "file://",
                           "http://localhost:3000", "http://127.0.0.1:8470", "http://localhost", "http://"]:
                self.assertEqual(code("localhost:8470", f"Origin: {origin}"), 403, origin)


class Split(Probe):
    """However TCP cuts it, a request is the same request."""

    def test_byte_by_byte(self):
        text = post("Transfer-Encoding: chunked", body="5\r\nhello\r\n0\r\n\r\n")
        with self.server.connect() as client:
            for byte in text:
                client.send(byte)
            self.assertEqual(client.reply().body, b"hello")

    def test_every_cut(self):
        text = request("POST", "/echo", body=b"0123456789") + request("GET", "/things/x")
        with self.server.connect() as client:
            for cut in range(1, len(text)):
                client.send(text[:cut])
                client.send(text[cut:])
                self.assertEqual(client.reply().body, b"0123456789", cut)
                self.assertEqual(client.reply().headers["x-path"], "/things/x", cut)

    def test_an_end_in_the_middle(self):
        for text in ["GET /echo HT", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"]:
            with self.server.connect() as client:
                client.send(text)
                client.socket.shutdown(1)
                with self.assertRaises(Closed):
                    client.reply()
        self.assertEqual(self.server.get("/echo").code, 200)


if __name__ == "__main__":
    unittest.main()
