/* SPDX-License-Identifier: Apache-2.0 */
/* What SageMaker tells a script of its job and its machine, in files and in variables. */
#include "base/file.h"
#include "workflow/runners/python_text.h"
#include "workflow/runners/sagemaker_internal.h"

#include <sched.h>
#include <stdlib.h>

static yyjson_val *frozen(struct maker *maker, const yyjson_mut_val *value)
{
    yyjson_val *copy;
    struct error err;

    if (json_parse(maker->arena, json_mut_write(maker->arena, value), &copy, &err) != STATUS_OK)
        abort(); /* we wrote it */
    return copy;
}

void sagemaker_set_json(struct maker *maker, const char *name, const yyjson_mut_val *value)
{
    sagemaker_set(maker, name, python_json(maker->arena, frozen(maker, value)));
}

static unsigned cpu_count(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static yyjson_mut_val *list_of(struct maker *maker, const char *only)
{
    yyjson_mut_val *list = yyjson_mut_arr(maker->doc);

    yyjson_mut_arr_add_str(maker->doc, list, only);
    return list;
}

static yyjson_mut_val *group(struct maker *maker)
{
    yyjson_mut_val *group = yyjson_mut_obj(maker->doc);

    yyjson_mut_obj_add_str(maker->doc, group, "instance_group_name", SAGEMAKER_GROUP);
    yyjson_mut_obj_add_str(maker->doc, group, "instance_type", SAGEMAKER_INSTANCE);
    yyjson_mut_obj_add_val(maker->doc, group, "hosts", list_of(maker, SAGEMAKER_HOST));
    return group;
}

static yyjson_mut_val *groups_by_name(struct maker *maker)
{
    yyjson_mut_val *groups = yyjson_mut_obj(maker->doc);

    yyjson_mut_obj_add_val(maker->doc, groups, SAGEMAKER_GROUP, group(maker));
    return groups;
}

static yyjson_mut_val *resource_config(struct maker *maker)
{
    yyjson_mut_val *config = yyjson_mut_obj(maker->doc), *groups;

    yyjson_mut_obj_add_str(maker->doc, config, "current_host", SAGEMAKER_HOST);
    yyjson_mut_obj_add_str(maker->doc, config, "current_instance_type", SAGEMAKER_INSTANCE);
    yyjson_mut_obj_add_str(maker->doc, config, "current_group_name", SAGEMAKER_GROUP);
    yyjson_mut_obj_add_val(maker->doc, config, "hosts", list_of(maker, SAGEMAKER_HOST));
    groups = yyjson_mut_obj_add_arr(maker->doc, config, "instance_groups");
    yyjson_mut_arr_append(groups, group(maker));
    yyjson_mut_obj_add_str(maker->doc, config, "network_interface_name", "lo");
    return config;
}

static yyjson_mut_val *hyperparameters(struct maker *maker)
{
    return maker->script->args == NULL ? yyjson_mut_obj(maker->doc)
                                       : yyjson_val_mut_copy(maker->doc, maker->script->args);
}

/* On their way to SageMaker all are texts, each the JSON of its value. */
static yyjson_mut_val *hyperparameter_texts(struct maker *maker)
{
    yyjson_mut_val *texts = yyjson_mut_obj(maker->doc);
    yyjson_val *key, *value;
    size_t i, count;

    yyjson_obj_foreach(maker->script->args, i, count, key, value)
        json_add_str(maker->doc, texts, yyjson_get_str(key), python_json(maker->arena, value));
    return texts;
}

static yyjson_mut_val *input_data_config(struct maker *maker)
{
    yyjson_mut_val *inputs = yyjson_mut_obj(maker->doc), *key;
    yyjson_mut_obj_iter iter;

    yyjson_mut_obj_iter_init(maker->channels, &iter);
    while ((key = yyjson_mut_obj_iter_next(&iter)) != NULL) {
        yyjson_mut_val *channel = yyjson_mut_obj(maker->doc);

        yyjson_mut_obj_add_str(maker->doc, channel, "TrainingInputMode", "File");
        yyjson_mut_obj_add_str(maker->doc, channel, "S3DistributionType", "FullyReplicated");
        yyjson_mut_obj_add_str(maker->doc, channel, "RecordWrapperType", "None");
        yyjson_mut_obj_add_val(maker->doc, inputs, yyjson_mut_get_str(key), channel);
    }
    return inputs;
}

static void describe_places(struct maker *maker, yyjson_mut_val *env)
{
    yyjson_mut_doc *doc = maker->doc;
    struct str module = maker->script->name;

    if (str_ends(module, STR(".py")))
        module.len -= 3;
    json_add_str(doc, env, "job_name", maker->task->state);
    json_add_str(doc, env, "model_dir", maker->around->model);
    json_add_str(doc, env, "output_data_dir", maker->around->data);
    json_add_str(doc, env, "output_dir", sagemaker_below(maker, "output"));
    json_add_str(doc, env, "output_intermediate_dir",
                 sagemaker_below(maker, "output/intermediate"));
    json_add_str(doc, env, "input_dir", sagemaker_below(maker, "input"));
    json_add_str(doc, env, "input_config_dir", sagemaker_below(maker, "input/config"));
    json_add_str(doc, env, "module_dir", maker->task->code);
    json_add_str(doc, env, "module_name", module);
    json_add_str(doc, env, "user_entry_point", maker->script->name);
}

static void describe_machine(struct maker *maker, yyjson_mut_val *env)
{
    yyjson_mut_doc *doc = maker->doc;

    json_add_str(doc, env, "current_host", STR(SAGEMAKER_HOST));
    json_add_str(doc, env, "current_instance_type", STR(SAGEMAKER_INSTANCE));
    json_add_str(doc, env, "current_instance_group", STR(SAGEMAKER_GROUP));
    yyjson_mut_obj_add_val(doc, env, "current_instance_group_hosts",
                           list_of(maker, SAGEMAKER_HOST));
    yyjson_mut_obj_add_val(doc, env, "instance_groups", list_of(maker, SAGEMAKER_GROUP));
    yyjson_mut_obj_add_val(doc, env, "instance_groups_dict", groups_by_name(maker));
    yyjson_mut_obj_add_bool(doc, env, "is_hetero", false);
    yyjson_mut_obj_add_bool(doc, env, "is_master", true);
    json_add_str(doc, env, "master_hostname", STR(SAGEMAKER_HOST));
    yyjson_mut_obj_add_val(doc, env, "hosts", list_of(maker, SAGEMAKER_HOST));
    json_add_str(doc, env, "network_interface_name", STR("lo"));
    yyjson_mut_obj_add_uint(doc, env, "num_cpus", cpu_count());
    yyjson_mut_obj_add_uint(doc, env, "num_gpus", 0);
    yyjson_mut_obj_add_uint(doc, env, "num_neurons", 0);
    yyjson_mut_obj_add_uint(doc, env, "log_level", 20);
}

/* Everything in one object; the toolkit's users read single keys of it. */
static yyjson_mut_val *training_env(struct maker *maker)
{
    yyjson_mut_doc *doc = maker->doc;
    yyjson_mut_val *env = yyjson_mut_obj(doc);

    describe_places(maker, env);
    describe_machine(maker, env);
    yyjson_mut_obj_add_null(doc, env, "framework_module");
    yyjson_mut_obj_add_val(doc, env, "additional_framework_parameters", yyjson_mut_obj(doc));
    yyjson_mut_obj_add_val(doc, env, "hyperparameters", hyperparameters(maker));
    yyjson_mut_obj_add_val(doc, env, "channel_input_dirs",
                           yyjson_mut_val_mut_copy(doc, maker->channels));
    yyjson_mut_obj_add_val(doc, env, "input_data_config", input_data_config(maker));
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

enum status sagemaker_write_configs(struct maker *maker, struct error *err)
{
    TRY(folder_create(sagemaker_below(maker, "input/config").data, err));
    TRY(write_config(maker, "hyperparameters", hyperparameter_texts(maker), err));
    TRY(write_config(maker, "inputdataconfig", input_data_config(maker), err));
    return write_config(maker, "resourceconfig", resource_config(maker), err);
}

static void set_group(struct maker *maker)
{
    sagemaker_set(maker, "SM_CURRENT_INSTANCE_TYPE", STR(SAGEMAKER_INSTANCE));
    sagemaker_set(maker, "SM_CURRENT_INSTANCE_GROUP", STR(SAGEMAKER_GROUP));
    sagemaker_set_json(maker, "SM_CURRENT_INSTANCE_GROUP_HOSTS",
                       list_of(maker, SAGEMAKER_HOST));
    sagemaker_set_json(maker, "SM_INSTANCE_GROUPS", list_of(maker, SAGEMAKER_GROUP));
    sagemaker_set_json(maker, "SM_INSTANCE_GROUPS_DICT", groups_by_name(maker));
    sagemaker_set(maker, "SM_DISTRIBUTION_INSTANCE_GROUPS", STR("[]"));
    sagemaker_set(maker, "SM_IS_HETERO", STR("false"));
}

void sagemaker_set_machine(struct maker *maker)
{
    sagemaker_set(maker, "SM_CURRENT_HOST", STR(SAGEMAKER_HOST));
    sagemaker_set_json(maker, "SM_HOSTS", list_of(maker, SAGEMAKER_HOST));
    sagemaker_set(maker, "SM_NUM_CPUS", arena_printf(maker->arena, "%u", cpu_count()));
    sagemaker_set(maker, "SM_NUM_GPUS", STR("0"));
    sagemaker_set(maker, "SM_NUM_NEURONS", STR("0"));
    sagemaker_set(maker, "SM_LOG_LEVEL", STR("20"));
    sagemaker_set(maker, "SM_FRAMEWORK_PARAMS", STR("{}"));
    sagemaker_set(maker, "SM_NETWORK_INTERFACE_NAME", STR("lo"));
    set_group(maker);
    sagemaker_set_json(maker, "SM_INPUT_DATA_CONFIG", input_data_config(maker));
    sagemaker_set_json(maker, "SM_RESOURCE_CONFIG", resource_config(maker));
    sagemaker_set_json(maker, "SM_HPS", hyperparameters(maker));
    sagemaker_set_json(maker, "SM_TRAINING_ENV", training_env(maker));
    /* A log is watched while it is written. */
    sagemaker_set(maker, "PYTHONUNBUFFERED", STR("1"));
    /* The mark by which an orphan is known after a crash; also handy in a script. */
    sagemaker_set(maker, "ONGGI_TASK_FOLDER", maker->task->folder);
    sagemaker_set(maker, "ONGGI_EXECUTION", maker->task->execution);
    sagemaker_set(maker, "ONGGI_STEP", maker->task->state);
}
