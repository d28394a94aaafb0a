#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Users: tokens are shown once, roles are asked for, and the text of onggi.yaml stays as it was."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

CONFIG = "# ours, with a comment\npython: python3  # and another\n"


class Users(onggi.ProjectCase):
    files = {"onggi.yaml": CONFIG}

    def setUp(self):
        super().setUp()
        self.config = self.path / "onggi.yaml"

    def add(self, name, role):
        return self.project.must("users", "add", name, "--role", role).strip()

    def ask(self, path, token=None, method="GET", body=None):
        """The same as a user with this token."""
        return super().ask(path, body, method, token=token)

    def command(self, token, *arguments):
        return self.project.run(*arguments, env={"ONGGI_TOKEN": token})

    def test_the_first_user_must_be_an_admin(self):
        done = self.project.run("users", "add", "anna", "--role", "viewer")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--role admin", done.stderr)
        self.assertEqual(self.config.read_text(), CONFIG)

    def test_only_a_hash_is_kept_and_the_text_stays(self):
        token = self.add("root", "admin")
        text = self.config.read_text()
        self.assertEqual(len(token), 43)
        self.assertTrue(text.startswith(CONFIG))
        self.assertNotIn(token, text)
        self.assertIn("token_sha256", text)

    def test_roles_are_asked_for(self):
        admin = self.add("root", "admin")
        self.project.serve()
        answer = json.loads(self.command(admin, "users", "add", "vera", "--role", "viewer",
                                         "--json").stdout)
        viewer = answer["token"]
        self.assertEqual(self.ask("/healthz")[0], 200)
        self.assertEqual(self.ask("/api/v1/status")[0], 401)
        self.assertEqual(self.ask("/api/v1/status", "wrong")[0], 401)
        self.assertEqual(self.ask("/api/v1/status", viewer)[0], 200)
        self.assertEqual(self.ask("/api/v1/users", viewer)[0], 403)
        self.assertEqual(self.ask("/api/v1/apply", viewer, "POST", b"")[0], 403)
        self.assertEqual(self.ask("/api/v1/users", admin)[0], 200)
        self.assertRegex(self.command(admin, "status").stdout, r"users +2\n")
        # Takes effect at once, without a restart.
        self.assertEqual(self.command(admin, "users", "remove", "vera").returncode, 0)
        self.assertEqual(self.ask("/api/v1/status", viewer)[0], 401)

    def test_refusals_have_their_exit_code(self):
        admin = self.add("root", "admin")
        self.project.serve()
        self.assertEqual(self.command("", "status").returncode, 4)
        self.assertIn("ONGGI_TOKEN", self.command("", "status").stderr)
        self.assertEqual(self.command("wrong", "status").returncode, 4)
        self.assertEqual(self.command(admin, "status").returncode, 0)

    def test_without_a_server_users_are_not_managed_once_there_are_some(self):
        self.add("root", "admin")
        done = self.project.run("users", "add", "eve", "--role", "admin")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertNotIn("eve", self.config.read_text())

    def test_the_last_admin_stays(self):
        admin = self.add("root", "admin")
        self.project.serve()
        self.assertEqual(self.command(admin, "users", "add", "vera").returncode, 0)
        done = self.command(admin, "users", "remove", "root")
        self.assertEqual(done.returncode, 1)
        self.assertIn("last admin", done.stderr)

    def test_with_users_other_machines_may_ask(self):
        self.add("root", "admin")
        self.config.write_text(self.config.read_text() + "server: {listen: \"0.0.0.0:0\"}\n")
        server = subprocess.Popen([onggi.BINARY, "serve"], cwd=self.path,
                                  stderr=subprocess.PIPE, text=True)
        try:
            lines = [server.stderr.readline() for _ in range(4)]
            self.assertIn("users     1, by token", "".join(lines))
        finally:
            server.terminate()
            server.communicate(timeout=30)


if __name__ == "__main__":
    unittest.main()
