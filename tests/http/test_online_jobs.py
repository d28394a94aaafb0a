#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Materialisations that are killed, fail, or meet one another; and what is served meanwhile."""

import fcntl
import http.client
import os
import signal
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import jobs  # noqa: E402
import onggi  # noqa: E402
from test_online_errors import DEFINITIONS, GET, SALES, question  # noqa: E402


class OnlineJobs(onggi.ProjectCase):
    files = {"onggi.yaml": "", "features/all.yaml": DEFINITIONS, "data/sales.csv": SALES}
    serving = True

    @classmethod
    def prepare(cls, project):
        project.must("apply")

    def materialize(self, **body):
        return self.good("/api/v1/features/materialize", body)

    def values(self):
        return self.good(GET, question())["rows"][0]

    def test_a_failure_leaves_what_is_served(self):
        self.materialize()
        before = self.values()
        (self.path / "data" / "sales.csv").rename(self.path / "data" / "gone.csv")
        code, answer = self.ask("/api/v1/features/materialize", {})
        self.assertGreaterEqual(code, 400)
        self.assertIn("sales", answer["error"]["message"])
        self.assertEqual(self.values(), before)

    def test_a_removed_view_leaves_the_disk(self):
        self.materialize()
        online = self.path / ".onggi" / "online"
        (online / "price.0000000007").mkdir()  # a materialisation was killed here
        text = DEFINITIONS.replace("view: price", "view: cost").replace("price, ", "")
        (self.path / "features" / "all.yaml").write_text(text)
        self.assertTrue(self.ask("/api/v1/apply", {})[1]["applied"])
        self.assertEqual(sorted(path.name for path in online.glob("*.*")),
                         ["manifest.json", "takings.0000000001"])
        self.assertEqual(self.values()[:2], [2, 12])

        (self.path / "features" / "all.yaml").write_text(DEFINITIONS)
        self.ask("/api/v1/apply", {})
        self.refused(503, ["never materialised", "materialize"], GET, question())
        self.materialize(views=["price"])
        self.assertEqual(self.values()[:3], [2, 12, 7])
        self.assertTrue((online / "price.0000000008").exists())

    def test_no_read_is_lost_while_generations_change(self):
        self.materialize()
        expected, wrong, stop = self.values(), [], threading.Event()

        def read():
            while not stop.is_set():
                code, answer = self.ask(GET, question())
                if code != 200 or answer["rows"][0] != expected:
                    wrong.append((code, answer))

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for _ in range(4):
            self.materialize()
        stop.set()
        for reader in readers:
            reader.join()
        self.assertEqual(wrong[:3], [])
        folders = [name for name in os.listdir(self.path / ".onggi" / "online") if "." in name]
        self.assertEqual(len(folders), 3, folders)  # two views and manifest.json

    def test_a_job_that_is_killed_leaves_what_is_served(self):
        self.materialize()
        before = self.values()
        rows = "".join(f"2020-01-01T09:00:{i % 60:02}Z,s{i % 997},{i},x\n" for i in range(600000))
        (self.path / "data" / "sales.csv").write_text(SALES + rows)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(
            self.ask("/api/v1/features/materialize", {})))
        asking.start()
        job = jobs.await_one(self.path, "materialize")
        self.assertIsNotNone(job)
        os.kill(job, signal.SIGKILL)
        asking.join()
        self.assertEqual(answers[0][0], 503, answers)
        self.assertIn("killed by signal 9", answers[0][1]["error"]["message"])
        self.assertEqual(self.values(), before)
        self.materialize()
        self.assertEqual(self.values()[:2], before[:2])

    def ask_and_stop(self, **body):
        """A materialisation whose job stands still: (the job, the thread that asks, what it is answered)."""
        rows = "".join(f"2020-01-01T09:00:{i % 60:02}Z,s{i % 97},{i},x\n" for i in range(200000))
        self.project.write("data/sales.csv", SALES + rows)  # so that it is met at work
        others, answers = jobs.find(self.path, "materialize"), []
        asking = threading.Thread(target=lambda: answers.append(
            self.ask("/api/v1/features/materialize", body)))
        asking.start()
        job = jobs.await_one(self.path, "materialize", but=others)
        self.assertIsNotNone(job)
        os.kill(job, signal.SIGSTOP)
        self.addCleanup(asking.join)
        self.addCleanup(lambda: job in jobs.find(self.path, "materialize") and os.kill(job, signal.SIGKILL))
        return job, asking, answers

    def test_of_two_jobs_the_one_that_began_later_wins(self):
        job, asking, answers = self.ask_and_stop()
        self.materialize(to="2020-01-01T11:00:00Z")
        os.kill(job, signal.SIGCONT)
        asking.join()
        self.assertEqual(answers[0][0], 409, answers)
        self.assertIn("materialised again in the meantime; the newer values stay",
                      answers[0][1]["error"]["message"])
        self.assertNotIn(str(self.path), answers[0][1]["error"]["message"])
        self.assertEqual(self.values()[:4], [1, 5, 5, "ann"])
        online = self.path / ".onggi" / "online"
        self.assertEqual(sorted(path.name for path in online.glob("*.0*")),
                         ["price.0000000002", "takings.0000000002"])

    def folders(self, pattern="*.0*"):
        return sorted(path.name for path in (self.path / ".onggi" / "online").glob(pattern))

    def test_what_is_being_built_stays_until_it_is_given_up(self):
        folder = self.path / ".onggi" / "online" / "price.0000000001"
        folder.mkdir()
        builder = os.open(folder, os.O_RDONLY)
        fcntl.flock(builder, fcntl.LOCK_EX)  # as a job does
        self.materialize()
        self.assertEqual(self.folders(), ["price.0000000001", "price.0000000002", "takings.0000000002"])
        os.close(builder)
        self.materialize()
        self.assertEqual(self.folders(), ["price.0000000003", "takings.0000000003"])

    def test_a_job_that_is_killed_leaves_nothing_that_it_built(self):
        self.materialize()
        job, asking, answers = self.ask_and_stop()
        for name in ("price.0000000002", "takings.0000000002"):
            (self.path / ".onggi" / "online" / name).mkdir(exist_ok=True)
        os.kill(job, signal.SIGKILL)
        asking.join()
        self.assertEqual(answers[0][0], 503, answers)
        self.assertEqual(self.folders(), ["price.0000000001", "takings.0000000001"])
        self.assertEqual(self.values()[:4], [2, 12, 7, None])

    def test_a_server_that_is_killed_in_the_middle_serves_what_was_there(self):
        self.materialize()
        before = self.values()
        rows = "".join(f"2020-01-01T09:00:{i % 60:02}Z,s{i % 997},{i},x\n" for i in range(600000))
        self.project.write("data/sales.csv", SALES + rows)
        asking = threading.Thread(target=self.ask_in_vain)
        asking.start()
        job = jobs.await_one(self.path, "materialize")
        self.assertIsNotNone(job)
        time.sleep(0.3)  # well into its work
        self.assertEqual(jobs.find(self.path, "materialize"), [job])
        self.project.kill()
        asking.join()
        self.assertTrue(jobs.await_none(self.path, "materialize"))  # it ended with its server

        self.project.serve()
        self.assertEqual(self.values(), before)
        self.materialize()
        self.assertEqual(self.values()[:2], before[:2])
        online = self.path / ".onggi" / "online"
        self.assertEqual(len(list(online.glob("*.0*"))), 2, list(online.glob("*")))  # nothing half built
        self.assertEqual([path.name for path in (self.path / ".onggi" / "tmp").glob("job-*")], [])

    def ask_in_vain(self):
        try:
            self.ask("/api/v1/features/materialize", {})
        except (OSError, http.client.HTTPException):
            pass


if __name__ == "__main__":
    unittest.main()
