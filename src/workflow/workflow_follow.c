/* SPDX-License-Identifier: Apache-2.0 */
/* Executions and logs while they go on, as server-sent events. */
#include "workflow/workflow_http.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "workflow/engine.h"
#include "workflow/step_view.h"

#include <fcntl.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 500
#define LINE_MAX_BYTES ((size_t)8192)
#define LOOK_EVERY_MS 200
#define LOOKS_PER_ALIVE 5
#define LOG_CHUNK ((size_t)65536)

struct log_reader {
    struct str path;
    struct str step;
    off_t at;
    struct buffer rest; /* the line that is not complete yet */
};

struct follower {
    struct request *req;
    struct response *res;
    struct workflow *workflow;
    struct str id;
    struct arena *turn; /* of one look: a stream may last for days */
    struct step_views views;
    struct step_view *news; /* as they were told by the events of one look, in its arena */
    size_t news_count, news_capacity;
    uint64_t progress; /* hash of what was last told */
    bool with_logs;
    struct log_reader log;
};

/* Logs are a stranger's bytes; JSON must be UTF-8. */
static struct str clean_line(struct arena *arena, struct str line)
{
    if (line.len > LINE_MAX_BYTES)
        line.len = LINE_MAX_BYTES;
    return arena_str_utf8(arena, line);
}

static enum status send_line(struct response *res, struct str step, struct str line,
                             struct error *err)
{
    struct arena *arena = arena_new();
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *json = yyjson_mut_obj(doc);
    enum status status;

    if (step.len > 0)
        json_add_str(doc, json, "step", step);
    json_add_str(doc, json, "line", clean_line(arena, line));
    status = response_event(res, "log", json_mut_write(arena, json), err);
    arena_free(arena);
    return status;
}

static enum status send_lines(struct response *res, struct log_reader *log, bool name_step,
                              struct error *err)
{
    struct str text = buffer_str(&log->rest);
    size_t used = 0;
    enum status status = STATUS_OK;

    while (status == STATUS_OK && used < text.len) {
        struct str rest = str_slice(text, used, text.len);
        size_t end = str_index(rest, '\n');

        if (end == rest.len && rest.len < LINE_MAX_BYTES)
            break;
        status = send_line(res, name_step ? log->step : STR_EMPTY, str_slice(rest, 0, end),
                           err);
        used += end + (end < rest.len);
    }
    buffer_consume(&log->rest, used);
    return status;
}

/* What has been written since. *moved tells whether there was anything. */
static enum status send_log(struct response *res, struct log_reader *log, bool name_step,
                            bool *moved, struct error *err)
{
    int file = log->path.len == 0 ? -1 : open(log->path.data, O_RDONLY | O_CLOEXEC);
    enum status status = STATUS_OK;
    ssize_t got = 0;

    *moved = false;
    while (file >= 0 && status == STATUS_OK &&
           (got = pread(file, buffer_reserve(&log->rest, LOG_CHUNK), LOG_CHUNK, log->at)) > 0) {
        log->rest.len += (size_t)got;
        log->at += got;
        *moved = true;
        status = send_lines(res, log, name_step, err);
    }
    if (file >= 0)
        close(file);
    return status;
}

static enum status send_last_line(struct response *res, struct log_reader *log, bool name_step,
                                  struct error *err)
{
    enum status status = STATUS_OK;

    if (log->rest.len > 0)
        status = send_line(res, name_step ? log->step : STR_EMPTY, buffer_str(&log->rest), err);
    buffer_clear(&log->rest);
    return status;
}

static enum status send_step(struct follower *follower, const struct step_view *view,
                             struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(follower->turn);
    yyjson_mut_val *json = step_view_json(doc, view, "step", clock_now_us());

    return response_event(follower->res, "step", json_mut_write(follower->turn, json), err);
}

/* The log of the step before is told to its end before the next step is named. */
static enum status change_log(struct follower *follower, struct str step, struct error *err)
{
    bool moved;

    if (!follower->with_logs || str_equal(follower->log.step, step))
        return STATUS_OK;
    TRY(send_log(follower->res, &follower->log, true, &moved, err));
    TRY(send_last_line(follower->res, &follower->log, true, err));
    follower->log.step = arena_str(follower->req->arena, step);
    follower->log.path = log_path(follower->req->arena, follower->workflow->project,
                                  follower->id, step);
    follower->log.at = 0;
    return STATUS_OK;
}

static void keep_news(void *context, const struct step_view *view)
{
    struct follower *follower = context;

    ARENA_PUSH(follower->turn, follower->news, follower->news_count,
               follower->news_capacity) = *view;
}

/* Sent only when the database is let go: a listener may be slow. */
static enum status send_new_events(struct follower *follower, bool *more, struct error *err)
{
    size_t count;

    follower->news = NULL;
    follower->news_count = follower->news_capacity = 0;
    TRY(step_views_read(&follower->views, follower->workflow, follower->id, EVENTS_AT_ONCE,
                        &count, err));
    for (size_t i = 0; i < follower->news_count; i++) {
        TRY(change_log(follower, follower->news[i].name, err));
        TRY(send_step(follower, &follower->news[i], err));
    }
    if (count > 0)
        step_views_forget(&follower->views);
    *more = count == EVENTS_AT_ONCE;
    return STATUS_OK;
}

/* A task tells {"done", "total", …}; followers of the whole execution hear of which step. */
static enum status send_progress(struct follower *follower, struct error *err)
{
    struct arena *arena = follower->turn;
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *json;
    yyjson_val *told;
    struct str step, text;

    if (!workflow_progress_get(follower->workflow, arena, follower->id, &step, &text) ||
        hash64(text.data, text.len, 0) == follower->progress)
        return STATUS_OK;
    follower->progress = hash64(text.data, text.len, 0);
    if (json_parse(arena, text, &told, err) != STATUS_OK || !yyjson_is_obj(told))
        return STATUS_OK; /* not worth ending the stream for */
    json = yyjson_val_mut_copy(doc, told);
    json_add_str(doc, json, "step", step);
    return response_event(follower->res, "progress", json_mut_write(arena, json), err);
}

static enum status send_result(struct follower *follower, const struct execution_info *info,
                               struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(follower->turn);
    bool moved;

    if (follower->with_logs) {
        TRY(send_log(follower->res, &follower->log, true, &moved, err));
        TRY(send_last_line(follower->res, &follower->log, true, err));
    }
    return response_event(follower->res, "result",
                          json_mut_write(follower->turn, execution_json(doc, info)), err);
}

/* Now and then, so that a listener who has left, or wants to leave, is noticed in a quiet hour too. */
static enum status send_alive(struct response *res, unsigned *looks, struct error *err)
{
    if (++*looks % LOOKS_PER_ALIVE != 0)
        return STATUS_OK;
    return response_event(res, "alive", STR("{}"), err);
}

static enum status check_engine(struct workflow *workflow, struct error *err)
{
    if (workflow_is_running(workflow))
        return STATUS_OK;
    return error_set(err, STATUS_UNAVAILABLE,
                     "the execution waits: no engine runs here; `onggi serve` goes on with it");
}

static enum status follow(struct follower *follower, struct error *err)
{
    unsigned looks = 0;

    for (;;) {
        uint64_t generation = workflow_generation(follower->workflow);
        struct execution_info info;
        bool more, moved = false;

        arena_reset(follower->turn);
        TRY(workflow_execution_get(follower->workflow, follower->turn, follower->id, &info,
                                   err));
        TRY(send_new_events(follower, &more, err));
        TRY(send_progress(follower, err));
        if (follower->with_logs)
            TRY(send_log(follower->res, &follower->log, true, &moved, err));
        if (more)
            continue;
        if (info.status != EXECUTION_RUNNING && follower->views.last_event >= info.last_event)
            return send_result(follower, &info, err);
        TRY(check_engine(follower->workflow, err));
        if (request_is_abandoned(follower->req))
            return STATUS_OK;
        TRY(send_alive(follower->res, &looks, err));
        workflow_wait(follower->workflow, generation, LOOK_EVERY_MS);
    }
}

enum status on_follow_events(struct request *req, struct response *res, struct error *err)
{
    struct follower follower = { .req = req,
                                 .res = res,
                                 .workflow = req->context,
                                 .id = request_path_param(req, "id"),
                                 .turn = arena_new(),
                                 .views = { .arena = arena_new() } };
    enum status status = request_query_bool(req, "logs", &follower.with_logs, err);

    follower.views.changed = keep_news;
    follower.views.changed_context = &follower;
    if (status == STATUS_OK)
        status = follow(&follower, err);
    arena_free(follower.turn);
    arena_free(follower.views.arena);
    buffer_free(&follower.log.rest);
    return status;
}

static bool log_may_grow(struct workflow *workflow, struct str id, struct str step)
{
    struct arena *arena = arena_new();
    struct execution_info info;
    struct error err;
    bool may = workflow_execution_get(workflow, arena, id, &info, &err) == STATUS_OK &&
               info.status == EXECUTION_RUNNING && str_equal(info.state, step) &&
               workflow_is_running(workflow);

    arena_free(arena);
    return may;
}

static enum status follow_log(struct request *req, struct response *res, struct log_reader *log,
                              struct str id, struct error *err)
{
    bool moved = true, growing = true;
    unsigned looks = 0;

    while (growing || moved) {
        uint64_t generation = workflow_generation(req->context);

        /* Asked before reading: what was written until then is read now. */
        growing = log_may_grow(req->context, id, log->step);
        TRY(send_log(res, log, false, &moved, err));
        if (request_is_abandoned(req))
            return STATUS_OK;
        TRY(send_alive(res, &looks, err));
        if (growing && !moved)
            workflow_wait(req->context, generation, LOOK_EVERY_MS);
    }
    TRY(send_last_line(res, log, false, err));
    return response_event(res, "result", STR("{}"), err);
}

enum status on_step_log(struct request *req, struct response *res, struct error *err)
{
    const struct workflow *workflow = req->context;
    struct log_reader log = { .step = request_path_param(req, "step") };
    struct execution_info info;
    bool wants_follow = false;
    enum status status;

    TRY(request_query_bool(req, "follow", &wants_follow, err));
    TRY(workflow_execution_get(req->context, req->arena, request_path_param(req, "id"), &info,
                               err));
    log.path = log_path(req->arena, workflow->project, info.id, log.step);
    if (!file_exists(log.path.data) &&
        !(wants_follow && log_may_grow(req->context, info.id, log.step)))
        return error_set(err, STATUS_NOT_FOUND,
                         "step '" STR_FMT "' has no log in this execution", STR_ARG(log.step));
    if (!wants_follow)
        return response_file(res, 200, "text/plain; charset=utf-8", log.path.data, false, err);
    status = follow_log(req, res, &log, info.id, err);
    buffer_free(&log.rest);
    return status;
}
