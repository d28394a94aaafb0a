/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/commands.h"

/* As help lists them. */
const struct command *const cli_tables[] = {
    demo_commands,     project_commands,  feature_commands,
    pipeline_commands, registry_commands, endpoint_commands,
    predict_commands,  user_commands,     NULL,
};
