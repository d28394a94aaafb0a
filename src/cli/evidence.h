/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What runs and model versions are judged by: parameters and metrics, shown and compared. */
#include "cli/cli.h"

/* The first few, as "auc 0.76, brier 0.14": a list must stay a list. */
struct str evidence_metrics_text(struct cli *cli, yyjson_val *metrics);
/* A title and a line for each member; nothing for an empty object. */
void evidence_print_members(const char *title, struct cli *cli, yyjson_val *object);
/* Where the answers of two routes differ, as tables or JSON. */
MUST_USE enum status evidence_compare(struct cli *cli, struct str first, struct str second,
                                      struct error *err);
