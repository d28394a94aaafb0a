/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include "base/buffer.h"

static void note(struct buffer *names, const char *name, bool differs)
{
    if (differs)
        buffer_printf(names, "%s%s", names->len == 0 ? "" : ", ", name);
}

static void note_str(struct buffer *names, const char *name, struct str a, struct str b)
{
    note(names, name, !str_equal(a, b));
}

static void note_differences(struct buffer *names, const struct config *a,
                             const struct config *b)
{
    const struct config_server *x = &a->server, *y = &b->server;

    note_str(names, "online", a->online, b->online);
    note_str(names, "metadata", a->metadata, b->metadata);
    note_str(names, "blobs", a->blobs, b->blobs);
    note_str(names, "python", a->python, b->python);
    note(names, "job", a->job_memory != b->job_memory || a->job_threads != b->job_threads);
    note(names, "pipelines", a->keep_runs != b->keep_runs || a->keep_logs != b->keep_logs);
    note(names, "server.listen",
         x->listen_port != y->listen_port || !str_equal(x->listen_host, y->listen_host));
    note(names, "server.threads", x->threads != y->threads);
    note(names, "server.workers", x->workers != y->workers);
    note(names, "server.tls", (x->certificate.len > 0) != (y->certificate.len > 0));
}

/* The sockets' address says http or https: only other files can be taken. */
static void take_tls(struct arena *arena, struct config_server *running,
                     const struct config_server *fresh)
{
    const struct config_server *from = fresh;

    if (running->certificate.len == 0 || fresh->certificate.len == 0)
        from = running;
    running->certificate = arena_str(arena, from->certificate);
    running->key = arena_str(arena, from->key);
    running->certificate_place = arena_str(arena, from->certificate_place);
    running->key_place = arena_str(arena, from->key_place);
}

static void take_server(struct config_server *running, const struct config_server *fresh)
{
    running->connections = fresh->connections;
    running->head_ms = fresh->head_ms;
    running->body_ms = fresh->body_ms;
    running->idle_ms = fresh->idle_ms;
    running->handler_ms = fresh->handler_ms;
    running->drain_ms = fresh->drain_ms;
    running->access_log = fresh->access_log;
    running->hosts = fresh->hosts;
    running->host_count = fresh->host_count;
    running->log_json = fresh->log_json;
    running->log_level = fresh->log_level;
}

void config_take(struct arena *arena, struct config *running, const struct config *fresh,
                 struct str *waiting)
{
    struct buffer names = { 0 };

    note_differences(&names, running, fresh);
    take_server(&running->server, &fresh->server);
    take_tls(arena, &running->server, &fresh->server);
    running->users = fresh->users;
    running->user_count = fresh->user_count;
    *waiting = arena_str(arena, buffer_str(&names));
    buffer_free(&names);
}

void config_copy_users(struct arena *arena, struct config *to, const struct config *from)
{
    struct config_user *users = ARENA_ARRAY(arena, struct config_user, from->user_count);

    for (size_t i = 0; i < from->user_count; i++) {
        users[i] = from->users[i];
        users[i].name = arena_str(arena, from->users[i].name);
        users[i].token_sha256 = arena_str(arena, from->users[i].token_sha256);
    }
    to->users = users;
    to->user_count = from->user_count;
}

void config_apply_log(const struct config_server *server)
{
    log_set_json(server->log_json);
    log_set_level(server->log_level);
}
