/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/client.h"
#include "cli/output.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

bool cli_interrupted(void)
{
    return interrupted != 0;
}

static void on_interrupt(int signal_number)
{
    /* The second Ctrl-C does not wait for what the first one asked. */
    if (interrupted)
        _exit(128 + signal_number);
    interrupted = 1;
}

static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_interrupt };

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL); /* without SA_RESTART: a blocked read comes back */
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* `onggi … | head` ends by the failing write */
}

struct str cli_option(const struct cli *cli, const char *name)
{
    return command_line_option(&cli->line, name);
}

bool cli_has(const struct cli *cli, const char *name)
{
    return cli_option(cli, name).len > 0;
}

struct str cli_arg(const struct cli *cli, size_t index)
{
    return index < cli->line.arg_count ? cli->line.args[index] : STR_EMPTY;
}

char *cli_arg_z(const struct cli *cli, size_t index)
{
    return arena_cstr(cli->arena, cli_arg(cli, index));
}

static int print_help(struct cli *cli)
{
    struct str text = command_help(cli->arena, cli->program->tables, &cli->line);

    printf(STR_FMT, STR_ARG(text));
    return EXIT_DONE;
}

static int fail(const struct cli *cli, enum status status, const struct error *err)
{
    fflush(stdout);
    if (interrupted)
        return EXIT_INTERRUPTED;
    if (err->message[0] != '\0')
        fprintf(stderr, "onggi: %s\n", err->message);
    return cli->refused != EXIT_DONE ? (int)cli->refused : (int)exit_code_of_status(status);
}

static enum status find_project(struct cli *cli, struct error *err)
{
    struct str folder = cli_option(cli, "project");
    bool far_away = cli_has(cli, "server") || getenv("ONGGI_SERVER") != NULL;
    enum status status;

    if (cli->line.command->access == ACCESS_NONE)
        return STATUS_OK;
    status = project_find(cli->arena, folder.len > 0 ? arena_cstr(cli->arena, folder) : NULL,
                          &cli->project, err);
    /* A server somewhere else needs no project here. */
    if (status == STATUS_NOT_FOUND && far_away && folder.len == 0)
        return STATUS_OK;
    return status;
}

static enum status run(struct cli *cli, struct error *err)
{
    TRY(find_project(cli, err));
    if (cli->line.command->access > ACCESS_FOLDER)
        TRY(cli_connect(cli, err));
    return cli->line.command->run(cli, err);
}

/* A full disk is told; a reader that has seen enough (`onggi … | head`) knows. */
static int output_failed(void)
{
    if (errno != EPIPE)
        fprintf(stderr, "onggi: the result could not be written to stdout: %s\n",
                strerror(errno));
    return EXIT_FAILED;
}

int cli_main(int argc, char **argv, const struct cli_program *program)
{
    struct cli cli = { .arena = arena_new(), .program = program, .lock = -1 };
    struct error err = { 0 };
    enum status status = STATUS_OK;
    int code = EXIT_DONE;

    setlocale(LC_CTYPE, "C.UTF-8");
    status = command_line_parse(cli.arena, program->tables, argc, argv, &cli.line, &err);
    if (status != STATUS_OK) {
        fprintf(stderr, "onggi: %s\n", err.message);
        code = EXIT_USAGE;
    } else if (cli.line.version) {
        print_line("onggi " ONGGI_VERSION);
    } else if (cli.line.command == NULL || cli.line.help) {
        code = print_help(&cli);
    } else {
        cli.json = cli_has(&cli, "json");
        catch_signals();
        status = run(&cli, &err);
        if (status != STATUS_OK)
            code = fail(&cli, status, &err);
    }
    cli_disconnect(&cli);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
        code = output_failed();
    arena_free(cli.arena);
    return code;
}
