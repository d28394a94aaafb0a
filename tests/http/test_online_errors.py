#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Features of now, asked wrongly: each a status and a sentence."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import onggi  # noqa: E402

DEFINITIONS = """\
entity: shop
key: shop
type: string
---
source: sales
path: data/sales.csv
time: at
---
view: takings
entity: shop
source: sales
features:
  count_1d: {count: "*", window: 1d}
  sum_1d:   {sum: amount, window: 1d}
---
view: price
entity: shop
source: sales
ttl: 2d
columns: [amount, clerk]
---
view: asked
request: {at: timestamp, offered: int64}
features:
  twice: {expr: "offered * 2"}
---
service: now
time: at
features: [takings, price, asked]
"""

SALES = """\
at,shop,amount,clerk
2020-01-01T10:00:00Z,north,5,ann
2020-01-01T11:00:00Z,north,7,
2020-01-01T11:00:00Z,south,9,bob
"""

GET = "/api/v1/features/get"


def question(**changes):
    body = {"service": "now", "entities": {"shop": ["north"]},
            "request": {"at": ["2020-01-01T12:00:00Z"], "offered": [4]}}
    body.update(changes)
    return body


class OnlineErrors(onggi.ProjectCase):
    files = {"onggi.yaml": "", "features/all.yaml": DEFINITIONS, "data/sales.csv": SALES}
    serving = True

    @classmethod
    def prepare(cls, project):
        project.must("apply")

    def refused(self, code, words, body, path=GET):
        return super().refused(code, words, path, body)

    def materialize(self, **body):
        code, answer = self.ask("/api/v1/features/materialize", body)
        self.assertEqual(code, 200, answer)
        return answer

    def values(self):
        code, answer = self.ask(GET, question())
        self.assertEqual(code, 200, answer)
        return answer["rows"][0]

    def test_before_the_first_materialisation(self):
        self.refused(503, ["never materialised", "onggi features materialize"], question())

    def test_what_is_answered(self):
        result = self.materialize()
        self.assertEqual(result["rows"], 3)
        self.assertEqual(result["entities"], 4)
        code, answer = self.ask(GET, question(
            entities={"shop": ["north", "south", "west", None]},
            request={"at": ["2020-01-01T12:00:00Z", "2020-01-05T12:00:00Z",
                            "2020-01-01T12:00:00Z", "2020-01-01T12:00:00Z"],
                     "offered": [4, None, 1, 2]}))
        self.assertEqual(code, 200, answer)
        self.assertEqual(answer["features"],
                         ["count_1d", "sum_1d", "amount", "clerk", "twice"])
        self.assertEqual(answer["rows"], [[2, 12, 7, None, 8], [0, None, None, None, None],
                                          [0, None, None, None, 2], [0, None, None, None, 4]])
        self.assertEqual(answer["statuses"][0],
                         ["PRESENT", "PRESENT", "PRESENT", "NULL_VALUE", "PRESENT"])
        self.assertEqual(answer["statuses"][1], ["PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE",
                                                 "OUTSIDE_MAX_AGE", "NULL_VALUE"])
        self.assertEqual(answer["statuses"][2], ["NOT_FOUND"] * 4 + ["PRESENT"])
        self.assertEqual(answer["statuses"][3], ["NOT_FOUND"] * 4 + ["PRESENT"])
        self.assertEqual(answer["event_times"][0][0], "2020-01-01T11:00:00Z")
        self.assertIsNone(answer["event_times"][2][0])

    def test_a_time_before_the_newest_event(self):
        self.materialize()
        code, answer = self.ask(GET, question(request={"at": ["2020-01-01T10:30:00Z"],
                                                       "offered": [1]}))
        self.assertEqual(code, 200, answer)
        self.assertEqual(answer["statuses"][0][:4], ["TOO_EARLY"] * 4)
        self.assertEqual(answer["rows"][0][:4], [None] * 4)

    def test_names(self):
        self.materialize()
        self.refused(400, ["'nwo'", "did you mean 'now'"], question(service="nwo"))
        self.refused(400, ["entities", "'shpo'", "did you mean 'shop'"],
                     question(entities={"shpo": ["north"]}))
        self.refused(400, ["entities", "'shop' (string) is missing"], question(entities={}))
        self.refused(400, ["request", "'offerd'", "did you mean 'offered'"],
                     question(request={"at": ["2020-01-02"], "offerd": [1]}))
        self.refused(400, ["request", "'offered' (int64) is missing"],
                     question(request={"at": ["2020-01-02"]}))
        self.refused(400, ["service"], {"entities": {}})
        self.refused(400, ["did you mean 'entities'"], question(entitys={}))

    def test_types_and_shapes(self):
        self.materialize()
        self.refused(400, ["entities.shop", "array"], question(entities={"shop": "north"}))
        self.refused(400, ["entities.shop"], question(entities={"shop": [5]}))
        self.refused(400, ["request.offered"],
                     question(request={"at": ["2020-01-02"], "offered": ["NaN"]}))
        self.refused(400, ["request.at"], question(request={"at": ["noon"], "offered": [1]}))
        self.refused(400, ["request.at", "null"], question(request={"at": [None], "offered": [1]}))
        self.refused(400, ["request.offered", "2 values", "has 1"],
                     question(request={"at": ["2020-01-02"], "offered": [1, 2]}))
        self.refused(400, ["entities"], question(entities=[1]))
        self.refused(400, [], b"{")
        self.refused(400, ["asked.twice"],
                     question(request={"at": ["2020-01-02"], "offered": [2 ** 62]}))

    def test_too_much(self):
        self.materialize()
        many = question(entities={"shop": ["north"] * 10001},
                        request={"at": ["2020-01-02"] * 10001, "offered": [1] * 10001})
        self.refused(413, ["10001 rows", "10000"], many)
        most = question(entities={"shop": ["north"] * 10000},
                        request={"at": ["2020-01-01T12:00:00Z"] * 10000, "offered": [4] * 10000})
        code, answer = self.ask(GET, most)
        self.assertEqual(code, 200)
        self.assertEqual(answer["rows"], [[2, 12, 7, None, 8]] * 10000)

    def test_materialising_wrongly(self):
        path = "/api/v1/features/materialize"
        self.refused(400, ["'taking'", "did you mean 'takings'"], {"views": ["taking"]}, path)
        self.refused(400, ["'asked'", "computed"], {"views": ["asked"]}, path)
        self.refused(400, ["twice"], {"views": ["price", "price"]}, path)
        self.refused(400, ["'from'"], {"from": "2020-01-02", "to": "2020-01-01"}, path)
        self.refused(400, ["noon"], {"from": "noon"}, path)
        self.refused(400, ["did you mean 'views'"], {"view": []}, path)

    def test_bounds(self):
        self.materialize(to="2020-01-01T11:00:00Z")
        self.assertEqual(self.values()[:4], [1, 5, 5, "ann"])
        self.materialize(**{"from": "2020-01-01T11:00:00Z"})
        self.assertEqual(self.values()[:4], [1, 7, 7, None])

    def test_a_changed_definition_wants_a_materialisation(self):
        self.materialize()
        text = DEFINITIONS.replace("columns: [amount, clerk]", "columns: [clerk, amount]")
        (self.path / "features" / "all.yaml").write_text(text)
        self.ask("/api/v1/apply", {})
        self.refused(503, ["'price'", "changed", "materialize --view price"], question())
        self.materialize(views=["price"])
        self.assertEqual(self.values()[2:4], [None, 7])


if __name__ == "__main__":
    unittest.main()
