/* SPDX-License-Identifier: Apache-2.0 */
#include "server/serving_process.h"

#include "base/file.h"
#include "base/log.h"
#include "cli/exit_code.h"
#include "net/server.h"
#include "server/users.h"
#include "server/wiring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define RESUME_EVERY_MS 200

struct serving_state {
    const struct serving_process *process;
    struct arena *arena;
    struct wiring *wiring;
    struct server *server;
    bool resumed, resume_failed;
};

/* ---- signals: handlers write to a pipe, so that the children of our children inherit no mask */

static int signal_pipe[2];

static void on_signal(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;

    if (write(signal_pipe[1], &byte, 1) != 1)
        errno = saved; /* full: enough of them wait already */
    errno = saved;
}

/* The terminal sends Ctrl-C to all of us; the supervisor decides what it means. */
static void on_nothing(int number)
{
    (void)number;
}

static enum status catch_signals(struct error *err)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_errno(err, errno, "make a pipe");
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = on_nothing;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return STATUS_OK;
}

/* ---- starting */

static char *below_project(struct serving_state *state, struct str path)
{
    if (path.len == 0)
        return NULL;
    if (path.data[0] == '/')
        return arena_cstr(state->arena, path);
    return (char *)arena_printf(state->arena, "%s/" STR_FMT, state->process->project->folder,
                                STR_ARG(path))
        .data;
}

static bool is_ready(void *context, struct error *why)
{
    const struct serving_state *state = context;

    if (state->server == NULL) {
        error_set(why, STATUS_UNAVAILABLE, "the server is starting");
        return false;
    }
    return true;
}

static struct server_config server_config_of(struct serving_state *state)
{
    const struct config_server *wanted = &state->process->config->server;
    struct server_config config = server_config_default();
    struct users *users = wiring_users(state->wiring);

    config.listeners = state->process->listeners;
    config.listener_count = state->process->listener_count;
    config.workers = wanted->workers;
    config.limits.connections_max = wanted->connections;
    config.deadlines.head_ms = (unsigned)wanted->head_ms;
    config.deadlines.body_ms = (unsigned)wanted->body_ms;
    config.deadlines.idle_ms = (unsigned)wanted->idle_ms;
    config.deadlines.handler_ms = (unsigned)wanted->handler_ms;
    config.deadlines.drain_ms = (unsigned)wanted->drain_ms;
    config.tls.certificate = below_project(state, wanted->certificate);
    config.tls.key = below_project(state, wanted->key);
    config.access_log = str_equal(wanted->access_log, STR("-"))
                            ? "-"
                            : below_project(state, wanted->access_log);
    config.spool_folder = project_path(state->arena, state->process->project, "tmp");
    config.hosts = wanted->hosts;
    config.host_count = wanted->host_count;
    config.check_host = host_is_loopback(wanted->host) && !users_exist(users);
    config.readiness = is_ready;
    config.readiness_context = state;
    return config;
}

/* Loops, and as many workers as net starts when nothing else is said. */
static unsigned answering_threads(const struct serving_process *process)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned workers = process->config->server.workers;

    if (workers == 0)
        workers = cores > 2 ? (unsigned)cores * 2 : 4;
    return (unsigned)process->listener_count + workers;
}

static enum status start(struct serving_state *state, struct error *err)
{
    const struct wiring_config wiring = { .project = state->process->project,
                                          .config = state->process->config,
                                          .url = state->process->url,
                                          .threads = answering_threads(state->process) };
    struct server_config config;

    TRY(catch_signals(err));
    TRY(folder_create(project_path(state->arena, state->process->project, "tmp"), err));
    TRY(wiring_open(&wiring, &state->wiring, err));
    wiring_load_models(state->wiring);
    config = server_config_of(state);
    return server_start(wiring_router(state->wiring), &config, &state->server, err);
}

/* ---- running */

static void reload(struct serving_state *state)
{
    struct error err;

    if (wiring_reload(state->wiring, &err) != STATUS_OK)
        log_error("server: reload: %s; going on as before", err.message);
    else if (server_reload(state->server, &err) != STATUS_OK)
        log_error("server: reload: %s; the old certificate serves on", err.message);
    else
        log_info("server: configuration read again");
}

/*
 * The process that we take over from may still own the engine while it finishes its requests,
 * and a command that runs a pipeline may too.
 */
static void try_resume(struct serving_state *state)
{
    struct error err;
    enum status status = wiring_resume(state->wiring, &err);

    state->resumed = status != STATUS_CONFLICT;
    if (status == STATUS_OK)
        return;
    if (!state->resume_failed || state->resumed)
        log_warn("server: pipelines do not run yet: %s", err.message);
    state->resume_failed = true;
}

static void run_until_stopped(struct serving_state *state)
{
    struct pollfd fd = { .fd = signal_pipe[0], .events = POLLIN };
    unsigned char byte;

    for (;;) {
        if (!state->resumed)
            try_resume(state);
        if (poll(&fd, 1, state->resumed ? -1 : RESUME_EVERY_MS) <= 0)
            continue;
        while (read(signal_pipe[0], &byte, 1) == 1) {
            if (byte == SIGTERM)
                return;
            if (byte == SIGHUP)
                reload(state);
        }
    }
}

static void stop(struct serving_state *state)
{
    if (state->server != NULL && !server_drain(state->server))
        log_warn("server: some requests did not end in time and were cut off");
    if (state->server != NULL)
        server_stop(&state->server);
    wiring_close(&state->wiring);
    arena_free(state->arena);
}

int serving_process_run(const struct serving_process *process, int ready)
{
    struct serving_state state = { .process = process, .arena = arena_new() };
    struct error err = { 0 };
    enum status status;

    log_set_json(process->config->server.log_json);
    status = start(&state, &err);
    if (status != STATUS_OK) {
        fprintf(stderr, "onggi: %s\n", err.message);
        stop(&state);
        return (int)exit_code_of_status(status);
    }
    if (write(ready, "+", 1) != 1)
        log_warn("server: the supervisor is gone");
    close(ready);
    run_until_stopped(&state);
    stop(&state);
    return EXIT_DONE;
}
