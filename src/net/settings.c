/* SPDX-License-Identifier: Apache-2.0 */
#include "net/settings.h"

#include "net/access_log.h"
#include "net/tls.h"

#include "base/log.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

/* Descriptors for files, databases and the like, besides the connections. */
#define OTHER_FILES 512

/*
 * Raises the soft limit of open files as far as it goes. Where that does not suffice there are fewer
 * connections: who is refused with a sentence is better off than who meets a process without descriptors.
 */
static void fit_file_limit(struct settings *settings, size_t wanted)
{
    rlim_t files = (rlim_t)wanted + OTHER_FILES, others;
    struct rlimit limit;

    settings->connections_max = wanted;
    settings->refused_max = OTHER_FILES / 4;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= files)
        return;
    limit.rlim_cur = limit.rlim_max < files ? limit.rlim_max : files;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= files)
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    others = limit.rlim_cur / 2 < OTHER_FILES ? limit.rlim_cur / 2 : OTHER_FILES;
    settings->connections_max = (size_t)(limit.rlim_cur - others);
    settings->refused_max = (size_t)others / 4;
    log_warn("net: only %llu files may be open (ulimit -n), so there will be %zu connections "
             "at most, not %zu",
             (unsigned long long)limit.rlim_cur, settings->connections_max, wanted);
}

struct settings *settings_new(const struct server_config *config)
{
    struct arena *arena = arena_new();
    struct settings *settings = ARENA_NEW(arena, struct settings);

    settings->arena = arena;
    settings->deadlines = config->deadlines;
    fit_file_limit(settings, config->limits.connections_max);
    settings->hosts = ARENA_ARRAY(arena, struct str, config->host_count);
    settings->host_count = config->host_count;
    for (size_t i = 0; i < config->host_count; i++)
        settings->hosts[i] = arena_str(arena, config->hosts[i]);
    if (config->access_log != NULL)
        settings->access_log_path = arena_cstr(arena, str_from(config->access_log));
    return settings;
}

void settings_free(struct settings **settings)
{
    if (*settings == NULL)
        return;
    access_log_close(&(*settings)->access_log);
    arena_free((*settings)->arena);
    *settings = NULL;
}

enum status settings_open_log(struct settings *settings, struct error *err)
{
    if (settings->access_log_path == NULL)
        return STATUS_OK;
    return access_log_open(settings->access_log_path, &settings->access_log, err);
}

/* ---- reload */

static bool same_path(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The log of the same file is handed on, so that no line is lost or out of order. */
static enum status take_log(struct settings *fresh, const struct settings *old,
                            struct error *err)
{
    if (!same_path(fresh->access_log_path, old->access_log_path))
        return settings_open_log(fresh, err);
    fresh->access_log = old->access_log;
    if (fresh->access_log != NULL)
        access_log_reopen(fresh->access_log);
    return STATUS_OK;
}

struct settings_post {
    struct post post;
    struct loop *loop;
    const struct settings *fresh;
    atomic_size_t *left;
};

static void on_fresh(struct post *post)
{
    struct settings_post *change = container_of(post, struct settings_post, post);

    change->loop->settings = change->fresh;
    atomic_fetch_sub(change->left, 1);
}

/* Afterwards no loop looks at the old ones any more. */
static void hand_out(struct server *server, const struct settings *fresh)
{
    const struct timespec pause = { .tv_nsec = 200000 };
    struct settings_post *posts = calloc(server->loop_count, sizeof(*posts));
    atomic_size_t left = server->loop_count;

    if (posts == NULL)
        abort();
    for (size_t i = 0; i < server->loop_count; i++) {
        posts[i] =
            (struct settings_post){ { NULL, on_fresh }, &server->loops[i], fresh, &left };
        loop_post(&server->loops[i], &posts[i].post);
    }
    while (atomic_load(&left) > 0)
        nanosleep(&pause, NULL);
    free(posts);
}

static void swap_tls(struct server *server, struct tls_context *fresh)
{
    struct tls_context *old;

    if (fresh == NULL)
        return;
    pthread_mutex_lock(&server->tls_lock);
    old = server->tls;
    server->tls = fresh;
    pthread_mutex_unlock(&server->tls_lock);
    tls_context_free(&old);
}

static void swap_settings(struct server *server, struct settings *fresh)
{
    struct settings *old = server->settings;

    hand_out(server, fresh);
    server->settings = fresh;
    if (old->access_log == fresh->access_log)
        old->access_log = NULL;
    settings_free(&old);
}

enum status server_reload(struct server *server, const struct server_config *config,
                          struct error *err)
{
    struct tls_context *tls = NULL;
    struct settings *fresh;

    if (server->tls != NULL && config->tls.certificate != NULL)
        TRY(tls_context_new(&config->tls, &tls, err));
    fresh = settings_new(config);
    if (take_log(fresh, server->settings, err) != STATUS_OK) {
        settings_free(&fresh);
        tls_context_free(&tls);
        return err->status;
    }
    swap_tls(server, tls);
    swap_settings(server, fresh);
    return STATUS_OK;
}

void server_check_host(struct server *server, bool check)
{
    atomic_store(&server->check_host, check);
}
