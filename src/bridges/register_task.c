/* SPDX-License-Identifier: Apache-2.0 */
/* onggi:register: what a script left becomes a version of a model, with all that it came from. */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "bridges/lineage.h"
#include "bridges/pipeline_tasks_internal.h"
#include "serving/model_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNATURE_MAX ((size_t)1 << 20)

struct registration {
    struct str model;
    char *folder;        /* absolute */
    yyjson_val *metrics; /* an object or NULL */
    yyjson_val *params;  /* likewise */
};

static enum status read_registration(struct task *task, struct registration *out,
                                     struct error *err)
{
    static const struct str known[] = { STR_INIT("model"), STR_INIT("from"),
                                        STR_INIT("metrics"), STR_INIT("params") };
    struct str from;

    TRY(json_only_keys(task->input, known, ARRAY_LEN(known), err));
    TRY(json_need_str(task->input, "model", &out->model, err));
    TRY(json_need_str(task->input, "from", &from, err));
    out->metrics = out->params = NULL;
    TRY(json_want_object(task->input, "metrics", &out->metrics, err));
    TRY(json_want_object(task->input, "params", &out->params, err));
    return path_below(task->arena, arena_cstr(task->arena, task->project), from, &out->folder,
                      err);
}

/* model.onnx, or the only .onnx file there is. */
static enum status find_model(struct task *task, const char *folder, const char **out,
                              struct error *err)
{
    struct str *names, found = STR_EMPTY;
    size_t count, models = 0;

    TRY(folder_list(task->arena, folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!str_ends(names[i], STR(".onnx")))
            continue;
        models++;
        if (found.len == 0 || str_equal(names[i], STR("model.onnx")))
            found = names[i];
    }
    if (models == 0)
        return error_set(err, STATUS_NOT_FOUND,
                         "'%s' holds no .onnx file; save the model to $SM_MODEL_DIR/model.onnx",
                         folder);
    if (models > 1 && !str_equal(found, STR("model.onnx")))
        return error_set(err, STATUS_INVALID,
                         "'%s' holds %zu .onnx files; name the one that counts model.onnx",
                         folder, models);
    *out = arena_printf(task->arena, "%s/" STR_FMT, folder, STR_ARG(found)).data;
    return STATUS_OK;
}

/* What no endpoint could ever serve is refused here, where the script that wrote it is at hand. */
static enum status check_model(const char *path, struct error *err)
{
    struct model_file model;
    struct stat about;
    enum status status;
    void *bytes = NULL;
    int file;

    TRY(file_open_untrusted(path, &file, err));
    if (fstat(file, &about) != 0) {
        status = error_errno(err, errno, "open '%s'", path);
    } else if (about.st_size == 0) {
        status = error_set(err, STATUS_INVALID, "the file is empty");
    } else if ((uint64_t)about.st_size > MODEL_FILE_MAX) {
        status = error_set(err, STATUS_LIMIT, "the file has more than %zu bytes",
                           MODEL_FILE_MAX);
    } else {
        bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        status = bytes == MAP_FAILED
                     ? error_errno(err, errno, "read '%s'", path)
                     : model_file_check((struct str){ bytes, (size_t)about.st_size }, &model,
                                        err);
        if (bytes != MAP_FAILED)
            munmap(bytes, (size_t)about.st_size);
    }
    close(file);
    return status == STATUS_OK ? STATUS_OK : error_wrap(err, "%s", strrchr(path, '/') + 1);
}

/* features.json beside the model, if the script wrote one; otherwise the model's own metadata count. */
static enum status read_signature(struct task *task, const char *folder, struct str *out,
                                  struct error *err)
{
    const char *path = arena_printf(task->arena, "%s/features.json", folder).data;
    yyjson_val *signature;
    struct str text;
    enum status status = file_read_untrusted(task->arena, path, SIGNATURE_MAX, &text, err);

    *out = STR("{}");
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status != STATUS_OK || json_parse(task->arena, text, &signature, err) != STATUS_OK)
        return error_wrap(err, "features.json");
    *out = json_write(task->arena, signature);
    return STATUS_OK;
}

/* A number, or what stands for one that JSON cannot write. */
static bool is_measured(yyjson_val *value)
{
    struct str text = json_str(value);

    return yyjson_is_num(value) || str_equal(text, STR("NaN")) ||
           str_equal(text, STR("Infinity")) || str_equal(text, STR("-Infinity"));
}

/* Curves and texts may be among them, for other steps to read; a version's metrics are numbers. */
static yyjson_val *only_numbers(struct task *task, yyjson_val *metrics)
{
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *kept = yyjson_mut_obj(doc);
    yyjson_val *numbers, *key, *value;
    struct error err;
    size_t i, count;

    yyjson_obj_foreach(metrics, i, count, key, value)
    {
        if (is_measured(value))
            yyjson_mut_obj_add(kept, yyjson_val_mut_copy(doc, key),
                               yyjson_val_mut_copy(doc, value));
        else
            task_log(task, "metric '" STR_FMT "' is left out: expected a number, found %s",
                     STR_ARG(json_str(key)), yyjson_get_type_desc(value));
    }
    if (json_parse(task->arena, json_mut_write(task->arena, kept), &numbers, &err) != STATUS_OK)
        abort(); /* we wrote it */
    return numbers;
}

/* The members of both; where they have equal names, those of the second. */
static struct str merged(struct task *task, struct str first, yyjson_val *second)
{
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *all;
    yyjson_val *object, *key, *value;
    struct error err;
    size_t i, count;

    if (json_parse(task->arena, first, &object, &err) != STATUS_OK)
        abort(); /* we wrote it */
    all = yyjson_val_mut_copy(doc, object);
    yyjson_obj_foreach(second, i, count, key, value)
        yyjson_mut_obj_put(all, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, value));
    return json_mut_write(task->arena, all);
}

/* How many states of the machine register something, at whatever depth. */
static size_t count_registrations(const yyjson_val *value)
{
    yyjson_val *object = (yyjson_val *)(uintptr_t)value, *key, *item;
    size_t count = 0, i, max;

    yyjson_obj_foreach(object, i, max, key, item)
    {
        if (str_equal(json_str(key), STR("Resource")))
            count += str_equal(json_str(item), STR("onggi:register"));
        else
            count += count_registrations(item);
    }
    yyjson_arr_foreach(object, i, max, item) count += count_registrations(item);
    return count;
}

/* Empty, or the step's name where another one of the execution registers too. */
static enum status evidence_prefix(struct pipeline_tasks *tasks, struct task *task,
                                   struct str *out, struct error *err)
{
    struct execution_info info;
    yyjson_val *machine;

    TRY(workflow_execution_get(tasks->given.workflow, task->arena, task->execution, &info,
                               err));
    TRY(json_parse(task->arena, info.definition, &machine, err));
    *out = count_registrations(machine) > 1 ? task->state : STR_EMPTY;
    return STATUS_OK;
}

/* "auc", or "STEP.auc". */
static struct str prefixed(struct task *task, struct str prefix, yyjson_val *object)
{
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *named = yyjson_mut_obj(doc);
    yyjson_val *key, *value;
    size_t i, count;

    yyjson_obj_foreach(object, i, count, key, value)
    {
        struct str name = json_str(key);

        if (prefix.len > 0)
            name = arena_printf(task->arena, STR_FMT "." STR_FMT, STR_ARG(prefix),
                                STR_ARG(name));
        yyjson_mut_obj_add(named, yyjson_mut_strncpy(doc, name.data, name.len),
                           yyjson_val_mut_copy(doc, value));
    }
    return json_mut_write(task->arena, named);
}

static enum status log_run(struct pipeline_tasks *tasks, struct task *task,
                           const struct registration *wanted, const struct lineage *lineage,
                           struct error *err)
{
    struct registry *registry = tasks->given.registry;
    struct str prefix, folder = STR("model");

    TRY(evidence_prefix(tasks, task, &prefix, err));
    if (prefix.len > 0)
        folder = arena_printf(task->arena, STR_FMT "/model", STR_ARG(prefix));
    TRY(run_ensure(registry, task->execution, task->pipeline, clock_now_us(), err));
    TRY(run_log_params(registry, task->execution, lineage->params, err));
    TRY(run_log_params(registry, task->execution, prefixed(task, prefix, wanted->params), err));
    TRY(run_log_metrics(registry, task->execution, prefixed(task, prefix, wanted->metrics),
                        err));
    TRY(run_log_folder(registry, task->execution, folder, wanted->folder, true, err));
    return lineage_log_outputs(tasks->given.workflow, task->arena, task->execution,
                               task->project, registry, err);
}

/* Whoever stopped the execution was told so: from then on it has no effects. */
static bool is_wanted(void *task)
{
    return !task_is_cancelled(task);
}

static struct str output_json(struct task *task, const struct registration *wanted,
                              int64_t version)
{
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);

    json_add_str(doc, root, "model", wanted->model);
    yyjson_mut_obj_add_int(doc, root, "version", version);
    json_add_str(doc, root, "run", task->execution);
    return json_mut_write(task->arena, root);
}

static enum status run_register(struct task *task, void *context, struct str *output,
                                struct error *err)
{
    struct pipeline_tasks *tasks = context;
    struct model_version version = { .created_by = task->user, .run = task->execution };
    struct registration wanted;
    struct lineage lineage;
    const char *path;
    struct blob blob;
    int64_t number;

    TRY(read_registration(task, &wanted, err));
    TRY(find_model(task, wanted.folder, &path, err));
    TRY(check_model(path, err));
    TRY(read_signature(task, wanted.folder, &version.signature, err));
    TRY(lineage_of_execution(tasks->given.workflow, task->arena, task->execution, &lineage,
                             err));
    wanted.metrics = only_numbers(task, wanted.metrics);
    if (!is_wanted(task))
        return error_set(err, STATUS_CONFLICT, "stopped before anything was registered");
    TRY(log_run(tasks, task, &wanted, &lineage, err));
    TRY(blob_put_file(registry_blobs(tasks->given.registry), path, &blob, err));
    version.model = wanted.model;
    version.hash = str_from(blob.hash);
    version.size = blob.size;
    version.params = merged(task, lineage.params, wanted.params);
    version.metrics = merged(task, STR("{}"), wanted.metrics);
    version.lineage = lineage.json;
    /* The key is the same for all tries: a try that was cut off after this line makes no second version. */
    TRY(model_version_create(tasks->given.registry, &version, task->key, is_wanted, task,
                             &number, err));
    task_log(task, "model '" STR_FMT "' version %lld, %lld bytes, sha256 %.12s",
             STR_ARG(wanted.model), (long long)number, (long long)blob.size, blob.hash);
    *output = output_json(task, &wanted, number);
    return STATUS_OK;
}

const struct task_type register_task = { .resource = "onggi:register", .run = run_register };
