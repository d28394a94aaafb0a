/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the deployer share. */
#include "bridges/deployer.h"

/* The current one of each endpoint. What cannot be read is told in the log, and is nothing. */
size_t deployer_deployments(struct deployer *deployer, struct arena *arena,
                            struct deployment **out);
/* The model of a deployment, loaded where it is not; to be given back. */
MUST_USE enum status deployer_borrow_model(struct deployer *deployer, struct arena *arena,
                                           const struct deployment *deployment,
                                           struct model **out, struct error *err);
void deployer_return_model(struct deployer *deployer, struct arena *arena,
                           struct model **model);
