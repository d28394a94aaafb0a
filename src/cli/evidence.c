/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/evidence.h"

#include "cli/client.h"
#include "cli/output.h"

#define METRICS_SHOWN 3

struct str evidence_metrics_text(struct cli *cli, yyjson_val *metrics)
{
    struct str text = STR_EMPTY;
    size_t index, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach(metrics, index, max, key, value)
    {
        if (index == METRICS_SHOWN)
            break;
        text = arena_printf(cli->arena, STR_FMT "%s%s ", STR_ARG(text), index > 0 ? ", " : "",
                            yyjson_get_str(key));
        /* What is no number is a text that says so: "NaN". */
        text = yyjson_is_num(value) ? arena_printf(cli->arena, STR_FMT "%.4g", STR_ARG(text),
                                                   yyjson_get_num(value))
                                    : arena_printf(cli->arena, STR_FMT STR_FMT, STR_ARG(text),
                                                   STR_ARG(json_str(value)));
    }
    return text;
}

void evidence_print_members(const char *title, struct cli *cli, yyjson_val *object)
{
    size_t index, max;
    yyjson_val *key, *value;

    if (yyjson_obj_size(object) == 0)
        return;
    print_line("\n%s", title);
    yyjson_obj_foreach(object, index, max, key, value)
    {
        print_line("  %-26s %s", cli_text(cli, key), cli_text(cli, value));
    }
}

/* Two objects side by side, only where they differ. */
static void print_differences(struct cli *cli, const char *what, yyjson_val *left,
                              yyjson_val *right)
{
    const char *const titles[] = { what, "FIRST", "SECOND", NULL };
    struct table *table = table_new(cli->arena, titles);
    size_t index, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach(left, index, max, key, value)
    {
        yyjson_val *other = json_find(right, json_str(key));

        if (other != NULL && yyjson_equals(value, other))
            continue;
        table_cell(table, json_str(key));
        table_cell(table, json_text(cli->arena, value));
        table_cell(table, json_text(cli->arena, other));
    }
    yyjson_obj_foreach(right, index, max, key, value)
    {
        if (json_find(left, json_str(key)) != NULL)
            continue;
        table_cell(table, json_str(key));
        table_cell(table, STR("-"));
        table_cell(table, json_text(cli->arena, value));
    }
    table_print(table);
}

/* {"NAME": [left, right]} of what differs; null where one side has none. */
static void add_differences(yyjson_mut_doc *doc, yyjson_mut_val *out, yyjson_val *left,
                            yyjson_val *right, bool swapped)
{
    size_t index, max;
    yyjson_val *key, *value;

    yyjson_obj_foreach(left, index, max, key, value)
    {
        yyjson_val *other = json_find(right, json_str(key));
        yyjson_mut_val *mine, *theirs, *pair;

        if (other != NULL && (swapped || yyjson_equals(value, other)))
            continue;
        mine = yyjson_val_mut_copy(doc, value);
        theirs = other == NULL ? yyjson_mut_null(doc) : yyjson_val_mut_copy(doc, other);
        pair = yyjson_mut_arr(doc);
        yyjson_mut_arr_append(pair, swapped ? theirs : mine);
        yyjson_mut_arr_append(pair, swapped ? mine : theirs);
        yyjson_mut_obj_add(out, yyjson_val_mut_copy(doc, key), pair);
    }
}

static void print_differences_json(struct cli *cli, yyjson_val *left, yyjson_val *right)
{
    static const char *const parts[] = { "params", "metrics" };
    yyjson_mut_doc *doc = json_mut_doc(cli->arena);
    yyjson_mut_val *root = yyjson_mut_obj(doc);

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        yyjson_mut_val *part = yyjson_mut_obj_add_obj(doc, root, parts[i]);
        yyjson_val *one = json_find(left, str_from(parts[i]));
        yyjson_val *other = json_find(right, str_from(parts[i]));

        add_differences(doc, part, one, other, false);
        add_differences(doc, part, other, one, true);
    }
    print_json_mut(cli, root);
}

enum status evidence_compare(struct cli *cli, struct str first, struct str second,
                             struct error *err)
{
    yyjson_val *left, *right;

    TRY(cli_get(cli, first, &left, err));
    TRY(cli_get(cli, second, &right, err));
    if (cli->json) {
        print_differences_json(cli, left, right);
        return STATUS_OK;
    }
    print_differences(cli, "PARAMETER", json_find(left, STR("params")),
                      json_find(right, STR("params")));
    print_line("%s", "");
    print_differences(cli, "METRIC", json_find(left, STR("metrics")),
                      json_find(right, STR("metrics")));
    return STATUS_OK;
}
