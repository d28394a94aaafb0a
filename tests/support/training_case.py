# SPDX-License-Identifier: Apache-2.0
"""Training sets of one small view: what x is for each id."""

import tempfile
import unittest
from datetime import datetime
from pathlib import Path

import onggi

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    pa = pq = None

ROWS = "SELECT i AS id, TIMESTAMP '2020-01-05' AS t FROM range(6) r(i)"


def definitions(path, more="", sql=None, request=None):
    """A view of column x over files or SQL; `request` is the type of a field y, which comes out as `same`."""
    text = (f"entity: c\nkey: id\ntype: int64\n---\nsource: ev\n{'sql: ' + sql if sql else 'path: ' + path}\n"
            f"time: t\n{more}\n---\nview: v\nentity: c\nsource: ev\ncolumns: [x]\n")
    if request:
        text += f'---\nview: r\nrequest: {{y: {request}}}\nfeatures: {{same: {{expr: "y"}}}}\n'
    return text + f"---\nservice: s\ntime: t\nfeatures: [v{', r' if request else ''}]\n"


def table(**columns):
    rows = len(columns["x"])
    columns = {"t": pa.array([datetime(2020, 1, 1)] * rows, pa.timestamp("us")), **columns}
    return pa.table(columns)


@unittest.skipIf(pq is None, "pyarrow is missing: dev/setup makes build/venv/test")
@unittest.skipUnless(onggi.BINARY, "ONGGI_BINARY does not name the binary to test")
class TrainingCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)

    def project(self, files, name="p", path=None, **how):
        """Text, bytes, or tables by their names, all of one ending."""
        folder = self.top / name
        if path is None and "sql" not in how:
            path = "data/*" + next(end for end in (".parquet", ".csv", ".csv.gz") if list(files)[0].endswith(end))
        project = onggi.Project(folder, {"onggi.yaml": "", "features/f.yaml": definitions(path, **how)})
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, (str, bytes)):
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            else:
                pq.write_table(content, path)
        return project

    def ask(self, project, rows=ROWS, *more, out="o.parquet"):
        """The command, done; its rows are SQL or the name of a file."""
        kind = "--entities-sql" if " " in rows else "--entities"
        return project.run("features", "training-set", "--service", "s", kind, rows, "--out", out, *more)

    def set_of(self, project, rows=ROWS, *more):
        """The whole set, as a table."""
        done = self.ask(project, rows, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return pq.read_table(project.folder / "o.parquet")

    def build(self, project):
        """What x is for each id."""
        return {row["id"]: row["x"] for row in self.set_of(project).to_pylist() if row["x"] is not None}

    def not_asked(self, words, project, *arguments, **options):
        done = self.ask(project, *arguments, **options)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        for word in words:
            self.assertIn(word, done.stderr)

    def gives(self, wanted, files, **how):
        project = self.project(files, **how)
        project.must("apply")
        got = self.build(project)
        self.assertEqual(got, wanted)
        self.assertEqual({key: type(value) for key, value in got.items()},
                         {key: type(value) for key, value in wanted.items()})

    def is_refused(self, words, files, **how):
        """By apply already, since it asks for the columns; without advice on settings that nobody has here."""
        done = self.project(files, **how).run("apply")
        said = done.stdout + done.stderr
        self.assertNotEqual(done.returncode, 0, said)
        for word in words:
            self.assertIn(word, said)
        for advice in ("union_by_name", "Potential", "Possible", "sample_size", "nullstr"):
            self.assertNotIn(advice, said)
