#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A script's surroundings, compared with what SageMaker's training toolkit makes of the same hyperparameters."""
import itertools
import json
import os
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "support"))
import onggi  # noqa: E402

ARGS = {
    "z": "last", "flag": True, "off": False, "nothing": None, "depth": 6, "rate": 1e-05, "big": 1e16, "tiny": 1.5e-300,
    "half": 0.5, "whole": 3.0, "minus": -0.25, "large": 123456789012.0, "text": "it's \"so\" é\n",
    "list": [1, "a'b", None, True, 2.0, {"k": [False]}, "é"], "map": {"b": None, "a": [1, 2], "c": "x"}, "empty": {},
    "none": [], "odd": "😀\x7f\t\\",
}
SCRIPT = """\
import json, os, sys
base = os.environ["SAGEMAKER_BASE_DIR"]
configs = {name: json.load(open(f"{base}/input/config/{name}.json")) for name in ("hyperparameters", "resourceconfig", "inputdataconfig")}
with open(os.environ["SM_OUTPUT_DATA_DIR"] + "/seen.json", "w") as file:
    json.dump({"argv": sys.argv[1:], "env": dict(os.environ), "configs": configs}, file)
open(os.environ["SM_MODEL_DIR"] + "/x", "w").close()
"""


def dumps(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def variable(value):
    return "" if value is None else value if isinstance(value, str) else dumps(value)


def argument(value):
    if isinstance(value, dict):
        return ",".join(f"{name}={each}" for name, each in sorted(value.items()))
    return "" if value is None else str(value)


class SageMaker(onggi.ProjectCase):
    files = {
        "onggi.yaml": f"python: {sys.executable}\n",
        "pipelines/p/pipeline.asl.json": json.dumps({"StartAt": "first", "States": {
            "first": {"Type": "Task", "Resource": "onggi:script", "ResultPath": "$.first", "Next": "second",
                      "Parameters": {"script": "seen.py", "out": ["model"]}},
            "second": {"Type": "Task", "Resource": "onggi:script", "End": True,
                       "Parameters": {"script": "seen.py", "args": ARGS, "in": {"train.$": "$.first.model"}}}}}),
        "pipelines/p/seen.py": SCRIPT,
    }

    @classmethod
    def prepare(cls, project):
        os.environ["TRAINING_JOB_NAME"] = "inherited"
        os.environ["SM_MODEL_DIR"] = "/inherited"
        os.environ["MINE"] = "kept"
        project.serve()

    def test_surroundings(self):
        done = self.project.wait(self.project.execute("p"))
        self.assertEqual(done["status"], "SUCCEEDED", done)
        seen = json.loads((self.path / done["output"]["output"] / "seen.json").read_text())
        env, configs = seen["env"], seen["configs"]
        expected = list(itertools.chain.from_iterable(
            ("--" + name if len(name) > 1 else "-" + name, argument(ARGS[name])) for name in sorted(ARGS)))
        self.assertEqual(seen["argv"], expected)
        for name, value in ARGS.items():
            self.assertEqual(env["SM_HP_" + name.upper()], variable(value), name)
        self.assertEqual(env["SM_HPS"], dumps(ARGS))
        self.assertEqual(env["SM_USER_ARGS"], dumps(expected))
        # On the wire hyperparameters are texts; the toolkit reads each as JSON.
        self.assertEqual({name: json.loads(text) for name, text in configs["hyperparameters"].items()}, ARGS)
        group = {"instance_group_name": "homogeneousCluster", "instance_type": "local", "hosts": ["algo-1"]}
        self.assertEqual(configs["resourceconfig"], {
            "current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo", "current_instance_type": "local",
            "current_group_name": "homogeneousCluster", "instance_groups": [group]})
        self.assertEqual(env["SM_RESOURCE_CONFIG"], dumps(configs["resourceconfig"]))
        self.assertEqual(env["SM_INPUT_DATA_CONFIG"], dumps(configs["inputdataconfig"]))
        for name, value in {"CURRENT_INSTANCE_TYPE": "local", "CURRENT_INSTANCE_GROUP": "homogeneousCluster",
                            "CURRENT_INSTANCE_GROUP_HOSTS": '["algo-1"]', "INSTANCE_GROUPS": '["homogeneousCluster"]',
                            "INSTANCE_GROUPS_DICT": dumps({"homogeneousCluster": group}), "DISTRIBUTION_INSTANCE_GROUPS": "[]",
                            "IS_HETERO": "false", "FRAMEWORK_MODULE": "", "FRAMEWORK_PARAMS": "{}", "CHANNELS": '["train"]',
                            "MODULE_NAME": "seen", "USER_ENTRY_POINT": "seen.py", "HOSTS": '["algo-1"]'}.items():
            self.assertEqual(env["SM_" + name], value, name)
        whole = json.loads(env["SM_TRAINING_ENV"])
        self.assertEqual(env["SM_TRAINING_ENV"], dumps(whole))
        self.assertEqual((whole["hyperparameters"], whole["resource_config"]), (ARGS, configs["resourceconfig"]))

    def test_nothing_inherited_stands_beside_what_is_set(self):
        self.project.write("pipelines/q/pipeline.yaml", "pipeline: q\nsteps:\n  a: {script: a.sh}\n")
        self.project.write("pipelines/q/a.sh", 'tr "\\0" "\\n" < /proc/$$/environ; echo "now $TRAINING_JOB_NAME"\n')
        execution = self.project.execute("q")
        self.assertEqual(self.project.wait(execution)["status"], "SUCCEEDED")
        lines = self.project.read(f"/api/v1/executions/{execution}/logs/a").decode().splitlines()
        names = [line.split("=")[0] for line in lines if "=" in line]
        self.assertEqual(sorted(set(names)), sorted(names))
        self.assertIn("now a", lines)
        self.assertIn("MINE=kept", lines)
        self.assertNotIn("SM_MODEL_DIR=/inherited", lines)


if __name__ == "__main__":
    unittest.main()
