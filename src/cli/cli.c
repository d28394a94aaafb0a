/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "cli/client.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
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

/* Text that a failure quotes may have several lines; they stand in, so that none looks like ours. */
static void print_failure(struct cli *cli, const struct error *err)
{
    struct str rest = str_from(err->message), line, text = STR_EMPTY;

    while (str_split(&rest, '\n', &line)) {
        text = arena_printf(cli->arena, STR_FMT "%s" STR_FMT, STR_ARG(text),
                            text.len > 0 ? "\n  " : "", STR_ARG(line));
    }
    print_note("onggi: " STR_FMT, STR_ARG(text));
}

static int fail(struct cli *cli, enum status status, const struct error *err)
{
    if (interrupted)
        return EXIT_INTERRUPTED;
    if (err->message[0] != '\0')
        print_failure(cli, err);
    return cli->exit_code != EXIT_DONE ? (int)cli->exit_code : (int)exit_code_of_status(status);
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
    /* A server somewhere else needs no project here; a machine is looked after without one too. */
    if (status == STATUS_NOT_FOUND && folder.len == 0 &&
        (far_away || cli->line.command->access == ACCESS_DOCTOR))
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
static int finish_output(int code)
{
    int error_number = output_finish();

    if (error_number == 0)
        return code;
    if (error_number != EPIPE)
        print_note("onggi: the result could not be written to stdout: %s",
                   strerror(error_number));
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

/*
 * What is opened next must not become stdout because that was closed: results would go into it. In its
 * place stands what cannot be written to, so that the end tells.
 */
static void hold_standard_files(void)
{
    static const int modes[] = { O_WRONLY, O_RDONLY, O_WRONLY };

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", modes[fd]) != fd)
            _exit(EXIT_FAILED);
    }
}

static void print_version(const struct cli *cli)
{
    print_line("%s",
               cli->json ? "{\"version\":\"" ONGGI_VERSION "\"}" : "onggi " ONGGI_VERSION);
}

static int dispatch(struct cli *cli)
{
    struct error err = { 0 };
    enum status status;

    cli->json = cli_has(cli, "json");
    if (cli->line.help || (cli->line.command == NULL && !cli->line.version)) {
        print_text(command_help(cli->arena, cli->program->tables, &cli->line));
        return EXIT_DONE;
    }
    if (cli->line.version) {
        print_version(cli);
        return EXIT_DONE;
    }
    catch_signals();
    status = run(cli, &err);
    return status == STATUS_OK ? EXIT_DONE : fail(cli, status, &err);
}

int cli_main(int argc, char **argv, const struct cli_program *program)
{
    struct cli cli = { .arena = arena_new(), .program = program, .lock = -1 };
    struct error err = { 0 };
    int code = EXIT_USAGE;

    hold_standard_files();
    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN); /* `onggi … | head` ends by the failing write */
    cli.called = argc > 0 ? argv[0] : "onggi";
    if (command_line_parse(cli.arena, program->tables, argc, argv, &cli.line, &err) ==
        STATUS_OK)
        code = dispatch(&cli);
    else
        print_failure(&cli, &err);
    cli_disconnect(&cli);
    code = finish_output(code);
    arena_free(cli.arena);
    return code;
}
