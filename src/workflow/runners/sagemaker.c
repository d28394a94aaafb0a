/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/runners/sagemaker.h"

#include "base/file.h"
#include "workflow/engine.h"

#include <errno.h>
#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST "algo-1" /* what SageMaker calls the first, and here the only, machine */

struct maker {
    struct task *task;
    struct arena *arena;
    const struct script *script;
    struct surroundings *around;
    yyjson_mut_doc *doc;
    yyjson_mut_val *channels; /* name to folder */
    char **vars;
    size_t var_count, var_capacity;
};

struct str sagemaker_output(struct arena *arena, const struct surroundings *around,
                            struct str name)
{
    if (str_equal(name, STR("model")))
        return around->model;
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(around->data), STR_ARG(name));
}

static struct str below(const struct maker *maker, const char *relative)
{
    return arena_printf(maker->arena, STR_FMT "/%s", STR_ARG(maker->task->folder), relative);
}

static void set(struct maker *maker, const char *name, struct str value)
{
    struct str text = arena_printf(maker->arena, "%s=" STR_FMT, name, STR_ARG(value));

    ARENA_PUSH(maker->arena, maker->vars, maker->var_count,
               maker->var_capacity) = (char *)(uintptr_t)text.data;
}

/* SM_CHANNEL_ and the name in capitals, as the toolkit does. */
static void set_upper(struct maker *maker, const char *prefix, struct str name,
                      struct str value)
{
    struct str full = arena_printf(maker->arena, "%s" STR_FMT, prefix, STR_ARG(name));

    for (char *c = (char *)(uintptr_t)full.data; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    set(maker, full.data, value);
}

static void set_json(struct maker *maker, const char *name, const yyjson_mut_val *value)
{
    set(maker, name, json_mut_write(maker->arena, value));
}

/* As Python's str() would show what the JSON means: that is what argparse gets from the toolkit. */
static struct str argument_text(struct arena *arena, yyjson_val *value)
{
    if (yyjson_is_str(value))
        return json_str(value);
    if (yyjson_is_bool(value))
        return yyjson_get_bool(value) ? STR("True") : STR("False");
    if (yyjson_is_null(value))
        return STR("None");
    return json_write(arena, value);
}

static int by_key(const void *a, const void *b)
{
    return str_compare(json_str(*(yyjson_val *const *)a), json_str(*(yyjson_val *const *)b));
}

static yyjson_val **sorted_keys(struct arena *arena, yyjson_val *object, size_t *count)
{
    yyjson_val **keys, *key, *value;
    size_t i, len;

    *count = yyjson_obj_size(object);
    keys = ARENA_ARRAY(arena, yyjson_val *, *count + 1);
    yyjson_obj_foreach(object, i, len, key, value) keys[i] = key;
    qsort(keys, *count, sizeof(*keys), by_key);
    return keys;
}

/* program script --name value …, names in order, one-letter ones with one dash. */
static void make_argv(struct maker *maker, struct str python)
{
    size_t count, used = 0;
    yyjson_val **keys = sorted_keys(maker->arena, maker->script->args, &count);
    char **argv = ARENA_ARRAY(maker->arena, char *, 2 * count + 4);
    bool is_python = str_ends(maker->script->name, STR(".py"));
    yyjson_mut_val *user_args = yyjson_mut_arr(maker->doc);

    argv[used++] = is_python ? arena_cstr(maker->arena, python)
                             : arena_cstr(maker->arena, STR("sh"));
    argv[used++] = arena_cstr(maker->arena, maker->script->name);
    for (size_t i = 0; i < count; i++) {
        struct str name = json_str(keys[i]);
        struct str value = argument_text(maker->arena, unsafe_yyjson_get_next(keys[i]));
        struct str flag = arena_printf(maker->arena, "%s" STR_FMT, name.len == 1 ? "-" : "--",
                                       STR_ARG(name));

        argv[used++] = (char *)(uintptr_t)flag.data;
        argv[used++] = arena_cstr(maker->arena, value);
        yyjson_mut_arr_add_strncpy(maker->doc, user_args, flag.data, flag.len);
        yyjson_mut_arr_add_strncpy(maker->doc, user_args, value.data, value.len);
        set_upper(maker, "SM_HP_", name, value);
    }
    maker->around->argv = argv;
    set_json(maker, "SM_USER_ARGS", user_args);
}

static enum status find_in_path(struct arena *arena, struct str name, const char **out,
                                struct error *err)
{
    const char *path = getenv("PATH");
    struct str rest = str_from(path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path), folder;

    while (str_split(&rest, ':', &folder)) {
        struct str candidate = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(folder),
                                            STR_ARG(name));

        if (access(candidate.data, X_OK) == 0) {
            *out = candidate.data;
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_NOT_FOUND,
                     "there is no program '" STR_FMT "'; set `python:` in onggi.yaml, or the "
                     "variable ONGGI_PYTHON",
                     STR_ARG(name));
}

/* A command of the PATH, or a path, relative to the project. */
static enum status find_program(struct maker *maker, struct str python, struct error *err)
{
    struct arena *arena = maker->arena;
    const char *home = python.len > 0 && python.data[0] == '/' ? "" : "/";
    struct str path;

    if (!str_ends(maker->script->name, STR(".py")))
        return find_in_path(arena, STR("sh"), &maker->around->program, err);
    if (str_index(python, '/') == python.len)
        return find_in_path(arena, python, &maker->around->program, err);
    path = home[0] == '\0' ? arena_str(arena, python)
                           : arena_printf(arena, STR_FMT "/" STR_FMT,
                                          STR_ARG(maker->task->project), STR_ARG(python));
    maker->around->program = path.data;
    if (access(path.data, X_OK) == 0)
        return STATUS_OK;
    return error_set(err, STATUS_NOT_FOUND,
                     "there is no program '%s'; set `python:` in onggi.yaml, or the variable "
                     "ONGGI_PYTHON",
                     path.data);
}

static enum status link_to(const char *target, const char *link, struct error *err)
{
    if (symlink(target, link) != 0)
        return error_errno(err, errno, "link '%s'", link);
    return STATUS_OK;
}

/* A channel is a folder: the one given, or one with the file given in it. */
static enum status make_channel(struct maker *maker, struct str name, struct str path,
                                struct error *err)
{
    struct arena *arena = maker->arena;
    struct str link = arena_printf(arena, STR_FMT "/input/data/" STR_FMT,
                                   STR_ARG(maker->task->folder), STR_ARG(name));
    char *target;
    struct stat info;

    TRY(path_below(arena, maker->task->project.data, path, &target, err));
    if (stat(target, &info) != 0)
        return error_errno(err, errno, "'" STR_FMT "'", STR_ARG(path));
    json_add_str(maker->doc, maker->channels, name.data, link);
    set_upper(maker, "SM_CHANNEL_", name, link);
    if (S_ISDIR(info.st_mode))
        return link_to(target, link.data, err);
    TRY(folder_create(link.data, err));
    return link_to(
        target,
        arena_printf(arena, STR_FMT "/%s", STR_ARG(link), strrchr(target, '/') + 1).data, err);
}

static enum status make_channels(struct maker *maker, struct error *err)
{
    size_t count;
    yyjson_val **keys = sorted_keys(maker->arena, maker->script->in, &count);
    yyjson_mut_val *names = yyjson_mut_arr(maker->doc);

    maker->channels = yyjson_mut_obj(maker->doc);
    TRY(folder_create(below(maker, "input/data").data, err));
    for (size_t i = 0; i < count; i++) {
        struct str name = arena_str(maker->arena, json_str(keys[i]));
        yyjson_val *path = unsafe_yyjson_get_next(keys[i]);

        if (!yyjson_is_str(path))
            return error_set(err, STATUS_INVALID, "input '" STR_FMT "' is no path",
                             STR_ARG(name));
        if (make_channel(maker, name, json_str(path), err) != STATUS_OK)
            return error_wrap(err, "input '" STR_FMT "'", STR_ARG(name));
        yyjson_mut_arr_add_strncpy(maker->doc, names, name.data, name.len);
    }
    set_json(maker, "SM_CHANNELS", names);
    return STATUS_OK;
}

static enum status make_outputs(struct maker *maker, struct error *err)
{
    yyjson_val *name;
    size_t i, count;

    TRY(folder_create(maker->around->model.data, err));
    TRY(folder_create(maker->around->data.data, err));
    TRY(folder_create(below(maker, "output/intermediate").data, err));
    yyjson_arr_foreach(maker->script->out, i, count, name) TRY(
        folder_create(sagemaker_output(maker->arena, maker->around, json_str(name)).data, err));
    return STATUS_OK;
}

static unsigned cpu_count(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static yyjson_mut_val *one_host(struct maker *maker)
{
    yyjson_mut_val *hosts = yyjson_mut_arr(maker->doc);

    yyjson_mut_arr_add_str(maker->doc, hosts, HOST);
    return hosts;
}

static yyjson_mut_val *resource_config(struct maker *maker)
{
    yyjson_mut_val *config = yyjson_mut_obj(maker->doc);

    yyjson_mut_obj_add_str(maker->doc, config, "current_host", HOST);
    yyjson_mut_obj_add_val(maker->doc, config, "hosts", one_host(maker));
    yyjson_mut_obj_add_str(maker->doc, config, "network_interface_name", "lo");
    return config;
}

static yyjson_mut_val *hyperparameters(struct maker *maker)
{
    return maker->script->args == NULL ? yyjson_mut_obj(maker->doc)
                                       : yyjson_val_mut_copy(maker->doc, maker->script->args);
}

/* Everything in one object; the toolkit's users read single keys of it. */
static yyjson_mut_val *training_env(struct maker *maker)
{
    yyjson_mut_doc *doc = maker->doc;
    yyjson_mut_val *env = yyjson_mut_obj(doc);

    json_add_str(doc, env, "job_name", maker->task->state);
    json_add_str(doc, env, "model_dir", maker->around->model);
    json_add_str(doc, env, "output_data_dir", maker->around->data);
    json_add_str(doc, env, "output_dir", below(maker, "output"));
    json_add_str(doc, env, "input_dir", below(maker, "input"));
    json_add_str(doc, env, "input_config_dir", below(maker, "input/config"));
    json_add_str(doc, env, "module_dir", maker->task->code);
    json_add_str(doc, env, "user_entry_point", maker->script->name);
    json_add_str(doc, env, "current_host", STR(HOST));
    yyjson_mut_obj_add_val(doc, env, "hosts", one_host(maker));
    yyjson_mut_obj_add_uint(doc, env, "num_cpus", cpu_count());
    yyjson_mut_obj_add_uint(doc, env, "num_gpus", 0);
    yyjson_mut_obj_add_uint(doc, env, "log_level", 20);
    yyjson_mut_obj_add_val(doc, env, "hyperparameters", hyperparameters(maker));
    yyjson_mut_obj_add_val(doc, env, "channel_input_dirs",
                           yyjson_mut_val_mut_copy(doc, maker->channels));
    yyjson_mut_obj_add_val(doc, env, "resource_config", resource_config(maker));
    return env;
}

static enum status write_config(struct maker *maker, const char *name,
                                const yyjson_mut_val *value, struct error *err)
{
    struct str path = arena_printf(maker->arena, STR_FMT "/input/config/%s.json",
                                   STR_ARG(maker->task->folder), name);

    return file_write(path.data, json_mut_write(maker->arena, value), err);
}

static enum status write_configs(struct maker *maker, struct error *err)
{
    yyjson_mut_val *inputs = yyjson_mut_obj(maker->doc);
    yyjson_mut_obj_iter iter;
    yyjson_mut_val *key;

    yyjson_mut_obj_iter_init(maker->channels, &iter);
    while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL) {
        yyjson_mut_val *channel = yyjson_mut_obj(maker->doc);

        yyjson_mut_obj_add_str(maker->doc, channel, "TrainingInputMode", "File");
        yyjson_mut_obj_add_val(maker->doc, inputs, yyjson_mut_get_str(key), channel);
    }
    set_json(maker, "SM_INPUT_DATA_CONFIG", inputs);
    TRY(folder_create(below(maker, "input/config").data, err));
    TRY(write_config(maker, "hyperparameters", hyperparameters(maker), err));
    TRY(write_config(maker, "inputdataconfig", inputs, err));
    return write_config(maker, "resourceconfig", resource_config(maker), err);
}

static void set_places(struct maker *maker)
{
    struct str module = maker->script->name;

    if (str_ends(module, STR(".py")))
        module.len -= 3;
    set(maker, "SM_MODEL_DIR", maker->around->model);
    set(maker, "SM_OUTPUT_DATA_DIR", maker->around->data);
    set(maker, "SM_OUTPUT_DIR", below(maker, "output"));
    set(maker, "SM_OUTPUT_INTERMEDIATE_DIR", below(maker, "output/intermediate"));
    set(maker, "SM_INPUT_DIR", below(maker, "input"));
    set(maker, "SM_INPUT_CONFIG_DIR", below(maker, "input/config"));
    set(maker, "SM_MODULE_DIR", maker->task->code);
    set(maker, "SM_MODULE_NAME", module);
    set(maker, "SM_USER_ENTRY_POINT", maker->script->name);
    set(maker, "SAGEMAKER_BASE_DIR", maker->task->folder);
    set(maker, "TRAINING_JOB_NAME", maker->task->state);
}

static void set_machine(struct maker *maker)
{
    set(maker, "SM_CURRENT_HOST", STR(HOST));
    set_json(maker, "SM_HOSTS", one_host(maker));
    set(maker, "SM_NUM_CPUS", arena_printf(maker->arena, "%u", cpu_count()));
    set(maker, "SM_NUM_GPUS", STR("0"));
    set(maker, "SM_NUM_NEURONS", STR("0"));
    set(maker, "SM_LOG_LEVEL", STR("20"));
    set(maker, "SM_FRAMEWORK_PARAMS", STR("{}"));
    set(maker, "SM_NETWORK_INTERFACE_NAME", STR("lo"));
    set_json(maker, "SM_RESOURCE_CONFIG", resource_config(maker));
    set_json(maker, "SM_HPS", hyperparameters(maker));
    set_json(maker, "SM_TRAINING_ENV", training_env(maker));
    /* A log is watched while it is written. */
    set(maker, "PYTHONUNBUFFERED", STR("1"));
    /* The mark by which an orphan is known after a crash; also handy in a script. */
    set(maker, "ONGGI_TASK_FOLDER", maker->task->folder);
    set(maker, "ONGGI_EXECUTION", maker->task->execution);
    set(maker, "ONGGI_STEP", maker->task->state);
}

/* Ours first: of two equal names the first counts. What opens our API stays with us. */
static void add_inherited(struct maker *maker)
{
    for (char **variable = environ; *variable != NULL; variable++)
        if (strncmp(*variable, "ONGGI_", 6) != 0 && strncmp(*variable, "SM_", 3) != 0)
            ARENA_PUSH(maker->arena, maker->vars, maker->var_count,
                       maker->var_capacity) = *variable;
    ARENA_PUSH(maker->arena, maker->vars, maker->var_count, maker->var_capacity) = NULL;
}

enum status sagemaker_prepare(struct task *task, const struct script *script, struct str python,
                              struct surroundings *out, struct error *err)
{
    struct maker maker = { .task = task,
                           .arena = task->arena,
                           .script = script,
                           .around = out,
                           .doc = json_mut_doc(task->arena) };

    *out = (struct surroundings){ .model = below(&maker, "model"),
                                  .data = below(&maker, "output/data") };
    TRY(make_channels(&maker, err));
    TRY(make_outputs(&maker, err));
    TRY(find_program(&maker, python, err));
    TRY(write_configs(&maker, err));
    make_argv(&maker, python);
    set_places(&maker);
    set_machine(&maker);
    add_inherited(&maker);
    out->envp = maker.vars;
    return STATUS_OK;
}
