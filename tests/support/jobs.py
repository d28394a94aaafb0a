# SPDX-License-Identifier: Apache-2.0
"""The job processes of a project, found from outside by what they were started with."""

import os
import time
from pathlib import Path


def find(folder, kind):
    """Numbers of the processes that run `onggi job KIND` in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            inside = os.readlink(process / "cwd") == str(Path(folder).resolve())
        except OSError:
            continue
        if inside and command[1:3] == [b"job", kind.encode()]:
            found.append(int(process.name))
    return found


def await_one(folder, kind, seconds=20, but=()):
    """The first such process that is none of `but`; None if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for job in find(folder, kind):
            if job not in but:
                return job
        time.sleep(0.002)
    return None


def await_none(folder, kind, seconds=20):
    """Whether all such processes end in time."""
    deadline = time.monotonic() + seconds
    while find(folder, kind):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
