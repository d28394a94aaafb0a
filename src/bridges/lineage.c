/* SPDX-License-Identifier: Apache-2.0 */
#include "bridges/lineage.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"

#define EVENTS_A_PAGE 500

/* A task that has succeeded: which state, what it was asked, what it gave. */
struct finished_task {
    struct str state;
    struct str resource;    /* "script": what the engine ran, whatever the output looks like */
    yyjson_val *parameters; /* NULL if it had none */
    yyjson_val *output;
};

typedef enum status (*on_finished_task)(void *context, const struct finished_task *task,
                                        struct error *err);

/* The last state entered and the last parameters scheduled are those of the task that succeeds next. */
struct history_reader {
    struct arena *arena;
    struct str state;
    yyjson_val *parameters;
    on_finished_task sink;
    void *context;
};

/* Event details carry JSON as text inside JSON. */
static yyjson_val *inner_json(struct arena *arena, const yyjson_val *details, const char *event,
                              const char *field)
{
    yyjson_val *object = json_find(details, str_from(event));
    struct str text = json_str(object == NULL ? NULL : json_find(object, str_from(field)));
    yyjson_val *value;
    struct error err;

    if (text.len == 0 || json_parse(arena, text, &value, &err) != STATUS_OK)
        return NULL;
    return value;
}

static enum status read_event(struct history_reader *reader, const struct workflow_event *event,
                              struct error *err)
{
    yyjson_val *details = NULL, *entered, *succeeded;
    struct finished_task task;

    if (event->details.len > 0)
        TRY(json_parse(reader->arena, event->details, &details, err));
    if (str_equal(event->type, STR("TaskStateEntered"))) {
        entered = json_find(details, STR("stateEnteredEventDetails"));
        reader->state = json_str(json_find(entered, STR("name")));
    } else if (str_equal(event->type, STR("TaskScheduled"))) {
        reader->parameters = inner_json(reader->arena, details, "taskScheduledEventDetails",
                                        "parameters");
    } else if (str_equal(event->type, STR("TaskSucceeded"))) {
        succeeded = json_find(details, STR("taskSucceededEventDetails"));
        task = (struct finished_task){
            reader->state, json_str(json_find(succeeded, STR("resource"))), reader->parameters,
            inner_json(reader->arena, details, "taskSucceededEventDetails", "output")
        };
        if (yyjson_is_obj(task.output))
            return reader->sink(reader->context, &task, err);
    }
    return STATUS_OK;
}

static enum status read_history(struct workflow *workflow, struct str execution,
                                struct history_reader *reader, struct error *err)
{
    int64_t after = 0;
    size_t count;

    do {
        struct workflow_event *events;

        TRY(workflow_event_list(workflow, reader->arena, execution, after, EVENTS_A_PAGE,
                                &events, &count, err));
        for (size_t i = 0; i < count; i++)
            TRY(read_event(reader, &events[i], err));
        if (count > 0)
            after = events[count - 1].id;
    } while (count == EVENTS_A_PAGE);
    return STATUS_OK;
}

struct lineage_builder {
    struct arena *arena;
    yyjson_mut_doc *doc;
    yyjson_mut_val *training_sets;
    yyjson_mut_val *scripts;
    yyjson_mut_val *params;
};

static void copy_field(yyjson_mut_doc *doc, yyjson_mut_val *to, const yyjson_val *from,
                       const char *key)
{
    yyjson_val *value = from == NULL ? NULL : json_find(from, str_from(key));

    if (value != NULL)
        yyjson_mut_obj_add_val(doc, to, key, yyjson_val_mut_copy(doc, value));
}

static void add_training_set(struct lineage_builder *builder, const struct finished_task *task)
{
    static const char *const asked[] = { "service", "entities_sql", "entities", "time",
                                         "as_known" };
    static const char *const given[] = { "rows", "columns", "fingerprint" };
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(builder->doc, builder->training_sets);

    json_add_str(builder->doc, item, "step", task->state);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        copy_field(builder->doc, item, task->parameters, asked[i]);
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        copy_field(builder->doc, item, task->output, given[i]);
    /* The registry's door shows the definitions behind it. */
    json_add_str(builder->doc, item, "definition_sha256",
                 json_str(json_find(task->output, STR("definition"))));
}

/* The arguments of a step that has succeeded several times are those of its last time. */
static void put_params(struct lineage_builder *builder, const struct finished_task *task)
{
    yyjson_val *args = json_find(task->output, STR("args")), *key, *value;
    size_t index, max;

    yyjson_obj_foreach(args, index, max, key, value)
    {
        struct str name = arena_printf(builder->arena, STR_FMT "." STR_FMT,
                                       STR_ARG(task->state), STR_ARG(json_str(key)));

        yyjson_mut_obj_put(builder->params,
                           yyjson_mut_strncpy(builder->doc, name.data, name.len),
                           yyjson_val_mut_copy(builder->doc, value));
    }
}

static void add_script(struct lineage_builder *builder, const struct finished_task *task)
{
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(builder->doc, builder->scripts);

    json_add_str(builder->doc, item, "step", task->state);
    copy_field(builder->doc, item, task->output, "script");
    copy_field(builder->doc, item, task->output, "args");
    copy_field(builder->doc, item, task->output, "metrics");
    copy_field(builder->doc, item, task->output, "seconds");
    put_params(builder, task);
}

static enum status add_task(void *context, const struct finished_task *task, struct error *err)
{
    (void)err;
    if (str_equal(task->resource, STR("training_set")))
        add_training_set(context, task);
    else if (str_equal(task->resource, STR("script")))
        add_script(context, task);
    return STATUS_OK;
}

static void add_raw(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key,
                    struct str json)
{
    if (json.len > 0)
        yyjson_mut_obj_add_val(doc, object, key, yyjson_mut_rawncpy(doc, json.data, json.len));
}

enum status lineage_of_execution(struct workflow *workflow, struct arena *arena,
                                 struct str execution, struct lineage *out, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    struct lineage_builder builder = { .arena = arena,
                                       .doc = doc,
                                       .training_sets = yyjson_mut_arr(doc),
                                       .scripts = yyjson_mut_arr(doc),
                                       .params = yyjson_mut_obj(doc) };
    struct history_reader reader = { .arena = arena, .sink = add_task, .context = &builder };
    struct execution_info info;

    TRY(workflow_execution_get(workflow, arena, execution, &info, err));
    TRY(read_history(workflow, execution, &reader, err));
    json_add_str(doc, root, "execution", execution);
    json_add_str(doc, root, "pipeline", info.pipeline);
    json_add_str(doc, root, "started_by", info.user);
    json_add_str(doc, root, "code_sha256", info.code_sha256);
    json_add_str(doc, root, "definition_sha256", sha256_hex(arena, info.definition));
    add_raw(doc, root, "input", info.input);
    yyjson_mut_obj_add_val(doc, root, "training_sets", builder.training_sets);
    yyjson_mut_obj_add_val(doc, root, "scripts", builder.scripts);
    out->json = json_mut_write(arena, root);
    out->params = json_mut_write(arena, builder.params);
    return STATUS_OK;
}

struct outputs_context {
    struct arena *arena;
    struct str execution;
    struct str project;
    struct registry *registry;
};

static enum status log_output(void *context, const struct finished_task *task,
                              struct error *err)
{
    struct outputs_context *outputs = context;
    struct str folder = json_str(json_find(task->output, STR("output")));
    struct str project = arena_str(outputs->arena, outputs->project);
    char *path;

    if (!str_equal(task->resource, STR("script")) || folder.len == 0)
        return STATUS_OK;
    TRY(path_below(outputs->arena, project.data, folder, &path, err));
    if (!file_exists(path))
        return STATUS_OK;
    return run_log_folder(outputs->registry, outputs->execution, task->state, path, false, err);
}

enum status lineage_log_outputs(struct workflow *workflow, struct arena *arena,
                                struct str execution, struct str project,
                                struct registry *registry, struct error *err)
{
    struct outputs_context context = { arena, execution, project, registry };
    struct history_reader reader = { .arena = arena, .sink = log_output, .context = &context };

    return read_history(workflow, execution, &reader, err);
}
