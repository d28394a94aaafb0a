/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents as they are recorded, linked without any file. What is accepted must be whole, and must
 * be the same when it is recorded and linked again.
 */
#include "features/definition_internal.h"
#include "features/feature_store_view.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COLUMNS \
    "[{\"name\":\"k\",\"native\":\"BIGINT\",\"type\":\"int64\"}," \
    "{\"name\":\"s\",\"native\":\"VARCHAR\",\"type\":\"string\"}," \
    "{\"name\":\"n\",\"native\":\"INTEGER\",\"type\":\"int32\"}," \
    "{\"name\":\"f\",\"native\":\"DOUBLE\",\"type\":\"float64\"}," \
    "{\"name\":\"b\",\"native\":\"BOOLEAN\",\"type\":\"bool\"}," \
    "{\"name\":\"y\",\"native\":\"BLOB\",\"type\":\"bytes\"}," \
    "{\"name\":\"t\",\"native\":\"TIMESTAMP\",\"type\":\"timestamp\"}," \
    "{\"name\":\"l\",\"native\":\"INTEGER[]\"}]"

static void add_item(struct arena *arena, struct definition_record *record,
                     const struct yaml_node *document)
{
    static const char *const kinds[] = { "service", "view", "source", "entity" };

    for (size_t i = 0; i < ARRAY_LEN(kinds) && document->kind == YAML_MAPPING; i++) {
        const struct yaml_node *name = yaml_find(document, kinds[i]);
        struct definition_item *item = &record->items[record->item_count];

        if (name == NULL || name->kind != YAML_SCALAR || !str_is_name(name->text))
            continue;
        *item = (struct definition_item){ .kind = str_from(kinds[i]), .name = name->text };
        item->place = (struct place){ document->file, document->line, document->column };
        item->json = json_mut_write(arena, yaml_to_json(json_mut_doc(arena), document));
        record->item_count++;
        if (i == 2)
            record->columns[record->column_count++] =
                (struct recorded_columns){ name->text, STR("f"), STR(COLUMNS) };
        return;
    }
}

static void check_plan(const struct plan *plan)
{
    for (size_t i = 0; i < plan->output_count; i++)
        if (plan->outputs[i].slot >= plan->slot_count)
            abort();
    for (size_t e = 0; e < plan->expression_count; e++) {
        const struct plan_expression *expression = &plan->expressions[e];

        for (size_t i = 0; i < expression->feature->input_count; i++) {
            const struct plan_input *input = &expression->inputs[i];

            if (input->index >=
                (input->is_request ? plan->request_field_count : expression->slot))
                abort();
        }
    }
}

static void check(struct arena *arena, const struct definitions *one,
                  const struct definitions *again)
{
    for (size_t i = 0; i < one->view_count; i++) {
        struct stored_view stored;

        if (!str_equal(one->views[i].hash, again->views[i].hash))
            abort();
        if (one->views[i].kind != VIEW_REQUEST)
            stored_view_init(&stored, arena, &one->views[i]);
    }
    for (size_t i = 0; i < one->service_count; i++) {
        if (!str_equal(one->services[i].hash, again->services[i].hash))
            abort();
        check_plan(&one->services[i].plan);
    }
}

static void link_twice(struct arena *arena, struct definition_record *record)
{
    struct definitions *made, *remade;
    const struct definitions *one, *again;
    struct error err;

    if (definitions_restore(STR("/project"), record, &made, &err) != STATUS_OK)
        return;
    record->items = made->items;
    record->item_count = made->item_count;
    if (definitions_restore(STR("/project"), record, &remade, &err) != STATUS_OK)
        abort();
    check(arena, made, remade);
    one = made;
    again = remade;
    definitions_unref(&one);
    definitions_unref(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct definition_record record = { .revision = 1 };
    struct yaml_node *documents;
    size_t count;
    struct error err;

    if (yaml_parse(arena, STR("features/a.yaml"), (struct str){ (const char *)data, size },
                   &documents, &count, &err) == STATUS_OK) {
        record.items = ARENA_ARRAY(arena, struct definition_item, count);
        record.columns = ARENA_ARRAY(arena, struct recorded_columns, count);
        for (size_t i = 0; i < count; i++)
            add_item(arena, &record, &documents[i]);
        link_twice(arena, &record);
    }
    arena_free(arena);
    return 0;
}
