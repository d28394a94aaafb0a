/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program, three ways in: a command, a server under its supervisor, and
 * jobs, which the other two start for work that may take all memory or crash.
 */
#include "cli/cli.h"
#include "server/jobs.h"
#include "server/local.h"
#include "server/serve.h"

#include <stdlib.h>
#include <string.h>

static enum status open_local(const struct project *project, enum command_access access,
                              struct router **router, void **local, struct error *err)
{
    return local_open(project, access == ACCESS_ENGINE, router, local, err);
}

int main(int argc, char **argv)
{
    const struct command *tables[32] = { serve_commands };
    const struct cli_program program = { tables, open_local, local_close, local_has_users };
    size_t count = 1;

    if (argc > 2 && strcmp(argv[1], "job") == 0)
        return jobs_main(argc - 2, argv + 2);
    for (size_t i = 0; cli_tables[i] != NULL; i++)
        tables[count++] = cli_tables[i];
    serve_remember_argv(argv);
    return cli_main(argc, argv, &program);
}
