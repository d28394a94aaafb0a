/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/step_view.h"

#include "base/clock.h"

#define MESSAGE_MAX 2000

void json_add_time(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                   int64_t time_us)
{
    char text[TIME_TEXT_MAX];
    size_t len = time_format_us(floor_to_int64(time_us, 1000), text);

    json_add_str(doc, object, key, (struct str){ text, len });
}

void json_add_seconds(yyjson_mut_doc *doc, yyjson_mut_val *object, int64_t from_us,
                      int64_t to_us)
{
    yyjson_mut_obj_add_real(doc, object, "seconds",
                            (double)((to_us - from_us) / 1000) / 1000.0);
}

static yyjson_val *details_of(struct arena *scratch, const struct workflow_event *event)
{
    yyjson_obj_iter iter;
    struct error err;
    yyjson_val *outer;

    if (event->details.len == 0 ||
        json_parse(scratch, event->details, &outer, &err) != STATUS_OK)
        return NULL;
    iter = yyjson_obj_iter_with(outer);
    return yyjson_obj_iter_get_val(yyjson_obj_iter_next(&iter));
}

static struct str text_of(yyjson_val *details, const char *key)
{
    return json_str(yyjson_obj_get(details, key));
}

/* Cut between characters. */
static struct str message_of(struct arena *arena, yyjson_val *details)
{
    struct str error = text_of(details, "error"), cause = text_of(details, "cause");
    struct str whole = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(error),
                                    error.len > 0 && cause.len > 0 ? ": " : "", STR_ARG(cause));

    if (whole.len <= MESSAGE_MAX)
        return whole;
    whole.len = MESSAGE_MAX;
    while (whole.len > 0 && ((unsigned char)whole.data[whole.len] & 0xC0) == 0x80)
        whole.len--;
    return whole;
}

static int64_t rows_of(struct arena *scratch, yyjson_val *details)
{
    struct error err;
    yyjson_val *output, *rows;

    if (json_parse(scratch, text_of(details, "output"), &output, &err) != STATUS_OK)
        return -1;
    rows = yyjson_obj_get(output, "rows");
    return yyjson_is_int(rows) ? yyjson_get_sint(rows) : -1;
}

static struct step_view *enter(struct step_views *views, const struct workflow_event *event,
                               yyjson_val *details)
{
    struct step_view *view = &ARENA_PUSH(views->arena, views->items, views->count,
                                         views->capacity);
    struct str name = event->state.len > 0 ? event->state : text_of(details, "name");

    *view = (struct step_view){ .name = arena_str(views->arena, name),
                                .status = "RUNNING",
                                .attempt = 1,
                                .start_us = event->time_us,
                                .rows = -1,
                                .message = STR_EMPTY };
    return view;
}

static struct step_view *end(struct step_view *view, const struct workflow_event *event,
                             const char *status, struct str message)
{
    view->status = status;
    view->stop_us = event->time_us;
    view->message = message;
    return view;
}

static struct step_view *schedule(struct step_view *view)
{
    if (strcmp(view->status, "RUNNING") == 0)
        return NULL;
    view->status = "RUNNING";
    view->stop_us = 0;
    view->message = STR_EMPTY;
    view->attempt++;
    return view;
}

/* The step that the event changed, or NULL. */
static struct step_view *add(struct step_views *views, struct arena *scratch,
                             const struct workflow_event *event)
{
    struct step_view *last = views->count == 0 ? NULL : &views->items[views->count - 1];
    yyjson_val *details = details_of(scratch, event);
    struct str type = event->type;

    /* What Fail and Succeed states say belongs to the step that led there. */
    if (str_equal(type, STR("FailStateEntered")) || str_starts(type, STR("SucceedState")))
        return NULL;
    if (str_ends(type, STR("StateEntered")))
        return enter(views, event, details);
    if (last == NULL)
        return NULL;
    if (str_equal(type, STR("TaskScheduled")))
        return schedule(last);
    if (str_equal(type, STR("TaskSucceeded")))
        last->rows = rows_of(scratch, details);
    if (str_equal(type, STR("TaskFailed")) || str_equal(type, STR("TaskTimedOut")))
        return end(last, event, event->will_retry ? "RETRYING" : "FAILED",
                   message_of(views->arena, details));
    if (str_ends(type, STR("StateExited")))
        return end(last, event, "SUCCEEDED", last->message);
    if (str_equal(type, STR("ExecutionFailed")) || str_equal(type, STR("ExecutionAborted")) ||
        str_equal(type, STR("ExecutionTimedOut")))
        /* A step that failed has said so itself. */
        return strcmp(last->status, "FAILED") == 0
                   ? NULL
                   : end(last, event, "FAILED", message_of(views->arena, details));
    return NULL;
}

struct view_reader {
    struct step_views *views;
    size_t count;
};

static void on_event(void *context, struct arena *scratch, const struct workflow_event *event)
{
    struct view_reader *reader = context;
    struct step_views *views = reader->views;
    const struct step_view *view = add(views, scratch, event);

    views->last_event = event->id;
    reader->count++;
    if (view != NULL && views->changed != NULL)
        views->changed(views->changed_context, view);
}

enum status step_views_read(struct step_views *views, struct workflow *workflow, struct str id,
                            size_t limit, size_t *count, struct error *err)
{
    struct view_reader reader = { views, 0 };

    TRY(workflow_event_visit(workflow, id, views->last_event, limit, on_event, &reader, err));
    *count = reader.count;
    return STATUS_OK;
}

void step_views_forget(struct step_views *views)
{
    struct arena *arena = arena_new();
    struct step_view last;

    if (views->count > 0) {
        last = views->items[views->count - 1];
        last.name = arena_str(arena, last.name);
        last.message = arena_str(arena, last.message);
        views->items = NULL;
        views->count = views->capacity = 0;
        ARENA_PUSH(arena, views->items, views->count, views->capacity) = last;
    }
    arena_free(views->arena);
    views->arena = arena;
}

yyjson_mut_val *step_view_json(yyjson_mut_doc *doc, const struct step_view *view,
                               const char *key, int64_t now_us)
{
    yyjson_mut_val *json = yyjson_mut_obj(doc);

    json_add_str(doc, json, key, view->name);
    yyjson_mut_obj_add_str(doc, json, "status", view->status);
    yyjson_mut_obj_add_uint(doc, json, "attempt", view->attempt);
    json_add_time(doc, json, "started", view->start_us);
    json_add_seconds(doc, json, view->start_us, view->stop_us == 0 ? now_us : view->stop_us);
    if (view->rows >= 0)
        yyjson_mut_obj_add_int(doc, json, "rows", view->rows);
    if (view->message.len > 0)
        json_add_str(doc, json, "message", view->message);
    return json;
}
