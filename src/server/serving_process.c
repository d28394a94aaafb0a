/* SPDX-License-Identifier: Apache-2.0 */
#include "server/serving_process.h"

#include "base/file.h"
#include "base/log.h"
#include "cli/exit_code.h"
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
    struct config config; /* as it is served: the process's, and what was reloaded since */
    struct arena *config_arena; /* of what was reloaded; NULL: nothing */
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

/* Those that came while they were blocked are handled now. */
static enum status catch_signals(struct error *err)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigset_t none;

    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_errno(err, errno, "make a pipe");
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = on_nothing;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return STATUS_OK;
}

/* ---- starting */

const char *serving_process_path(const struct project *project, struct arena *arena,
                                 struct str path)
{
    if (path.len == 0)
        return NULL;
    if (path.data[0] == '/')
        return arena_cstr(arena, path);
    return arena_printf(arena, "%s/" STR_FMT, project->folder, STR_ARG(path)).data;
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

/* An endpoint without its model has a fallback, so traffic may come; who asks about models is told. */
static bool is_ready_with_models(void *context, struct error *why)
{
    const struct serving_state *state = context;

    if (state->server == NULL)
        return is_ready(context, why);
    return server_is_ready(state->server, why) && wiring_serves_all(state->wiring, why);
}

struct server_tls serving_process_tls(const struct project *project, struct arena *arena,
                                      const struct config_server *wanted)
{
    return (struct server_tls){
        .certificate = serving_process_path(project, arena, wanted->certificate),
        .key = serving_process_path(project, arena, wanted->key),
        .certificate_place = arena_cstr(arena, wanted->certificate_place),
        .key_place = arena_cstr(arena, wanted->key_place),
    };
}

const char *serving_process_log(const struct project *project, struct arena *arena,
                                const struct config_server *wanted)
{
    return str_equal(wanted->access_log, STR("-"))
               ? "-"
               : serving_process_path(project, arena, wanted->access_log);
}

/* Whoever is let in without a token must come by a name of this machine: a page elsewhere may not. */
static bool check_host(const struct serving_state *state)
{
    return host_is_loopback(state->config.server.host) &&
           !users_exist(wiring_users(state->wiring));
}

static void on_users_changed(void *context)
{
    struct serving_state *state = context;

    server_check_host(state->server, check_host(state));
}

/* Strings in the arena. */
static struct server_config server_config_of(struct serving_state *state, struct arena *arena,
                                             const struct config_server *wanted)
{
    struct server_config config = server_config_default();

    config.listeners = state->process->listeners;
    config.listener_count = state->process->listener_count;
    config.workers = wanted->workers;
    config.limits.connections_max = wanted->connections;
    config.deadlines.head_ms = (unsigned)wanted->head_ms;
    config.deadlines.body_ms = (unsigned)wanted->body_ms;
    config.deadlines.idle_ms = (unsigned)wanted->idle_ms;
    config.deadlines.handler_ms = (unsigned)wanted->handler_ms;
    config.deadlines.drain_ms = (unsigned)wanted->drain_ms;
    config.tls = serving_process_tls(state->process->project, arena, wanted);
    config.access_log = serving_process_log(state->process->project, arena, wanted);
    config.spool_folder = project_path(arena, state->process->project, "tmp");
    config.hosts = wanted->hosts;
    config.host_count = wanted->host_count;
    config.check_host = check_host(state);
    config.readiness = is_ready;
    config.readiness_context = state;
    return config;
}

static enum status start(struct serving_state *state, struct error *err)
{
    const struct server_config threads = { .workers = state->process->config->server.workers,
                                           .listener_count = state->process->listener_count };
    const struct wiring_config wiring = { .project = state->process->project,
                                          .config = state->process->config,
                                          .url = state->process->url,
                                          .threads = server_threads(&threads) };
    struct server_config config;

    TRY(catch_signals(err));
    TRY(folder_create(project_path(state->arena, state->process->project, "tmp"), err));
    TRY(wiring_open(&wiring, &state->wiring, err));
    wiring_load_models(state->wiring);
    wiring_set_readiness(state->wiring, is_ready_with_models, state);
    config = server_config_of(state, state->arena, &state->config.server);
    config.tls = state->process->tls;
    TRY(server_start(wiring_router(state->wiring), &config, &state->server, err));
    users_on_change(wiring_users(state->wiring), on_users_changed, state);
    return STATUS_OK;
}

/* ---- running */

static void say_reloaded(struct str waiting)
{
    if (waiting.len == 0)
        log_info("server: configuration read again");
    else
        log_info("server: configuration read again; " STR_FMT
                 ": takes effect at the next start",
                 STR_ARG(waiting));
}

/* All of it or nothing: a file that is half right changes nothing. */
static enum status reload_held(struct serving_state *state, struct arena *arena,
                               struct str *waiting, struct error *err)
{
    struct config fresh, next = state->config;
    struct server_config config;

    TRY(config_load(arena, state->process->project->folder, &fresh, err));
    config_take(arena, &next, &fresh, waiting);
    config = server_config_of(state, arena, &next.server);
    TRY(server_reload(state->server, &config, err));
    state->config = next;
    config_apply_log(&next.server);
    users_take(wiring_users(state->wiring), &next);
    return STATUS_OK;
}

static void reload(struct serving_state *state)
{
    struct arena *arena = arena_new();
    struct users *users = wiring_users(state->wiring);
    struct str waiting;
    struct error err;
    enum status status;

    users_hold(users);
    status = reload_held(state, arena, &waiting, &err);
    users_release(users);
    if (status == STATUS_OK)
        say_reloaded(waiting);
    else
        log_error("server: reload: %s; nothing is changed, everything goes on as before",
                  err.message);
    if (status != STATUS_OK) {
        arena_free(arena);
        return;
    }
    arena_free(state->config_arena);
    state->config_arena = arena;
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

/* The loops have copies of their own, which end with the draining. */
static void close_listeners(const struct serving_process *process)
{
    for (size_t i = 0; i < process->listener_count; i++)
        close(process->listeners[i]);
}

static void stop(struct serving_state *state)
{
    close_listeners(state->process);
    if (state->server != NULL && !server_drain(state->server))
        log_warn("server: some requests did not end in time and were cut off");
    if (state->server != NULL)
        server_stop(&state->server);
    wiring_close(&state->wiring);
    arena_free(state->config_arena);
    arena_free(state->arena);
}

int serving_process_run(const struct serving_process *process, int ready)
{
    struct serving_state state = { .process = process,
                                   .arena = arena_new(),
                                   .config = *process->config };
    struct error err = { 0 };
    enum status status;

    config_apply_log(&process->config->server);
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
