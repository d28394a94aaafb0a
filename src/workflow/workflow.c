/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/workflow.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "workflow/engine.h"
#include "workflow/retention.h"
#include "workflow/runners/script.h"
#include "workflow/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define KEEP_RUNS 3
#define KEEP_LOGS 30
#define LOCK_WAIT_MS 5000
#define LOCK_LOOK_MS 10

const char *execution_status_name(enum execution_status status)
{
    static const char *const names[] = { "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT",
                                         "ABORTED" };

    return names[status];
}

/* Scripts run elsewhere, and orphans are known by it: one folder must have one name. */
static struct str real_path(struct arena *arena, struct str folder)
{
    char *real = realpath(arena_cstr(arena, folder), NULL);
    struct str copy = arena_str(arena, real == NULL ? folder : str_from(real));

    free(real);
    return copy;
}

enum status workflow_open(const struct workflow_config *config, struct workflow **out,
                          struct error *err)
{
    struct arena *arena;
    struct workflow *workflow;

    TRY(store_migrate(config->db, err));
    arena = arena_new();
    workflow = ARENA_NEW(arena, struct workflow);
    workflow->arena = arena;
    workflow->db = config->db;
    workflow->project = real_path(arena, config->project);
    workflow->python = arena_str(arena, config->python);
    workflow->memory_limit = config->memory_limit;
    workflow->keep_runs = config->keep_runs == 0 ? KEEP_RUNS : config->keep_runs;
    workflow->keep_logs = config->keep_logs == 0 ? KEEP_LOGS : config->keep_logs;
    workflow->last = &workflow->first;
    workflow->lock_file = -1;
    pthread_mutex_init(&workflow->lock, NULL);
    pthread_cond_init(&workflow->happened, NULL);
    pthread_cond_init(&workflow->answered, NULL);
    pthread_cond_init(&workflow->moved, NULL);
    workflow_add_task_type(workflow, &script_task_type, workflow);
    *out = workflow;
    return STATUS_OK;
}

static void stop_engine(struct workflow *workflow)
{
    bool running;

    pthread_mutex_lock(&workflow->lock);
    running = workflow->running;
    workflow->closing = true;
    pthread_cond_signal(&workflow->happened);
    pthread_cond_broadcast(&workflow->moved);
    pthread_mutex_unlock(&workflow->lock);
    if (running)
        pthread_join(workflow->thread, NULL);
    retention_close(&workflow->retention);
    if (workflow->lock_file >= 0)
        close(workflow->lock_file);
}

void workflow_close(struct workflow **workflow_pointer)
{
    struct workflow *workflow = *workflow_pointer;

    *workflow_pointer = NULL;
    if (workflow == NULL)
        return;
    stop_engine(workflow);
    pthread_cond_destroy(&workflow->happened);
    pthread_cond_destroy(&workflow->answered);
    pthread_cond_destroy(&workflow->moved);
    pthread_mutex_destroy(&workflow->lock);
    arena_free(workflow->arena);
}

void workflow_add_task_type(struct workflow *workflow, const struct task_type *type,
                            void *context)
{
    if (workflow->type_count == TASK_TYPES_MAX)
        abort();
    workflow->types[workflow->type_count++] = (struct registered_type){ type, context };
}

/* 0: it does not tell. */
static pid_t lock_holder(int file)
{
    char pid[32] = { 0 };

    if (pread(file, pid, sizeof(pid) - 1, 0) <= 0)
        return 0;
    return (pid_t)strtol(pid, NULL, 10);
}

static enum status lock_held(int file, struct error *err)
{
    pid_t holder = lock_holder(file);
    char pid[32] = "(unknown)";

    if (holder > 0)
        snprintf(pid, sizeof(pid), "%ld", (long)holder);
    return error_set(
        err, STATUS_CONFLICT,
        "process %s already runs this project's pipelines; ask that one (a server is "
        "found by itself), or end it",
        pid);
}

/*
 * A child that was just being started when its engine was killed holds a copy of the lock until it
 * has noticed: where the holder itself is gone, that is worth waiting for.
 */
static bool lock(int file)
{
    for (int waited_ms = 0; flock(file, LOCK_EX | LOCK_NB) != 0; waited_ms += LOCK_LOOK_MS) {
        pid_t holder = lock_holder(file);

        if (holder <= 0 || kill(holder, 0) == 0 || errno != ESRCH || waited_ms >= LOCK_WAIT_MS)
            return false;
        usleep(LOCK_LOOK_MS * 1000);
    }
    return true;
}

/* The lock dies with the process, however it ends. Children do not inherit it across exec. */
static enum status take_lock(struct workflow *workflow, struct error *err)
{
    struct arena *arena = arena_new();
    struct str path = arena_printf(arena, STR_FMT "/.onggi/workflow.lock",
                                   STR_ARG(workflow->project));
    int file = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    enum status status = STATUS_OK;

    if (file < 0)
        status = error_errno(err, errno, "open '%s'", path.data);
    else if (!lock(file))
        status = lock_held(file, err);
    arena_free(arena);
    if (status == STATUS_OK) {
        workflow->lock_file = file;
        if (ftruncate(file, 0) != 0 || dprintf(file, "%ld", (long)getpid()) < 0)
            log_warn("workflow: the engine's lock does not tell who holds it: errno %d", errno);
    } else if (file >= 0) {
        close(file);
    }
    return status;
}

static enum status start_engine(struct workflow *workflow, struct error *err)
{
    TRY(take_lock(workflow, err));
    /* What an earlier engine's scripts left running would write into files that are read now. */
    script_end_orphans(workflow->project);
    workflow->retention = retention_open(workflow->project);
    workflow->has_ended = true; /* perhaps in the moment in which the last engine did */
    if (pthread_create(&workflow->thread, NULL, engine_main, workflow) != 0)
        abort();
    workflow->running = true;
    return STATUS_OK;
}

static void load_all(struct workflow *workflow)
{
    struct arena *arena = arena_new();
    struct str *ids = NULL;
    size_t count = 0;
    struct error err;

    if (store_running(workflow->db, arena, &ids, &count, &err) != STATUS_OK)
        log_error("workflow: %s", err.message);
    for (size_t i = 0; i < count; i++) {
        struct message message = { .kind = MESSAGE_LOAD, .id = ids[i] };

        if (engine_send(workflow, &message, &err) != STATUS_OK)
            log_error("workflow: execution " STR_FMT " cannot go on: %s", STR_ARG(ids[i]),
                      err.message);
        else
            log_info("workflow: execution " STR_FMT " goes on", STR_ARG(ids[i]));
    }
    arena_free(arena);
}

enum status workflow_resume(struct workflow *workflow, struct error *err)
{
    enum status status = STATUS_OK;
    bool started = false;

    pthread_mutex_lock(&workflow->lock);
    if (!workflow->running && !workflow->closing) {
        status = start_engine(workflow, err);
        started = status == STATUS_OK;
    }
    pthread_mutex_unlock(&workflow->lock);
    if (started)
        load_all(workflow);
    return status;
}

void workflow_on_change(struct workflow *workflow, execution_changed callback, void *context)
{
    workflow->on_change = callback;
    workflow->on_change_context = context;
}

enum status workflow_execution_stop(struct workflow *workflow, struct str id, struct str user,
                                    struct str error, struct str cause, struct error *err)
{
    struct message message = {
        .kind = MESSAGE_STOP, .id = id, .user = user, .fault = { error, cause }
    };
    struct arena *arena = arena_new();
    struct execution_info info;
    enum status status = workflow_execution_get(workflow, arena, id, &info, err);

    if (status == STATUS_OK)
        status = workflow_resume(workflow, err);
    if (status == STATUS_OK)
        status = engine_send(workflow, &message, err);
    arena_free(arena);
    return status;
}

enum status workflow_execution_redrive(struct workflow *workflow, struct str id,
                                       struct str user, struct error *err)
{
    struct message message = { .kind = MESSAGE_REDRIVE, .id = id, .user = user };

    TRY(workflow_resume(workflow, err));
    return engine_send(workflow, &message, err);
}

enum status workflow_task_succeed(struct workflow *workflow, struct str token,
                                  struct str output, struct error *err)
{
    struct message message = { .kind = MESSAGE_SUCCEED, .token = token, .text = output };

    return engine_send(workflow, &message, err);
}

enum status workflow_task_fail(struct workflow *workflow, struct str token, struct str error,
                               struct str cause, struct error *err)
{
    struct message message = { .kind = MESSAGE_FAIL,
                               .token = token,
                               .fault = { error, cause } };

    return engine_send(workflow, &message, err);
}

bool workflow_is_running(struct workflow *workflow)
{
    bool running;

    pthread_mutex_lock(&workflow->lock);
    running = workflow->running;
    pthread_mutex_unlock(&workflow->lock);
    return running;
}

uint64_t workflow_generation(struct workflow *workflow)
{
    uint64_t generation;

    pthread_mutex_lock(&workflow->lock);
    generation = workflow->generation;
    pthread_mutex_unlock(&workflow->lock);
    return generation;
}

void workflow_wait(struct workflow *workflow, uint64_t generation, unsigned timeout_ms)
{
    int64_t until_us = clock_now_us() + (int64_t)timeout_ms * 1000;
    struct timespec until = { .tv_sec = until_us / US_PER_SECOND,
                              .tv_nsec = until_us % US_PER_SECOND * 1000 };
    int waited = 0;

    pthread_mutex_lock(&workflow->lock);
    while (workflow->generation == generation && !workflow->closing && waited == 0)
        waited = pthread_cond_timedwait(&workflow->moved, &workflow->lock, &until);
    pthread_mutex_unlock(&workflow->lock);
}
