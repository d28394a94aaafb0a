/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The examples that come with the program: beside the binary in examples/, or
 * where it was built, in the tree above it. ONGGI_EXAMPLES names another place.
 */
#include "base/arena.h"
#include "base/status.h"

/*
 * Copies an example into a folder that exists. Files there of the same name are replaced, others
 * stay. Data files are linked where the file system can, else copied. NOT_FOUND lists what there is.
 */
MUST_USE enum status example_copy(struct arena *arena, struct str name, const char *folder,
                                  struct error *err);
