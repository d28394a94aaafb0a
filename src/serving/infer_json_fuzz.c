/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/infer_json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All of what a tensor claims to hold must be there. */
static void touch(const struct tensor *tensor)
{
    size_t count;
    struct error err;

    if (tensor_count(tensor->dims, tensor->rank, SIZE_MAX, &count, &err) != STATUS_OK ||
        count != tensor->count)
        abort();
    for (size_t i = 0; i < tensor->count; i++) {
        struct value value = tensor_value(tensor, i);

        if (value.is_null || (value.type == TYPE_STRING && !str_is_utf8(value.text)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tensor_spec outputs[] = { { .name = STR_INIT("y") },
                                                  { .name = STR_INIT("z") } };
    struct arena *arena = arena_new();
    struct infer_request request;
    struct error err;

    if (infer_request_parse(arena, (struct str){ (const char *)data, size }, outputs,
                            ARRAY_LEN(outputs), &request, &err) == STATUS_OK) {
        for (size_t i = 0; i < request.input_count; i++)
            touch(&request.inputs[i]);
        if (request.output_count == 0 || request.output_count > ARRAY_LEN(outputs))
            abort();
    }
    arena_free(arena);
    return 0;
}
