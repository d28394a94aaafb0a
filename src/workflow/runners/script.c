/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/script.h"

#include "base/clock.h"
#include "base/file.h"
#include "workflow/engine.h"
#include "workflow/runners/process.h"
#include "workflow/runners/sagemaker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOG_MAX ((uint64_t)256 << 20)
#define METRICS_MAX ((size_t)128 << 10)
#define FAILURE_MAX ((size_t)8 << 10)
#define TAIL_BYTES 2000
#define TAIL_LINES 20

/* "512MiB", "2GB", or bytes as a number. */
static enum status memory_parse(yyjson_val *value, uint64_t *out, struct error *err)
{
    static const struct {
        struct str unit;
        uint64_t bytes;
    } units[] = { { STR_INIT("KiB"), 1u << 10 },
                  { STR_INIT("MiB"), 1u << 20 },
                  { STR_INIT("GiB"), 1u << 30 },
                  { STR_INIT("MB"), 1000000 },
                  { STR_INIT("GB"), 1000000000 } };
    struct str text = json_str(value), digits;
    int64_t count;

    *out = yyjson_get_uint(value);
    if (value == NULL || (yyjson_is_uint(value) && *out > 0))
        return STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        digits = str_slice(text, 0, text.len - units[i].unit.len);
        if (!str_ends(text, units[i].unit) || !str_to_int64(str_trim(digits), &count) ||
            count <= 0 || count > INT64_MAX / (int64_t)units[i].bytes)
            continue;
        *out = (uint64_t)count * units[i].bytes;
        return STATUS_OK;
    }
    return error_set(err, STATUS_INVALID,
                     "memory: expected a size like 512MiB or 4GiB, found '" STR_FMT "'",
                     STR_ARG(text));
}

static enum status check_name(struct str name, struct error *err)
{
    bool bad = name.len == 0 || name.data[0] == '/' || name.data[0] == '-' ||
               memmem(name.data, name.len, "..", 2) != NULL || str_index(name, '\0') < name.len;

    return bad ? error_set(err, STATUS_INVALID,
                           "script: '" STR_FMT "' must name a file in the pipeline's folder",
                           STR_ARG(name))
               : STATUS_OK;
}

static enum status read_names(yyjson_val *list, struct error *err)
{
    yyjson_val *item;
    size_t i, count;

    yyjson_arr_foreach(list, i, count, item)
    {
        struct str name = json_str(item);

        if (!str_is_name(name))
            return error_set(err, STATUS_INVALID, "out: '" STR_FMT "' is no name of an output",
                             STR_ARG(name));
        if (str_equal(name, STR("metrics")) || str_equal(name, STR("output")) ||
            str_equal(name, STR("log")))
            return error_set(err, STATUS_INVALID,
                             "out: '" STR_FMT "' is there anyway; choose another name",
                             STR_ARG(name));
    }
    return STATUS_OK;
}

static enum status read_script(yyjson_val *input, struct script *out, struct error *err)
{
    static const struct str known[] = { STR_INIT("script"), STR_INIT("in"), STR_INIT("args"),
                                        STR_INIT("out"), STR_INIT("memory") };

    *out = (struct script){ 0 };
    TRY(json_only_keys(input, known, ARRAY_LEN(known), err));
    TRY(json_need_str(input, "script", &out->name, err));
    TRY(check_name(out->name, err));
    TRY(json_want_object(input, "in", &out->in, err));
    TRY(json_want_object(input, "args", &out->args, err));
    TRY(json_want_array(input, "out", &out->out, err));
    TRY(read_names(out->out, err));
    return memory_parse(json_find(input, STR("memory")), &out->memory_bytes, err);
}

static enum status check(yyjson_val *parameters, struct error *err)
{
    yyjson_val *key, *value;
    size_t i, count;
    struct script script;

    if (!yyjson_is_obj(parameters))
        return error_set(err, STATUS_INVALID, "must be an object with \"script\": \"FILE\"");
    /* Fields that are evaluated when the state runs are checked then. */
    yyjson_obj_foreach(parameters, i, count, key, value)
    {
        if (str_ends(json_str(key), STR(".$")))
            return STATUS_OK;
    }
    return read_script(parameters, &script, err);
}

static bool wants_to_end(void *task)
{
    return task_is_cancelled(task);
}

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

/* What the script itself says of its failure, as SageMaker's containers do. */
static struct str failure_file(struct task *task)
{
    struct str path = arena_printf(task->arena, STR_FMT "/output/failure",
                                   STR_ARG(task->folder));
    struct str text = STR_EMPTY;
    struct error err;

    if (file_read(task->arena, path.data, FAILURE_MAX, &text, &err) != STATUS_OK ||
        !str_is_utf8(text))
        return STR_EMPTY;
    return str_trim(text);
}

static struct str reason(struct task *task, const struct script *script,
                         const struct process_end *end, uint64_t memory_bytes)
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
                            (unsigned long long)(memory_bytes >> 20));
    case PROCESS_LOG_FULL:
        return arena_printf(arena, STR_FMT " wrote more than %llu MiB of log",
                            STR_ARG(script->name), (unsigned long long)(LOG_MAX >> 20));
    }
    return STR_EMPTY;
}

static enum status fail(struct task *task, const struct script *script,
                        const struct process_end *end, uint64_t memory_bytes, const char *log,
                        struct error *err)
{
    struct str error = end->kind == PROCESS_OUT_OF_MEMORY ? STR("Onggi.MemoryLimit")
                       : end->kind == PROCESS_LOG_FULL    ? STR("Onggi.LogLimit")
                                                          : STR("Onggi.ScriptFailed");
    struct str why = reason(task, script, end, memory_bytes), said = failure_file(task);
    struct str cause;

    task_log(task, "--- " STR_FMT, STR_ARG(why));
    cause = arena_printf(task->arena, STR_FMT "%s" STR_FMT ". The end of its log:\n" STR_FMT,
                         STR_ARG(why), said.len > 0 ? ": " : "", STR_ARG(said),
                         STR_ARG(log_tail(task, log)));
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

/* metrics.json in the output folder, an object; it need not be there. */
static enum status add_metrics(struct task *task, const struct surroundings *around,
                               yyjson_mut_doc *doc, yyjson_mut_val *output, struct error *err)
{
    struct str path = arena_printf(task->arena, STR_FMT "/metrics.json", STR_ARG(around->data));
    yyjson_val *metrics;
    struct str text;

    if (!file_exists(path.data))
        return STATUS_OK;
    if (file_read(task->arena, path.data, METRICS_MAX, &text, err) != STATUS_OK ||
        json_parse(task->arena, text, &metrics, err) != STATUS_OK)
        return error_wrap(err, "metrics.json");
    if (!yyjson_is_obj(metrics))
        return error_set(err, STATUS_INVALID,
                         "metrics.json: expected an object like {\"auc\": 0.8}");
    yyjson_mut_obj_add_val(doc, output, "metrics", yyjson_val_mut_copy(doc, metrics));
    return STATUS_OK;
}

static enum status make_result(struct task *task, const struct script *script,
                               const struct surroundings *around, const struct process_end *end,
                               uint64_t begun_ns, struct str *out, struct error *err)
{
    yyjson_mut_doc *doc = json_mut_doc(task->arena);
    yyjson_mut_val *output = yyjson_mut_obj(doc);
    double seconds = (double)((clock_monotonic_ns() - begun_ns) / 1000000) / 1000.0;

    TRY(add_outputs(task, script, around, doc, output, err));
    TRY(add_metrics(task, around, doc, output, err));
    if (script->args != NULL)
        yyjson_mut_obj_add_val(doc, output, "args", yyjson_val_mut_copy(doc, script->args));
    json_add_str(doc, output, "script", script->name);
    yyjson_mut_obj_add_real(doc, output, "seconds", seconds);
    yyjson_mut_obj_add_uint(doc, output, "peak_memory_bytes", end->peak_bytes);
    *out = json_mut_write(task->arena, output);
    return STATUS_OK;
}

static void log_command(struct task *task, const struct surroundings *around)
{
    struct str line = STR_EMPTY;

    for (char **arg = around->argv; *arg != NULL; arg++)
        line = arena_printf(task->arena, STR_FMT " %s", STR_ARG(line), *arg);
    task_log(task, "--- try %u:" STR_FMT, task->retry + 1, STR_ARG(line));
}

/* The process is recorded before it runs, so that after a crash it can be found and ended. */
static enum status start_process(struct task *task, const struct process_spec *spec,
                                 struct process *process, struct error *err)
{
    struct str record;

    TRY(process_spawn(spec, process, err));
    record = arena_printf(task->arena, "{\"pid\":%ld,\"start_ticks\":%llu}", (long)process->pid,
                          (unsigned long long)process->start_ticks);
    if (task_started(task, record, err) == STATUS_OK)
        return process_release(process, err);
    process_abandon(process);
    return err->status;
}

static struct str python_of(const struct workflow *workflow)
{
    const char *wanted = getenv("ONGGI_PYTHON");

    if (wanted != NULL && wanted[0] != '\0')
        return str_from(wanted);
    return workflow->python.len > 0 ? workflow->python : STR("python3");
}

static uint64_t memory_of(const struct workflow *workflow, const struct script *script)
{
    if (script->memory_bytes > 0)
        return script->memory_bytes;
    return workflow->memory_limit > 0 ? workflow->memory_limit : process_default_memory();
}

static enum status check_there(const struct task *task, const struct script *script,
                               struct error *err)
{
    struct str path = arena_printf(task->arena, STR_FMT "/" STR_FMT, STR_ARG(task->code),
                                   STR_ARG(script->name));

    if (task->pipeline.len == 0)
        return error_set(err, STATUS_INVALID,
                         "scripts run in pipelines, which have a code folder");
    if (!file_exists(path.data))
        return error_set(err, STATUS_NOT_FOUND,
                         "there is no script pipelines/" STR_FMT "/" STR_FMT,
                         STR_ARG(task->pipeline), STR_ARG(script->name));
    return STATUS_OK;
}

static enum status run(struct task *task, void *context, struct str *output, struct error *err)
{
    const struct workflow *workflow = context;
    struct script script;
    struct surroundings around;
    struct process process;
    struct process_end end;
    struct str log = log_path(task->arena, task->project, task->execution, task->state);
    uint64_t begun_ns = clock_monotonic_ns(), memory_bytes;

    TRY(read_script(task->input, &script, err));
    TRY(check_there(task, &script, err));
    TRY(sagemaker_prepare(task, &script, python_of(workflow), &around, err));
    memory_bytes = memory_of(workflow, &script);
    log_command(task, &around);
    TRY(start_process(task,
                      &(struct process_spec){ around.program, around.argv, around.envp,
                                              task->code.data, log.data },
                      &process, err));
    process_wait(&process, &(struct process_limits){ memory_bytes, LOG_MAX, log.data },
                 wants_to_end, task, &end);
    /* A daemon has left the session; what it writes later would be in nobody's log. */
    process_end_marked(STR("ONGGI_TASK_FOLDER"), task->folder);
    if (end.kind != PROCESS_EXITED || end.code != 0)
        return fail(task, &script, &end, memory_bytes, log.data, err);
    return make_result(task, &script, &around, &end, begun_ns, output, err);
}

static void clean_up(struct str project, yyjson_val *private_part)
{
    pid_t pid = (pid_t)yyjson_get_sint(yyjson_obj_get(private_part, "pid"));
    uint64_t recorded = yyjson_get_uint(yyjson_obj_get(private_part, "start_ticks")), ticks;

    (void)project;
    if (pid > 1 && process_start_ticks(pid, &ticks) && ticks == recorded)
        kill(-pid, SIGKILL);
}

void script_end_orphans(struct str project)
{
    struct arena *arena = arena_new();

    process_end_marked(STR("ONGGI_TASK_FOLDER"),
                       arena_printf(arena, STR_FMT "/.onggi/runs/", STR_ARG(project)));
    arena_free(arena);
}

const struct task_type script_task_type = {
    .resource = "onggi:script",
    .run = run,
    .start = TASK_START_BY_ITSELF,
    .check = check,
    .clean_up = clean_up,
};
