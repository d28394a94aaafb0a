#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may decide about a model: the role is asked, the name is kept, and nobody decides without one."""
import os
import re
import sys
import threading
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import onggi  # noqa: E402
from test_predict import FILES, QUESTION  # noqa: E402

VERSION = "/api/v1/models/small/versions/1"
REASON = {"reason": "the evidence holds"}


class Roles(onggi.ProjectCase):
    files = FILES
    shared = True
    tokens = {}

    @classmethod
    def prepare(cls, project):
        os.environ["TINY_ONNX"] = str(TESTS / "support")
        os.environ["ONGGI_PYTHON"] = sys.executable
        project.must("apply")
        project.must("features", "materialize")
        project.must("pipeline", "run", "small")
        for role in ("admin", "approver", "editor", "viewer"):
            env = {"ONGGI_TOKEN": cls.tokens.get("admin", "")}
            told = project.must("users", "add", role + "_user", "--role", role, env=env)
            cls.tokens[role] = re.search(r"\b[A-Za-z0-9_-]{43}\b", told)[0]
            if role == "admin":
                project.serve()

    def as_role(self, role, path, body=None):
        return self.ask(path, body, token=self.tokens.get(role))

    def command(self, role, *arguments):
        return self.project.run(*arguments, env={"ONGGI_TOKEN": self.tokens.get(role, "")})

    def assert_told(self, fallback):
        """Whoever asks by command is told when it was not the model that answered."""
        done = self.command("viewer", "predict", "small", "shop=north", "moment=2020-01-01T12:00:00Z", "offered=4")
        self.assertEqual(done.returncode, 0, done.stderr)
        (self.assertIn if fallback else self.assertNotIn)("\nfallback no_model: no version is deployed\n", done.stdout)
        (self.assertIn if fallback else self.assertNotIn)("the fallback answered", done.stderr)

    def test_1_only_approvers_decide(self):
        for role, code in ((None, 401), ("viewer", 403), ("editor", 403)):
            for verb in ("approve", "reject"):
                with self.subTest(role=role, verb=verb):
                    got, answer = self.as_role(role, f"{VERSION}/{verb}", REASON)
                    self.assertEqual(got, code, answer)
                    done = self.command(role, "models", verb, "small", "1", "--reason", "mine")
                    self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(self.as_role("viewer", VERSION)[1]["decisions"], [])
        code, answer = self.as_role("approver", VERSION + "/approve", {**REASON, "by": "somebody else"})
        self.assertEqual(code, 400, answer)
        code, answer = self.as_role("approver", VERSION + "/approve", REASON)
        self.assertEqual((code, answer["by"]), (200, "approver_user"), answer)

    def test_1_reasons_are_text_that_a_terminal_shows(self):
        for reason in ("fine\u001b[2K", "fine\roverwritten", "a\ttab", "\u007f", "\u009b31m", "a\u0000b"):
            with self.subTest(reason):
                code, answer = self.as_role("approver", VERSION + "/approve", {"reason": reason})
                self.assertEqual(code, 400, answer)
                self.assertIn("control character", answer["error"]["message"])
        forged = "AUC holds\n  2030-01-01T00:00:00Z  APPROVED  the_board: all of us, µ §"
        code, answer = self.as_role("approver", VERSION + "/reject", {"reason": forged})
        self.assertEqual((code, answer["reason"]), (200, forged), answer)
        # Two lines of a reason stay one line of the table.
        shown = self.command("viewer", "models", "show", "small", "1").stdout
        self.assertIn("AUC holds\\n  2030-01-01", shown)
        self.assertNotIn("\n  2030-01-01", shown)
        self.assertEqual(self.as_role("approver", VERSION + "/approve", REASON)[0], 200)

    def test_2_only_editors_deploy(self):
        for path, body in (("deploy", {"version": 1}), ("rollback", {})):
            self.assertEqual(self.as_role("viewer", "/api/v1/endpoints/small/" + path, body)[0], 403)
        self.assertEqual(self.as_role("editor", "/api/v1/endpoints/small/deploy", {"version": 1})[0], 200)
        answer = self.as_role("viewer", "/api/v1/endpoints/small/deployments")[1]
        self.assertEqual(answer["deployments"][0]["by"], "editor_user")
        self.assertEqual(self.as_role("viewer", "/api/v1/endpoints/small/predict", QUESTION)[1]["version"], 1)

    def test_3_decisions_at_once_end_in_one_order(self):
        def decide(number):
            verb = "approve" if number % 2 else "reject"
            answers.append(self.as_role("approver", f"{VERSION}/{verb}", {"reason": f"decision {number}"}))

        before = len(self.as_role("viewer", VERSION)[1]["decisions"])
        answers = []
        threads = [threading.Thread(target=decide, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Approving what is approved is refused, with who did it; every other one is on record.
        for code, answer in answers:
            if code != 200:
                self.assertEqual(code, 409, answer)
                self.assertIn("is APPROVED by approver_user: ", answer["error"]["message"])
        taken = self.as_role("viewer", VERSION)[1]["decisions"]
        self.assertEqual(len(taken) - before, [code for code, _ in answers].count(200))
        for later, earlier in zip(taken, taken[1:]):
            self.assertNotEqual((later["status"], earlier["status"]), ("APPROVED", "APPROVED"))
        # The status is that of the last decision on record, and the endpoint does as it says.
        for _ in range(4):
            answer = self.as_role("viewer", VERSION)[1]
            self.assertEqual(answer["decisions"][0]["status"], answer["status"])
            prediction = self.as_role("viewer", "/api/v1/endpoints/small/predict", QUESTION)[1]
            self.assertEqual(prediction["version"], 1 if answer["status"] == "APPROVED" else None, answer["status"])
            self.assert_told(fallback=answer["status"] != "APPROVED")
            verb = "reject" if answer["status"] == "APPROVED" else "approve"
            self.assertEqual(self.as_role("approver", f"{VERSION}/{verb}", REASON)[0], 200)

    def test_3_one_of_many_who_saw_the_same_decides(self):
        def approve(number):
            answers.append(self.as_role("approver", VERSION + "/approve", {"reason": f"mine {number}", "seen": "REJECTED"}))

        self.assertEqual(self.as_role("approver", VERSION + "/reject", REASON)[0], 200)
        answers = []
        threads = [threading.Thread(target=approve, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winner = [answer["reason"] for code, answer in answers if code == 200]
        self.assertEqual(len(winner), 1, answers)
        for code, answer in answers:
            if code != 200:
                self.assertEqual(code, 409)
                self.assertIn(f"is APPROVED by approver_user: {winner[0]}", answer["error"]["message"])
        self.refused(400, "'seen': expected PENDING", VERSION + "/reject", {**REASON, "seen": "approved"},
                     token=self.tokens["approver"])

    def test_4_nobody_decides_without_a_name(self):
        for verb in ("reject", "approve"):
            self.assertEqual(self.as_role("approver", f"{VERSION}/{verb}", REASON)[0], 200)
        self.project.stop()
        for verb in ("approve", "reject"):
            done = self.command("approver", "models", verb, "small", "1", "--reason", "mine")
            self.assertEqual(done.returncode, 4, done.stderr)
        # What needs no name goes on, and says so in one line.
        done = self.project.run("models", "deploy", "small", "1", "--endpoint", "small")
        self.assertEqual(done.stderr, "endpoint small serves small version 1\n")


if __name__ == "__main__":
    unittest.main()
