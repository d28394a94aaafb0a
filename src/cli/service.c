/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/service.h"

#include "cli/client.h"

#define FIELDS_MAX 256

struct field {
    struct str name;
    enum value_type type;
    bool is_key;
};

struct fields {
    struct field items[FIELDS_MAX];
    struct str names[FIELDS_MAX];
    size_t count;
};

static void add_fields(struct fields *fields, yyjson_val *list, bool is_key)
{
    size_t index, max;
    yyjson_val *item;

    yyjson_arr_foreach(list, index, max, item)
    {
        struct field field = { .name = json_str(json_find(item, STR("name"))),
                               .is_key = is_key };

        if (fields->count == FIELDS_MAX ||
            !value_type_parse(json_str(json_find(item, STR("type"))), &field.type))
            continue;
        fields->names[fields->count] = field.name;
        fields->items[fields->count++] = field;
    }
}

static enum status find_field(struct cli *cli, const struct fields *fields, struct str name,
                              struct field *out, struct error *err)
{
    struct str nearest;

    for (size_t i = 0; i < fields->count; i++) {
        if (str_equal(fields->items[i].name, name)) {
            *out = fields->items[i];
            return STATUS_OK;
        }
    }
    nearest = str_nearest(name, fields->names, fields->count);
    if (nearest.len == 0)
        return cli_usage(cli, err, "there is no key and no request field '" STR_FMT "'",
                         STR_ARG(name));
    return cli_usage(cli, err,
                     "there is no key and no request field '" STR_FMT
                     "'; did you mean '" STR_FMT "'?",
                     STR_ARG(name), STR_ARG(nearest));
}

static enum status read_word(struct cli *cli, struct str word, const struct fields *fields,
                             struct field *field, struct value *value, struct error *err)
{
    size_t equals = str_index(word, '=');
    struct str text = str_slice(word, equals + 1, word.len);

    if (equals == word.len)
        return cli_usage(cli, err, "'" STR_FMT "': expected name=value", STR_ARG(word));
    TRY(find_field(cli, fields, str_slice(word, 0, equals), field, err));
    if (str_equal(text, STR("null"))) {
        *value = value_null(field->type);
        return STATUS_OK;
    }
    if (value_parse(cli->arena, field->type, text, value, err) != STATUS_OK) {
        cli->exit_code = EXIT_USAGE;
        return error_wrap(err, STR_FMT, STR_ARG(field->name));
    }
    return STATUS_OK;
}

static void put_value(yyjson_mut_doc *doc, yyjson_mut_val *object, const struct field *field,
                      struct value value, bool columns)
{
    yyjson_mut_val *json = json_from_value(doc, value);

    if (columns) {
        yyjson_mut_val *array = yyjson_mut_arr(doc);

        yyjson_mut_arr_append(array, json);
        json = array;
    }
    yyjson_mut_obj_put(object, yyjson_mut_strncpy(doc, field->name.data, field->name.len),
                       json);
}

enum status service_fill(struct cli *cli, struct str service, size_t from, bool columns,
                         yyjson_mut_doc *doc, yyjson_mut_val *body, struct error *err)
{
    struct fields *fields = ARENA_NEW(cli->arena, struct fields);
    yyjson_mut_val *entities = yyjson_mut_obj(doc), *request = yyjson_mut_obj(doc);
    yyjson_val *definition;

    TRY(cli_get(cli, cli_target(cli, "/api/v1/definitions/service/", service, ""), &definition,
                err));
    add_fields(fields, json_find(definition, STR("entities")), true);
    add_fields(fields, json_find(definition, STR("request")), false);
    for (size_t i = from; i < cli->line.arg_count; i++) {
        struct field field;
        struct value value;

        TRY(read_word(cli, cli->line.args[i], fields, &field, &value, err));
        if (yyjson_mut_obj_getn(field.is_key ? entities : request, field.name.data,
                                field.name.len) != NULL)
            return cli_usage(cli, err, "'" STR_FMT "' is given twice", STR_ARG(field.name));
        put_value(doc, field.is_key ? entities : request, &field, value, columns);
    }
    yyjson_mut_obj_add_val(doc, body, "entities", entities);
    yyjson_mut_obj_add_val(doc, body, "request", request);
    return STATUS_OK;
}
