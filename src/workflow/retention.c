/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/retention.h"

#include "base/clock.h"
#include "base/crash_stack.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "workflow/engine.h"
#include "workflow/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Folders that are to be removed; no execution has such a name. */
#define GONE "gone-"
/* A folder without an execution: one that is just being created is younger than this. */
#define UNKNOWN_AGE_S 3600

struct retention {
    struct arena *arena;
    struct str runs, logs; /* the folders */
    pthread_t thread;
    pthread_mutex_t lock; /* both below */
    pthread_cond_t happened;
    bool wanted, closing;
};

static bool is_closing(struct retention *retention)
{
    bool closing;

    pthread_mutex_lock(&retention->lock);
    closing = retention->closing;
    pthread_mutex_unlock(&retention->lock);
    return closing;
}

static void remove_gone(struct retention *retention, struct arena *arena, struct str folder)
{
    struct str *names;
    struct error err;
    size_t count;

    if (folder_list(arena, folder.data, &names, &count, &err) != STATUS_OK)
        return; /* nothing has run yet */
    for (size_t i = 0; i < count && !is_closing(retention); i++) {
        struct str path = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(folder),
                                       STR_ARG(names[i]));

        if (str_starts(names[i], STR(GONE)) && folder_remove(path.data, &err) != STATUS_OK)
            log_warn("workflow: old files stay: %s", err.message);
    }
}

static void *retention_main(void *context)
{
    struct retention *retention = context;
    struct arena *arena = arena_new();

    crash_stack_ready();
    while (!is_closing(retention)) {
        remove_gone(retention, arena, retention->runs);
        remove_gone(retention, arena, retention->logs);
        arena_reset(arena);
        pthread_mutex_lock(&retention->lock);
        while (!retention->wanted && !retention->closing)
            pthread_cond_wait(&retention->happened, &retention->lock);
        retention->wanted = false;
        pthread_mutex_unlock(&retention->lock);
    }
    arena_free(arena);
    return NULL;
}

/* Signals are the affair of the main thread. */
static void start_thread(struct retention *retention)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&retention->thread, NULL, retention_main, retention) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct retention *retention_open(struct str project)
{
    struct arena *arena = arena_new();
    struct retention *retention = ARENA_NEW(arena, struct retention);

    retention->arena = arena;
    retention->runs = arena_printf(arena, STR_FMT "/.onggi/runs", STR_ARG(project));
    retention->logs = arena_printf(arena, STR_FMT "/.onggi/logs", STR_ARG(project));
    pthread_mutex_init(&retention->lock, NULL);
    pthread_cond_init(&retention->happened, NULL);
    start_thread(retention);
    return retention;
}

void retention_close(struct retention **pointer)
{
    struct retention *retention = *pointer;

    *pointer = NULL;
    if (retention == NULL)
        return;
    pthread_mutex_lock(&retention->lock);
    retention->closing = true;
    pthread_cond_signal(&retention->happened);
    pthread_mutex_unlock(&retention->lock);
    pthread_join(retention->thread, NULL);
    pthread_cond_destroy(&retention->happened);
    pthread_mutex_destroy(&retention->lock);
    arena_free(retention->arena);
}

static bool is_live(const struct workflow *workflow, struct str id)
{
    const struct live *live = workflow->live;

    while (live != NULL && !str_equal(live->execution->id, id))
        live = live->next;
    return live != NULL;
}

static bool is_older_than(const char *path, int64_t seconds)
{
    struct stat about;

    return stat(path, &about) == 0 &&
           (int64_t)about.st_mtime < clock_now_us() / US_PER_SECOND - seconds;
}

/* Whether an execution's folder may go: it has ended, and `keep` of its pipeline ended later. */
static bool is_old(struct workflow *workflow, struct str id, const char *path, unsigned keep)
{
    enum store_age age;
    struct error err;

    if (id.len != ID_LEN || is_live(workflow, id))
        return false;
    if (store_age_get(workflow->db, id, keep, &age, &err) != STATUS_OK) {
        log_warn("workflow: old files stay: %s", err.message);
        return false;
    }
    return age == AGE_OLD || (age == AGE_UNKNOWN && is_older_than(path, UNKNOWN_AGE_S));
}

static bool set_aside(struct workflow *workflow, struct arena *arena, struct str folder,
                      struct str id, unsigned keep)
{
    struct str path = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(folder), STR_ARG(id));
    struct str gone = arena_printf(arena, STR_FMT "/" GONE STR_FMT, STR_ARG(folder),
                                   STR_ARG(id));

    if (!is_old(workflow, id, path.data, keep))
        return false;
    if (rename(path.data, gone.data) == 0)
        return true;
    log_warn("workflow: old files stay: rename '%s': errno %d", path.data, errno);
    return false;
}

static bool look_into(struct workflow *workflow, struct arena *arena, struct str folder,
                      unsigned keep)
{
    struct str *names;
    struct error err;
    size_t count;
    bool found = false;

    if (folder_list(arena, folder.data, &names, &count, &err) != STATUS_OK)
        return false;
    for (size_t i = 0; i < count; i++)
        found = set_aside(workflow, arena, folder, names[i], keep) || found;
    return found;
}

void retention_look(struct retention *retention, struct workflow *workflow)
{
    struct arena *arena = arena_new();
    bool runs = look_into(workflow, arena, retention->runs, workflow->keep_runs);
    bool logs = look_into(workflow, arena, retention->logs, workflow->keep_logs);

    arena_free(arena);
    if (!runs && !logs)
        return;
    pthread_mutex_lock(&retention->lock);
    retention->wanted = true;
    pthread_cond_signal(&retention->happened);
    pthread_mutex_unlock(&retention->lock);
}

enum status retention_check(const struct workflow *workflow, struct str execution,
                            struct error *err)
{
    struct arena *arena = arena_new();
    struct str folder = run_folder(arena, workflow->project, execution);
    enum status status = STATUS_OK;

    if (!file_exists(folder.data))
        status = error_set(err, STATUS_CONFLICT,
                           "the files of execution " STR_FMT " are gone: those of a pipeline's "
                           "last %u are kept (pipelines.keep_runs in onggi.yaml); run the "
                           "pipeline again",
                           STR_ARG(execution), workflow->keep_runs);
    arena_free(arena);
    return status;
}
