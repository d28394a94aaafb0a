/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo.h"

#include "base/clock.h"
#include "cli/output.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_PORT 8470
#define START_MS 30000
#define LOG_FILE "server.log"

/* Whether the port can be had: a demo must not fail because something else runs. */
static bool is_free(uint16_t port)
{
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    bool free_port;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    free_port = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return free_port;
}

static enum status spawn_server(struct cli *cli, struct demo_server *out, struct error *err)
{
    char *log = project_path(cli->arena, &cli->project, LOG_FILE);
    const char *listen = is_free(DEFAULT_PORT) ? "127.0.0.1:8470" : "127.0.0.1:0";
    char *const argv[] = { (char *)"onggi",
                           (char *)"serve",
                           (char *)"--project",
                           cli->project.folder,
                           (char *)"--listen",
                           (char *)(uintptr_t)listen,
                           NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int reason;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC,
                                     0644);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    /* A group of its own: Ctrl-C reaches the demo alone, which then stops the server in order. */
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    reason = posix_spawn(&out->pid, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return reason == 0 ? STATUS_OK : error_errno(err, reason, "start the server");
}

static enum status await(struct cli *cli, struct demo_server *out, struct error *err)
{
    uint64_t start = clock_monotonic_ns();

    while ((clock_monotonic_ns() - start) / 1000000 < START_MS && !cli_interrupted()) {
        int status;

        if (project_server_find(cli->arena, &cli->project, &out->info))
            return STATUS_OK;
        if (waitpid(out->pid, &status, WNOHANG) == out->pid) {
            out->pid = 0;
            break;
        }
        usleep(5000);
    }
    return error_set(err, STATUS_UNAVAILABLE, "the server did not start; its words are in %s",
                     project_path(cli->arena, &cli->project, LOG_FILE));
}

enum status demo_server_start(struct cli *cli, struct demo_server *out, struct error *err)
{
    enum status status;

    *out = (struct demo_server){ 0 };
    if (project_server_find(cli->arena, &cli->project, &out->info))
        return STATUS_OK;
    TRY(spawn_server(cli, out, err));
    status = await(cli, out, err);
    if (status != STATUS_OK)
        demo_server_stop(out);
    return status;
}

void demo_server_stop(struct demo_server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGTERM);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    server->pid = 0;
}
