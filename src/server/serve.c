/* SPDX-License-Identifier: Apache-2.0 */
#include "server/serve.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/place.h"
#include "net/server.h"
#include "server/config.h"
#include "server/port_owner.h"
#include "server/serving_process.h"
#include "server/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOCK_WAIT_MS 3600000

static char **program_argv;
static uint64_t program_start_ns;

void serve_remember_argv(char **argv)
{
    program_argv = argv;
    program_start_ns = clock_monotonic_ns();
}

struct serve {
    struct cli *cli;
    struct config config;
    /* Of what was read since the start, and of the users among it; NULL: nothing. */
    struct arena *fresh, *fresh_users;
    struct supervisor supervisor;
    struct serving_process process;
};

static enum status read_config(struct serve *serve, struct error *err)
{
    struct config_server *server = &serve->config.server;
    struct str listen = cli_option(serve->cli, "listen");

    TRY(config_load(serve->cli->arena, serve->cli->project.folder, &serve->config, err));
    if (listen.len > 0 && config_listen_parse(serve->cli->arena, listen, &server->host,
                                              &server->port, err) != STATUS_OK) {
        serve->cli->exit_code = EXIT_USAGE;
        return error_wrap(err, "--listen");
    }
    return STATUS_OK;
}

static enum status check_exposure(const struct serve *serve, struct error *err)
{
    const struct config_server *server = &serve->config.server;

    if (host_is_loopback(server->host) || serve->config.user_count > 0)
        return STATUS_OK;
    return error_set(err, STATUS_INVALID,
                     "'" STR_FMT
                     "' can be reached from other machines, and there are no users: "
                     "anybody could decide anything. Add one with 'onggi users add NAME --role "
                     "admin', or listen on 127.0.0.1",
                     STR_ARG(server->host));
}

/* Certificate and key, and what stands in them. */
static enum status read_tls(struct serve *serve, struct arena *arena,
                            const struct config_server *server, struct server_tls *out,
                            struct error *err)
{
    struct server_tls tls = serving_process_tls(&serve->cli->project, arena, server);

    if (tls.certificate != NULL)
        TRY(server_tls_read(arena, &tls, err));
    *out = tls;
    return STATUS_OK;
}

/* Whether a server could start with it. */
static enum status check_config(struct serve *serve, struct error *err)
{
    struct server_tls tls;

    TRY(check_exposure(serve, err));
    TRY(read_tls(serve, serve->cli->arena, &serve->config.server, &tls, err));
    print_note("%s is fine", CONFIG_FILE);
    return STATUS_OK;
}

/* ---- what has changed since */

static enum status check_log(struct serve *serve, struct arena *arena,
                             const struct config_server *server, struct error *err)
{
    const char *path = serving_process_log(&serve->cli->project, arena, server);

    return path == NULL ? STATUS_OK : server_access_log_check(path, err);
}

static void put_server_info(struct serve *serve);

/* The same checks as in the child: what it refuses on SIGHUP is not what its successor starts with. */
static enum status take_settings(struct serve *serve, struct arena *arena,
                                 const struct config *fresh, struct error *err)
{
    struct config next = serve->config;
    struct server_tls tls;
    struct str waiting;

    config_take(arena, &next, fresh, &waiting);
    TRY(read_tls(serve, arena, &next.server, &tls, err));
    TRY(check_log(serve, arena, &next.server, err));
    serve->config = next;
    config_apply_log(&next.server);
    serve->process.tls = tls;
    serve->supervisor.drain_ms = (unsigned)next.server.drain_ms;
    return STATUS_OK;
}

static void take_users(struct serve *serve, const struct config *fresh)
{
    struct arena *arena = arena_new();

    config_copy_users(arena, &serve->config, fresh);
    arena_free(serve->fresh_users);
    serve->fresh_users = arena;
}

/* A file that says nothing but requests is no reason to answer none. */
static void do_without_log(struct serve *serve)
{
    struct arena *arena = arena_new();
    struct error err;

    if (check_log(serve, arena, &serve->config.server, &err) != STATUS_OK) {
        log_error("server: %s; serving without it", err.message);
        serve->config.server.access_log = STR_EMPTY;
    }
    arena_free(arena);
}

/* A child that starts anew must not bring back a user who was removed; on SIGHUP it is all or nothing. */
static enum status reread(struct serve *serve, struct arena *arena, bool restart,
                          struct error *err)
{
    struct config fresh;
    enum status status;

    TRY(config_load(arena, serve->cli->project.folder, &fresh, err));
    status = take_settings(serve, arena, &fresh, err);
    if (status == STATUS_OK || restart)
        take_users(serve, &fresh);
    return status;
}

static void on_reread(void *context, bool restart)
{
    struct serve *serve = context;
    struct arena *arena = arena_new();
    struct error err;

    if (reread(serve, arena, restart, &err) == STATUS_OK) {
        arena_free(serve->fresh);
        serve->fresh = arena;
        if (!restart)
            put_server_info(serve);
        return;
    }
    arena_free(arena);
    if (!restart)
        return; /* the child says it */
    log_error("server: %s; what was read before counts", err.message);
    do_without_log(serve);
}

/* ---- sockets */

static size_t loop_count(const struct config_server *server)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = server->threads > 0 ? server->threads : cores > 0 ? (size_t)cores : 1;

    return count > LISTENERS_MAX ? LISTENERS_MAX : count;
}

static enum status listen_on(struct serve *serve, struct error *err)
{
    const struct config_server *server = &serve->config.server;
    struct takeover *sockets = &serve->supervisor.sockets;
    bool is_v6 = str_index(server->host, ':') < server->host.len;
    struct str address = arena_printf(serve->cli->arena,
                                      is_v6 ? "[" STR_FMT "]:%u" : STR_FMT ":%u",
                                      STR_ARG(server->host), server->port);
    enum status status;

    sockets->listener_count = loop_count(server);
    status = server_listen(address.data, sockets->listeners, sockets->listener_count,
                           &sockets->port, err);
    if (status == STATUS_CONFLICT)
        return port_in_use(serve->cli->arena, address, server->port, err);
    return status;
}

/* Who may come in is decided by where the sockets are, not by where they would be next time. */
static enum status keep_their_address(struct serve *serve, struct error *err)
{
    struct config_server *server = &serve->config.server;
    struct str host;

    TRY(server_socket_host(serve->cli->arena, serve->supervisor.sockets.listeners[0], &host,
                           err));
    if (!str_equal(host, server->host))
        log_warn("server: the sockets stay at " STR_FMT
                 "; server.listen: takes effect at the next start",
                 STR_ARG(host));
    server->host = host;
    server->port = (uint16_t)serve->supervisor.sockets.port;
    return STATUS_OK;
}

static enum status take_or_make_sockets(struct serve *serve, struct error *err)
{
    struct takeover *sockets = &serve->supervisor.sockets;

    *sockets = takeover_read();
    if (sockets->is_one)
        return keep_their_address(serve, err);
    TRY(check_exposure(serve, err));
    TRY(project_lock(&serve->cli->project, LOCK_EXCLUSIVE, "onggi serve", LOCK_WAIT_MS,
                     &sockets->lock, err));
    return listen_on(serve, err);
}

static struct str server_url(struct serve *serve)
{
    const struct config_server *server = &serve->config.server;
    bool is_v6 = str_index(server->host, ':') < server->host.len;
    struct str host = server->host;

    if (str_equal(host, STR("0.0.0.0")))
        host = STR("127.0.0.1");
    if (str_equal(host, STR("::")))
        host = STR("::1");
    return arena_printf(serve->cli->arena,
                        is_v6 ? "%s://[" STR_FMT "]:%u" : "%s://" STR_FMT ":%u",
                        server->certificate.len > 0 ? "https" : "http", STR_ARG(host),
                        serve->supervisor.sockets.port);
}

/* ---- the supervisor's callbacks */

static int on_serve(void *context, int ready)
{
    struct serve *serve = context;

    return serving_process_run(&serve->process, ready);
}

static void print_banner(struct serve *serve)
{
    struct arena *arena = serve->cli->arena;
    const char *url = arena_cstr(arena, serve->process.url);
    struct str onggi = place_command(serve->cli, place_absolute(arena, STR(".")));
    double ms = (double)(clock_monotonic_ns() - program_start_ns) / 1e6;

    print_note("onggi " ONGGI_VERSION "  ready after %.0f ms", ms);
    print_note("  project   %s", serve->cli->project.folder);
    print_note("  address   %s", url);
    if (serve->config.user_count == 0)
        print_note("  users     none: whoever is on this machine may do everything");
    else
        print_note("  users     %zu, by token", serve->config.user_count);
    print_note("  try       curl %s/healthz", url);
    print_note("            " STR_FMT " status", STR_ARG(onggi));
    print_note("            " STR_FMT " features list", STR_ARG(onggi));
}

static void put_server_info(struct serve *serve)
{
    const char *certificate = serve->process.tls.certificate;
    const struct server_info info = { .pid = getpid(),
                                      .url = serve->process.url,
                                      .version = STR(ONGGI_VERSION),
                                      .certificate = certificate == NULL
                                                         ? STR_EMPTY
                                                         : str_from(certificate) };
    struct error err;

    if (project_server_put(&serve->cli->project, &info, &err) != STATUS_OK)
        log_warn("server: commands will not find it: %s", err.message);
}

/* Another program may have another version, and its configuration another certificate. */
static void on_ready(void *context, bool first)
{
    struct serve *serve = context;

    put_server_info(serve);
    if (first)
        print_banner(serve);
}

static void close_sockets(struct takeover *sockets)
{
    for (size_t i = 0; i < sockets->listener_count; i++)
        close(sockets->listeners[i]);
    sockets->listener_count = 0;
    close(sockets->lock);
}

/* After a takeover there is no way back from here: the child fails in our place, and the old one serves on. */
static enum status first_tls(struct serve *serve, struct server_tls *out, struct error *err)
{
    const struct config_server *server = &serve->config.server;
    struct arena *arena = serve->cli->arena;
    enum status status = read_tls(serve, arena, server, out, err);

    if (status == STATUS_OK || !serve->supervisor.sockets.is_one)
        return status;
    *out = serving_process_tls(&serve->cli->project, arena, server);
    return STATUS_OK;
}

static enum status run_serve(struct cli *cli, struct error *err)
{
    struct serve serve = { .cli = cli };
    char *logs = project_path(cli->arena, &cli->project, "logs");
    struct server_tls tls;
    int code;

    TRY(read_config(&serve, err));
    if (cli_has(cli, "check"))
        return check_config(&serve, err);
    config_apply_log(&serve.config.server);
    TRY(folder_create(logs, err));
    TRY(take_or_make_sockets(&serve, err));
    TRY(first_tls(&serve, &tls, err));
    serve.supervisor.argv = program_argv;
    serve.supervisor.logs = logs;
    serve.supervisor.drain_ms = (unsigned)serve.config.server.drain_ms;
    serve.supervisor.serve = on_serve;
    serve.supervisor.reread = on_reread;
    serve.supervisor.on_ready = on_ready;
    serve.supervisor.context = &serve;
    serve.process =
        (struct serving_process){ .project = &cli->project,
                                  .config = &serve.config,
                                  .listeners = serve.supervisor.sockets.listeners,
                                  .listener_count = serve.supervisor.sockets.listener_count };
    serve.process.url = server_url(&serve);
    serve.process.tls = tls;
    code = supervisor_run(&serve.supervisor);
    project_server_remove(&cli->project);
    close_sockets(&serve.supervisor.sockets);
    arena_free(serve.fresh);
    arena_free(serve.fresh_users);
    cli->exit_code = (enum exit_code)code;
    err->message[0] = '\0'; /* the child has said it */
    return code == EXIT_DONE ? STATUS_OK : STATUS_INTERNAL;
}

static const struct command_option serve_options[] = {
    { "listen", "ADDRESS:PORT", "instead of the address in onggi.yaml; port 0: any free one",
      false },
    { "check", NULL, "only say whether onggi.yaml and the certificate are right", false },
    { 0 },
};

const struct command serve_commands[] = {
    { "serve", "",
      "answer over HTTP until Ctrl-C\n\n"
      "SIGTERM finishes what runs, SIGHUP reads onggi.yaml again, SIGUSR2 lets a new "
      "version of the\nprogram take over without dropping a connection.",
      "onggi serve\nonggi serve --listen 127.0.0.1:9000", serve_options, 0, 0, ACCESS_FOLDER,
      false, run_serve },
    COMMANDS_END,
};
