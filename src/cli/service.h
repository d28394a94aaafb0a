/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * k=v on a command line: which of them are keys, which request fields, and of
 * what type each is, as the definition of the service says.
 */
#include "cli/cli.h"

/*
 * Reads words from `from` on and adds "entities" and "request" to a body. With `columns` each
 * value is an array of one, as `features get` takes them. INVALID, as a usage error, names the
 * nearest known field.
 */
MUST_USE enum status service_fill(struct cli *cli, struct str service, size_t from,
                                  bool columns, yyjson_mut_doc *doc, yyjson_mut_val *body,
                                  struct error *err);
