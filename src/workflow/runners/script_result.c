/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/script_result.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <unistd.h>

#define METRICS_MAX ((size_t)128 << 10)
#define FAILURE_MAX ((size_t)8 << 10)
#define TAIL_BYTES 2000
#define TAIL_LINES 20

/* The end of the log, from its last lines. */
static struct str log_tail(struct task *task, const char *path)
{
    char text[TAIL_BYTES];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = file < 0 ? 0 : lseek(file, 0, SEEK_END);
    ssize_t len = 0;
    struct str tail;
    size_t lines = 0, from;

    if (size > 0)
        len = pread(file, text, sizeof(text), size > TAIL_BYTES ? size - TAIL_BYTES : 0);
    if (file >= 0)
        close(file);
    tail = str_trim((struct str){ text, len < 0 ? 0 : (size_t)len });
    for (from = tail.len; from > 0 && lines < TAIL_LINES; from--)
        lines += tail.data[from - 1] == '\n';
    tail = str_slice(tail, from == 0 ? 0 : from + 1, tail.len);
    while (tail.len > 0 && ((unsigned char)tail.data[0] & 0xC0) == 0x80)
        tail = str_slice(tail, 1, tail.len); /* half a character */
    return arena_str_plain(task->arena, tail);
}

/* Without the beginning of a character that the text's end cut off. */
static struct str whole_characters(struct str text)
{
    size_t start = text.len;

    while (start > 0 && text.len - start < 3 &&
           ((unsigned char)text.data[start - 1] & 0xC0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text.data[start - 1] >= 0xC0 &&
        !str_is_utf8(str_slice(text, start - 1, text.len)))
        return str_slice(text, 0, start - 1);
    return text;
}

/* The beginning of what the script itself says of its failure, as SageMaker's containers do. */
static struct str failure_file(struct task *task)
{
    struct str path = arena_printf(task->arena, STR_FMT "/output/failure",
                                   STR_ARG(task->folder));
    char text[FAILURE_MAX];
    struct error err;
    ssize_t len;
    int file;

    if (file_open_untrusted(path.data, &file, &err) != STATUS_OK)
        return STR_EMPTY;
    len = read(file, text, sizeof(text));
    close(file);
    if (len <= 0)
        return STR_EMPTY;
    return arena_str_plain(task->arena,
                           str_trim(whole_characters((struct str){ text, (size_t)len })));
}

static struct str reason(struct task *task, const struct script *script,
                         const struct process_end *end, const struct process_limits *limits)
{
    struct arena *arena = task->arena;

    switch (end->kind) {
    case PROCESS_EXITED:
        return arena_printf(arena, STR_FMT " ended with exit code %d", STR_ARG(script->name),
                            end->code);
    case PROCESS_SIGNALLED:
        return arena_printf(arena, STR_FMT " was ended by signal %d (%s)",
                            STR_ARG(script->name), end->code, strsignal(end->code));
    case PROCESS_CANCELLED:
        return arena_printf(arena, STR_FMT " was told to stop", STR_ARG(script->name));
    case PROCESS_OUT_OF_MEMORY:
        return arena_printf(arena,
                            STR_FMT " and its children used %llu MiB of memory, %llu MiB are "
                                    "allowed; raise the step's `memory`, or use less",
                            STR_ARG(script->name), (unsigned long long)(end->peak_bytes >> 20),
                            (unsigned long long)(limits->memory_bytes >> 20));
    case PROCESS_LOG_FULL:
        return arena_printf(arena, STR_FMT " wrote more than %llu MiB of log",
                            STR_ARG(script->name),
                            (unsigned long long)(limits->log_bytes >> 20));
    }
    return STR_EMPTY;
}

enum status script_fail(struct task *task, const struct script *script,
                        const struct process_end *end, const struct process_limits *limits,
                        struct error *err)
{
    struct str error = end->kind == PROCESS_OUT_OF_MEMORY ? STR("Onggi.MemoryLimit")
                       : end->kind == PROCESS_LOG_FULL    ? STR("Onggi.LogLimit")
                                                          : STR("Onggi.ScriptFailed");
    struct str why = reason(task, script, end, limits), said = failure_file(task);
    struct str cause;

    task_log(task, "--- " STR_FMT, STR_ARG(why));
    cause = arena_printf(task->arena, STR_FMT "%s" STR_FMT ". The end of its log:\n" STR_FMT,
                         STR_ARG(why), said.len > 0 ? ": " : "", STR_ARG(said),
                         STR_ARG(log_tail(task, limits->log)));
    return task_fail(task, error, cause, err);
}

static bool is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    bool empty = true;

    while (folder != NULL && empty && (entry = readdir(folder)) != NULL)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (folder != NULL)
        closedir(folder);
    return empty;
}

static enum status add_outputs(struct task *task, const struct script *script,
                               const struct surroundings *around, yyjson_mut_doc *doc,
                               yyjson_mut_val *output, struct error *err)
{
    yyjson_val *item;
    size_t i, count;

    yyjson_arr_foreach(script->out, i, count, item)
    {
        struct str name = arena_str(task->arena, json_str(item));
        struct str folder = sagemaker_output(task->arena, around, name);

        if (is_empty_folder(folder.data))
            return error_set(
                err, STATUS_INVALID,
                STR_FMT " wrote nothing to its output '" STR_FMT "'; its folder is %s",
                STR_ARG(script->name), STR_ARG(name),
                str_equal(name, STR("model")) ? "$SM_MODEL_DIR" : "in $SM_OUTPUT_DATA_DIR");
        json_add_str(doc, output, name.data, task_relative(task, folder));
    }
    json_add_str(doc, output, "output", task_relative(task, around->data));
    return STATUS_OK;
}

/* What JSON has no number for becomes a text that says what it is. */
static const char *spelling(yyjson_mut_val *value)
{
    double number = yyjson_mut_is_real(value) ? yyjson_mut_get_real(value) : 0;

    return isnan(number)    ? "NaN"
           : !isinf(number) ? NULL
           : number > 0     ? "Infinity"
                            : "-Infinity";
}

static bool spell_out(yyjson_mut_val *value)
{
    const char *text = spelling(value);
    bool found = text != NULL;
    yyjson_mut_val *key, *item;
    size_t i, count;

    if (text != NULL)
        yyjson_mut_set_str(value, text);
    yyjson_mut_obj_foreach(value, i, count, key, item) found = spell_out(item) || found;
    yyjson_mut_arr_foreach(value, i, count, item) found = spell_out(item) || found;
    return found;
}

static void spell_out_metrics(struct task *task, yyjson_mut_val *metrics)
{
    yyjson_mut_val *name, *value;
    size_t i, count;

    yyjson_mut_obj_foreach(metrics, i, count, name, value)
    {
        if (!spell_out(value))
            continue;
        if (yyjson_mut_is_str(value))
            task_log(task, "--- metric '%s' is %s", yyjson_mut_get_str(name),
                     yyjson_mut_get_str(value));
        else
            task_log(task, "--- metric '%s' holds NaN or Infinity", yyjson_mut_get_str(name));
    }
}

/* metrics.json in the output folder, an object; it need not be there. */
static enum status add_metrics(struct task *task, const struct surroundings *around,
                               yyjson_mut_doc *doc, yyjson_mut_val *output, struct error *err)
{
    struct str path = arena_printf(task->arena, STR_FMT "/metrics.json", STR_ARG(around->data));
    yyjson_val *metrics;
    yyjson_mut_val *added;
    struct str text;
    enum status status = file_read_untrusted(task->arena, path.data, METRICS_MAX, &text, err);

    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status != STATUS_OK || json_parse_python(task->arena, text, &metrics, err) != STATUS_OK)
        return error_wrap(err, "metrics.json");
    if (!yyjson_is_obj(metrics))
        return error_set(err, STATUS_INVALID,
                         "metrics.json: expected an object like {\"auc\": 0.8}");
    added = yyjson_val_mut_copy(doc, metrics);
    spell_out_metrics(task, added);
    yyjson_mut_obj_add_val(doc, output, "metrics", added);
    return STATUS_OK;
}

enum status script_make_result(struct task *task, const struct script *script,
                               const struct surroundings *around, const struct process_end *end,
                               double seconds, struct str *out, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *output = yyjson_mut_obj(doc);

    TRY(add_outputs(task, script, around, doc, output, err));
    TRY(add_metrics(task, around, doc, output, err));
    if (script->args != NULL)
        yyjson_mut_obj_add_val(doc, output, "args", yyjson_val_mut_copy(doc, script->args));
    json_add_str(doc, output, "script", script->name);
    yyjson_mut_obj_add_real(doc, output, "seconds", seconds);
    yyjson_mut_obj_add_uint(doc, output, "peak_memory_bytes", end->peak_bytes);
    *out = json_mut_write(task->arena, output);
    /* That the step has succeeded will be on disk; then so must be what it made. */
    return folder_sync_deep(task->folder.data, err);
}
