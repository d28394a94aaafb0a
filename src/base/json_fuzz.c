/* SPDX-License-Identifier: Apache-2.0 */
/* JSON bodies of strangers: what is taken can be written, and reads back as the same. */
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(struct arena *arena, yyjson_val *object)
{
    struct str text = STR_EMPTY;
    int64_t number = 0;
    bool flag = false;
    yyjson_val *value = NULL;
    struct error err;

    /* Any of them may fail; none may crash. */
    (void)!json_want_str(object, "s", &text, &err);
    (void)!json_want_int64(object, "i", &number, &err);
    (void)!json_want_bool(object, "b", &flag, &err);
    (void)!json_want_object(object, "o", &value, &err);
    (void)!json_want_array(object, "a", &value, &err);
    (void)!json_only_keys(object, &text, 1, &err);
    for (int type = 0; type < VALUE_TYPE_COUNT; type++) {
        struct value converted;
        struct buffer out = { 0 };

        if (json_to_value(arena, json_find(object, STR("v")), (enum value_type)type, &converted,
                          &err) == STATUS_OK)
            json_write_value(&out, converted);
        buffer_free(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct str text = { (const char *)data, size }, written;
    yyjson_val *value, *again;
    struct buffer quoted = { 0 };
    struct error err;

    if (json_parse(arena, text, &value, &err) == STATUS_OK) {
        written = json_write(arena, value);
        if (json_parse(arena, written, &again, &err) != STATUS_OK ||
            !str_equal(json_write(arena, again), written))
            abort();
        if (yyjson_is_obj(value) && json_find(value, STR("v")) != NULL)
            check_fields(arena, value);
    }
    /* Whatever bytes a string holds, quoted it is JSON. */
    json_write_str(&quoted, text);
    if (json_parse(arena, buffer_str(&quoted), &value, &err) != STATUS_OK)
        abort();
    buffer_free(&quoted);
    arena_free(arena);
    return 0;
}
