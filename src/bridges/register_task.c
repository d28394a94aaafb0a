/* SPDX-License-Identifier: Apache-2.0 */
/* onggi:register: what a script left becomes a version of a model, with all that it came from. */
#include "base/file.h"
#include "base/json.h"
#include "bridges/lineage.h"
#include "bridges/pipeline_tasks_internal.h"
#include "serving/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIGNATURE_MAX ((size_t)1 << 20)

struct registration {
    struct str model;
    char *folder; /* absolute */
    struct str metrics;
    struct str params;
};

static enum status read_object(struct task *task, const char *key, struct str *out,
                               struct error *err)
{
    yyjson_val *object = NULL;

    TRY(json_want_object(task->input, key, &object, err));
    *out = object == NULL ? STR("{}") : json_write(task->arena, object);
    return STATUS_OK;
}

static enum status read_registration(struct task *task, struct registration *out,
                                     struct error *err)
{
    static const struct str known[] = { STR_INIT("model"), STR_INIT("from"),
                                        STR_INIT("metrics"), STR_INIT("params") };
    struct str from;

    TRY(json_only_keys(task->input, known, ARRAY_LEN(known), err));
    TRY(json_need_str(task->input, "model", &out->model, err));
    TRY(json_need_str(task->input, "from", &from, err));
    TRY(read_object(task, "metrics", &out->metrics, err));
    TRY(read_object(task, "params", &out->params, err));
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
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0 || fstat(file, &about) != 0) {
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
    if (file >= 0)
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

    *out = STR("{}");
    if (!file_exists(path))
        return STATUS_OK;
    if (file_read(task->arena, path, SIGNATURE_MAX, &text, err) != STATUS_OK ||
        json_parse(task->arena, text, &signature, err) != STATUS_OK)
        return error_wrap(err, "features.json");
    *out = json_write(task->arena, signature);
    return STATUS_OK;
}

static enum status log_run(struct pipeline_tasks *tasks, struct task *task,
                           const struct registration *wanted, const struct lineage *lineage,
                           struct error *err)
{
    struct registry *registry = tasks->given.registry;

    TRY(run_begin(registry, task->execution, task->pipeline, err));
    TRY(run_log_params(registry, task->execution, lineage->params, err));
    TRY(run_log_params(registry, task->execution, wanted->params, err));
    TRY(run_log_metrics(registry, task->execution, wanted->metrics, err));
    TRY(run_log_folder(registry, task->execution, STR("model"), wanted->folder, true, err));
    return lineage_log_outputs(tasks->given.workflow, task->arena, task->execution,
                               task->project, registry, err);
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
    TRY(log_run(tasks, task, &wanted, &lineage, err));
    TRY(blob_put_file(registry_blobs(tasks->given.registry), path, &blob, err));
    version.model = wanted.model;
    version.hash = str_from(blob.hash);
    version.size = blob.size;
    version.params = lineage.params;
    version.metrics = wanted.metrics;
    version.lineage = lineage.json;
    /* The key is the same for all tries: a try that was cut off after this line makes no second version. */
    TRY(model_version_create(tasks->given.registry, &version, task->key, &number, err));
    task_log(task, "model '" STR_FMT "' version %lld, %lld bytes, sha256 %.12s",
             STR_ARG(wanted.model), (long long)number, (long long)blob.size, blob.hash);
    *output = output_json(task, &wanted, number);
    return STATUS_OK;
}

const struct task_type register_task = { .resource = "onggi:register", .run = run_register };
