/* SPDX-License-Identifier: Apache-2.0 */
/* Tries of tasks: a thread each, and what task.h offers to those who run there. */
#include "workflow/engine.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/crash_stack.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct try *try_of(const struct task *task)
{
    return (struct try *)(uintptr_t)task;
}

struct str run_folder(struct arena *arena, struct str project, struct str execution)
{
    return arena_printf(arena, STR_FMT "/.onggi/runs/" STR_FMT, STR_ARG(project),
                        STR_ARG(execution));
}

/* A state may be called anything; its files get names that no path can be made of. */
static struct str file_name(struct arena *arena, struct str state)
{
    struct buffer name = { 0 };
    struct str copy;

    for (size_t i = 0; i < state.len; i++) {
        unsigned char c = (unsigned char)state.data[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9') || c == '_' || c == '-' || (c == '.' && i > 0);

        if (plain)
            buffer_append_byte(&name, (char)c);
        else
            buffer_printf(&name, "%%%02X", c);
    }
    copy = arena_str(arena, buffer_str(&name));
    buffer_free(&name);
    return copy;
}

struct str log_path(struct arena *arena, struct str project, struct str execution,
                    struct str state)
{
    struct str name = file_name(arena, state);

    return arena_printf(arena, STR_FMT "/.onggi/logs/" STR_FMT "/" STR_FMT ".log",
                        STR_ARG(project), STR_ARG(execution), STR_ARG(name));
}

bool task_is_cancelled(const struct task *task)
{
    return atomic_load(&try_of(task)->cancelled) != CANCEL_NO;
}

enum status task_fail(struct task *task, struct str error, struct str cause, struct error *err)
{
    try_of(task)->fault = (struct fault){ arena_str(task->arena, error),
                                          arena_str(task->arena, cause) };
    return error_set(err, STATUS_INTERNAL, STR_FMT ": " STR_FMT, STR_ARG(error),
                     STR_ARG(cause));
}

enum status task_started(struct task *task, struct str private_part, struct error *err)
{
    struct message message = { .kind = MESSAGE_STARTED,
                               .id = task->execution,
                               .text = private_part,
                               .try = try_of(task) };

    return engine_send(try_of(task)->workflow, &message, err);
}

void task_submit(struct task *task)
{
    try_of(task)->submitted = true;
}

void task_heartbeat(struct task *task)
{
    atomic_store(&try_of(task)->heartbeat_us, (int64_t)(clock_monotonic_ns() / 1000));
}

static void append_to(const char *path, struct str text)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    /* A log that cannot be written must not fail the work it tells of. */
    if (file < 0)
        return;
    if (write(file, text.data, text.len) < 0)
        errno = 0;
    close(file);
}

void task_log(struct task *task, const char *format, ...)
{
    struct arena *arena = arena_new();
    char line[2048];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    if (len > (int)sizeof(line) - 2)
        len = (int)sizeof(line) - 2;
    line[len] = '\n';
    append_to(log_path(arena, task->project, task->execution, task->state).data,
              (struct str){ line, (size_t)len + 1 });
    arena_free(arena);
    task_heartbeat(task);
}

void task_progress(struct task *task, struct str json)
{
    struct try *try = try_of(task);
    struct workflow *workflow = try->workflow;

    pthread_mutex_lock(&workflow->lock);
    arena_reset(try->progress_arena);
    try->progress = arena_str(try->progress_arena, json);
    workflow->generation++;
    pthread_cond_broadcast(&workflow->moved);
    pthread_mutex_unlock(&workflow->lock);
    task_heartbeat(task);
}

struct str task_relative(const struct task *task, struct str path)
{
    struct str project = task->project;

    if (str_starts(path, project) && path.len > project.len && path.data[project.len] == '/')
        return str_slice(path, project.len + 1, path.len);
    return path;
}

bool workflow_progress_get(struct workflow *workflow, struct arena *arena, struct str id,
                           struct str *state, struct str *json)
{
    bool found = false;

    pthread_mutex_lock(&workflow->lock);
    for (struct try *try = workflow->tries; try != NULL && !found; try = try->next) {
        found = try->progress.len > 0 && str_equal(try->task.execution, id);
        if (found) {
            *state = arena_str(arena, try->task.state);
            *json = arena_str(arena, try->progress);
        }
    }
    pthread_mutex_unlock(&workflow->lock);
    return found;
}

static const char *status_error_name(enum status status)
{
    static const char *const names[] = {
        [STATUS_OK] = "Onggi.Internal",
        [STATUS_INVALID] = "Onggi.Invalid",
        [STATUS_NOT_FOUND] = "Onggi.NotFound",
        [STATUS_CONFLICT] = "Onggi.Conflict",
        [STATUS_LIMIT] = "Onggi.Limit",
        [STATUS_TIMEOUT] = "Onggi.Timeout",
        [STATUS_UNAVAILABLE] = "Onggi.Unavailable",
        [STATUS_INTERNAL] = "Onggi.Internal",
    };

    return names[status];
}

static enum status make_folders(struct try *try, struct error *err)
{
    struct task *task = &try->task;
    struct str log = log_path(task->arena, task->project, task->execution, task->state);
    char *slash;
    char *log_folder = arena_cstr(task->arena, log);

    slash = strrchr(log_folder, '/');
    *slash = '\0';
    TRY(folder_create(log_folder, err));
    /* A crash may have left it behind before the task had started. */
    TRY(folder_remove(task->folder.data, err));
    return folder_create(task->folder.data, err);
}

static void forget(struct try *try)
{
    struct workflow *workflow = try->workflow;
    struct try **link = &workflow->tries;

    pthread_mutex_lock(&workflow->lock);
    while (*link != try)
        link = &(*link)->next;
    *link = try->next;
    workflow->try_count--;
    pthread_cond_signal(&workflow->happened);
    pthread_mutex_unlock(&workflow->lock);
    arena_free(try->progress_arena);
    arena_free(try->arena);
}

static void *try_main(void *context)
{
    struct try *try = context;
    struct message message = { .kind = MESSAGE_DONE, .id = try->task.execution, .try = try };
    struct error err;

    crash_stack_ready();
    message.text = STR("{}");
    message.result = make_folders(try, &err);
    if (message.result == STATUS_OK)
        message.result = try->type->run(&try->task, try->context, &message.text, &err);
    message.fault = try->fault;
    if (message.result != STATUS_OK && message.fault.error.len == 0)
        message.fault = (struct fault){ str_from(status_error_name(err.status)),
                                        str_from(err.message) };
    /* Refused only while the engine closes: then the next one finds the task interrupted. */
    (void)engine_send(try->workflow, &message, &err);
    forget(try);
    return NULL;
}

static struct task task_of(struct arena *arena, const struct workflow *workflow,
                           const struct execution *execution)
{
    const struct cursor *cursor = &execution->cursor;
    struct str folder = run_folder(arena, workflow->project, execution->id);
    struct task task = {
        .arena = arena,
        .execution = arena_str(arena, execution->id),
        .pipeline = arena_str(arena, execution->pipeline),
        .state = arena_str(arena, cursor->state->name),
        .key = arena_printf(arena, STR_FMT "/%lld", STR_ARG(execution->id),
                            (long long)cursor->entered_id),
        .token = arena_str(arena, cursor->token),
        .retry = cursor->retries,
        .user = arena_str(arena, execution->user),
        .project = arena_str(arena, workflow->project),
        .code = arena_printf(arena, STR_FMT "/code", STR_ARG(folder)),
    };
    struct error err;

    task.folder = arena_printf(arena, STR_FMT "/" STR_FMT "-%lld", STR_ARG(folder),
                               STR_ARG(file_name(arena, task.state)),
                               (long long)cursor->scheduled_id);
    if (json_parse(arena, cursor->parameters, &task.input, &err) != STATUS_OK)
        abort(); /* we wrote it */
    return task;
}

/* Signals are the affair of the main thread. */
static void start_thread(struct try *try)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, &attributes, try_main, try) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

struct try *try_begin(struct workflow *workflow, const struct execution *execution,
                      const struct registered_type *type)
{
    struct arena *arena = arena_new();
    struct try *try = ARENA_NEW(arena, struct try);

    try->arena = arena;
    try->progress_arena = arena_new();
    try->workflow = workflow;
    try->type = type->type;
    try->context = type->context;
    try->task = task_of(arena, workflow, execution);
    task_heartbeat(&try->task);
    pthread_mutex_lock(&workflow->lock);
    try->next = workflow->tries;
    workflow->tries = try;
    workflow->try_count++;
    pthread_mutex_unlock(&workflow->lock);
    start_thread(try);
    return try;
}
