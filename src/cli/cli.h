/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The commands. Each one builds the HTTP request that curl would send. It goes
 * to the server that runs on the project or that --server names; without one
 * the router answers inside this process, so there is one implementation.
 * The commands know the API only: what opens a project is lent by main.
 */
#include "base/json.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/project.h"
#include "net/router.h"

/* What main lends: the parts of a project behind a router. */
struct cli_program {
    const struct command *const *tables; /* ends with NULL */
    /* The project's folder is NULL for ACCESS_DOCTOR where there is none. */
    MUST_USE enum status (*open_local)(const struct project *project,
                                       enum command_access access, struct router **router,
                                       void **local, struct error *err);
    void (*close_local)(void *local);
    /* Whether the project has users: then some requests need a server and a token. */
    bool (*has_users)(void *local);
};

/* One command under way. */
struct cli {
    struct arena *arena;
    const struct cli_program *program;
    const char *called; /* argv[0] */
    struct command_line line;
    bool json; /* --json: machines read stdout */
    struct project
        project;       /* folder NULL: none needed, none here, or a server far away was named */
    struct str server; /* URL; empty: answered in this process */
    const char *certificate; /* of the project's own server behind TLS; NULL: none */
    struct str token;
    struct router *router; /* without a server */
    void *local;
    int lock; /* of the project, -1: none */
    enum exit_code
        exit_code; /* of a failure whose status does not tell it; EXIT_DONE: it does */
};

/* The whole of the program but the supervisor and jobs. Returns the exit code. */
int cli_main(int argc, char **argv, const struct cli_program *program);

/* The commands of this folder; main adds its own beside them. */
extern const struct command *const cli_tables[];

/* Values of the command line. */
struct str cli_option(const struct cli *cli, const char *name);
bool cli_has(const struct cli *cli, const char *name);
struct str cli_arg(const struct cli *cli, size_t index); /* empty if absent */
char *cli_arg_z(const struct cli *cli, size_t index); /* the same for the system's functions */

/* The command line itself makes no sense; for what its table cannot say. Returns INVALID. */
#define cli_usage(cli, err, ...) \
    ((cli)->exit_code = EXIT_USAGE, error_set((err), STATUS_INVALID, __VA_ARGS__))

/* True after Ctrl-C; long loops ask. */
bool cli_interrupted(void);
