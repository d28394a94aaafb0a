/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program, four ways in: a command, a server under its supervisor, jobs,
 * which the other two start for work that may take all memory or crash, and
 * keepers, which see to it that nothing of a pipeline's script stays behind.
 */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/exit_code.h"
#include "server/jobs.h"
#include "server/local.h"
#include "server/serve.h"
#include "workflow/runners/keeper.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before what onggi.yaml or a command would have it. */
static bool take_log_level(void)
{
    const char *wanted = getenv("ONGGI_LOG");
    enum log_level level;

    if (wanted == NULL || wanted[0] == '\0')
        return true;
    if (!log_level_parse(str_from(wanted), &level)) {
        fprintf(stderr, "onggi: ONGGI_LOG is '%s': expected debug, info, warn or error\n",
                wanted);
        return false;
    }
    log_force_level(level);
    return true;
}

int main(int argc, char **argv)
{
    const struct command *tables[32] = { serve_commands };
    const struct cli_program program = { tables, local_open, local_close, local_has_users };
    size_t count = 1;

    /* Who started us may have ignored it, and an ignored one is inherited: then no child could be waited for. */
    signal(SIGCHLD, SIG_DFL);
    if (keeper_is_wanted(argv))
        return keeper_main();
    if (!take_log_level())
        return EXIT_USAGE;
    if (argc > 2 && strcmp(argv[1], "job") == 0)
        return jobs_main(argc, argv);
    for (size_t i = 0; cli_tables[i] != NULL; i++)
        tables[count++] = cli_tables[i];
    serve_remember_argv(argv);
    return cli_main(argc, argv, &program);
}
