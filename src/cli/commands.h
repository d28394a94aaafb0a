/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The tables of commands, one for each file cmd_….c. */
#include "cli/command.h"

extern const struct command project_commands[];
extern const struct command feature_commands[];
extern const struct command pipeline_commands[];
extern const struct command registry_commands[];
extern const struct command endpoint_commands[];
extern const struct command predict_commands[];
extern const struct command user_commands[];
extern const struct command demo_commands[];
