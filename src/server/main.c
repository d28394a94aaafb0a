/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program, four ways in: a command, a server under its supervisor, jobs,
 * which the other two start for work that may take all memory or crash, and
 * keepers, which see to it that nothing of a pipeline's script stays behind.
 */
#include "cli/cli.h"
#include "server/jobs.h"
#include "server/local.h"
#include "server/serve.h"
#include "workflow/runners/keeper.h"

#include <signal.h>
#include <string.h>

int main(int argc, char **argv)
{
    const struct command *tables[32] = { serve_commands };
    const struct cli_program program = { tables, local_open, local_close, local_has_users };
    size_t count = 1;

    /* Who started us may have ignored it, and an ignored one is inherited: then no child could be waited for. */
    signal(SIGCHLD, SIG_DFL);
    if (keeper_is_wanted(argv))
        return keeper_main();
    if (argc > 2 && strcmp(argv[1], "job") == 0)
        return jobs_main(argc, argv);
    for (size_t i = 0; cli_tables[i] != NULL; i++)
        tables[count++] = cli_tables[i];
    serve_remember_argv(argv);
    return cli_main(argc, argv, &program);
}
