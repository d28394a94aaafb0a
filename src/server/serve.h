/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* `onggi serve`: from the command line to a supervised server. */
#include "cli/command.h"

extern const struct command serve_commands[];
/* The program's own arguments, for running it anew; set by main. */
void serve_remember_argv(char **argv);
