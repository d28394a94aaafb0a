/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The examples that come with the program: beside the binary in examples/, or
 * where it was built, in the tree above it. ONGGI_EXAMPLES names another place.
 */
#include "base/arena.h"
#include "base/status.h"

/*
 * Copies an example into a folder that exists. What is there stays as it is, said in a note; with `refresh`
 * files of the same name are replaced, all but an onggi.yaml that has keys. Data files are linked where the
 * file system can, else copied. NOT_FOUND lists what there is.
 */
MUST_USE enum status example_copy(struct arena *arena, struct str name, const char *folder,
                                  bool refresh, struct error *err);

/*
 * The Python that has the example's packages, where one is known: ONGGI_PYTHON, or the one that was made for
 * the example beside the program. Absolute, or a name for PATH; empty if none is, or if the project's
 * onggi.yaml has keys: then the user has seen to it.
 */
struct str example_python(struct arena *arena, struct str name, const char *folder);
/* Writes it into the project's onggi.yaml, relative to the project where that can be. */
MUST_USE enum status example_keep_python(struct arena *arena, const char *folder,
                                         struct str python, struct error *err);
