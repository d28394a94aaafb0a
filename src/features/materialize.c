/* SPDX-License-Identifier: Apache-2.0 */
#include "features/materialize.h"

#include "base/clock.h"
#include "base/log.h"
#include "features/feature_store_plan.h"

struct chosen {
    const struct view **views;
    size_t count;
};

static enum status choose_named(const struct definitions *definitions,
                                const struct materialize_request *request, struct chosen *out,
                                struct error *err)
{
    for (size_t i = 0; i < request->view_count; i++) {
        const struct view *view;

        if (definitions_view_get(definitions, request->views[i], &view, err) != STATUS_OK)
            return err->status =
                       STATUS_INVALID; /* the path exists; what the body names does not */
        if (view->kind == VIEW_REQUEST)
            return error_set(err, STATUS_INVALID,
                             "view '" STR_FMT
                             "' is computed for each request; there is nothing "
                             "to materialise",
                             STR_ARG(view->name));
        for (size_t k = 0; k < out->count; k++)
            if (out->views[k] == view)
                return error_set(err, STATUS_INVALID, "view '" STR_FMT "' is named twice",
                                 STR_ARG(view->name));
        out->views[out->count++] = view;
    }
    return STATUS_OK;
}

static enum status choose_views(struct arena *arena, const struct definitions *definitions,
                                const struct materialize_request *request, struct chosen *out,
                                struct error *err)
{
    size_t count;
    const struct view *all = definitions_views(definitions, &count);

    *out = (struct chosen){ 0 };
    if (request->from_us >= request->to_us)
        return error_set(err, STATUS_INVALID, "'from' must be earlier than 'to'");
    if (request->view_count > 0) {
        out->views = arena_array(arena, request->view_count, sizeof(*out->views));
        return choose_named(definitions, request, out, err);
    }
    out->views = arena_array(arena, count, sizeof(*out->views));
    for (size_t i = 0; i < count; i++)
        if (all[i].kind != VIEW_REQUEST)
            out->views[out->count++] = &all[i];
    if (out->count == 0)
        return error_set(
            err, STATUS_INVALID,
            "no applied definition has a view to materialise; `onggi apply` records "
            "what features/ defines");
    return STATUS_OK;
}

static enum status take_view(struct arena *arena, const yyjson_val *json,
                             struct materialize_view_result *out, struct error *err)
{
    int64_t rows = 0, entities = 0;

    TRY(json_need_str(json, "view", &out->view, err));
    TRY(json_want_int64(json, "rows", &rows, err));
    TRY(json_want_int64(json, "entities", &entities, err));
    out->view = arena_str(arena, out->view);
    out->rows = (uint64_t)rows;
    out->entities = (uint64_t)entities;
    out->seconds = yyjson_get_num(json_find(json, STR("seconds")));
    return STATUS_OK;
}

/* What the job says, published. */
static enum status take_result(struct feature_store *store, struct arena *arena,
                               struct str text, struct str generation,
                               struct materialize_result *out, struct error *err)
{
    yyjson_val *root, *views = NULL, *item;
    struct online_publication *publications;
    int64_t rows = 0;
    size_t i, max;

    TRY(json_parse(arena, text, &root, err));
    TRY(json_want_array(root, "views", &views, err));
    TRY(json_want_int64(root, "rows", &rows, err));
    out->rows = (uint64_t)rows;
    out->view_count = yyjson_arr_size(views);
    out->views = ARENA_ARRAY(arena, struct materialize_view_result, out->view_count);
    publications = ARENA_ARRAY(arena, struct online_publication, out->view_count);
    yyjson_arr_foreach(views, i, max, item)
    {
        TRY(take_view(arena, item, &out->views[i], err));
        publications[i] = (struct online_publication){ out->views[i].view, generation };
        out->entities += out->views[i].entities;
    }
    return online_store_publish(store->online, publications, out->view_count, err);
}

/* A job that was killed could not clean up; its files may be as large as those that are served. */
static void discard(struct feature_store *store, struct str generation)
{
    struct error err;

    if (online_store_discard(store->online, generation, &err) != STATUS_OK)
        log_warn("features: %s; the next materialisation tries again", err.message);
}

static enum status run_job(struct feature_store *store, struct arena *arena,
                           const struct definitions *definitions,
                           const struct materialize_request *request,
                           const struct chosen *chosen, struct materialize_result *out,
                           struct error *err)
{
    const struct offline_range range = {
        request->from_us,
        request->to_us == INT64_MAX ? INT64_MAX : request->to_us - 1,
    };
    struct job_spec job = {
        .name = materialize_job.name,
        .limits = store->limits,
        .on_progress = request->on_progress,
        .is_cancelled = request->is_cancelled,
        .context = request->context,
    };
    struct str generation, text;
    enum status status;

    TRY(online_store_reserve(store->online, arena, &generation, err));
    job.spec = materialize_spec_json(arena, definitions, store->online_location, generation,
                                     range, chosen->views, chosen->count);
    status = job_run(arena, &job, &text, err);
    if (status == STATUS_OK)
        status = take_result(store, arena, text, generation, out, err);
    if (status != STATUS_OK)
        discard(store, generation);
    return status;
}

/* An apply that ran meanwhile could not know of what was still to be published. */
static void forget_removed(struct feature_store *store, const struct definitions *before)
{
    const struct definitions *now = definition_store_current(store->definitions);

    if (now != before)
        feature_store_forget_views(store, now);
    definitions_unref(&now);
}

enum status feature_store_materialize(struct feature_store *store, struct arena *arena,
                                      const struct materialize_request *request,
                                      struct materialize_result *out, struct error *err)
{
    const struct definitions *definitions = definition_store_current(store->definitions);
    uint64_t start_ns = clock_monotonic_ns();
    struct materialize_result result = { 0 };
    struct chosen chosen;
    enum status status = choose_views(arena, definitions, request, &chosen, err);

    if (status == STATUS_OK)
        status = run_job(store, arena, definitions, request, &chosen, &result, err);
    if (status == STATUS_OK)
        forget_removed(store, definitions);
    definitions_unref(&definitions);
    TRY(status);
    result.seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    *out = result;
    return STATUS_OK;
}
