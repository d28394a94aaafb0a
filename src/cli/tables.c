/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/commands.h"

const struct command *const cli_tables[] = {
    project_commands,  feature_commands, pipeline_commands, registry_commands,
    predict_commands, user_commands,    NULL,
};
