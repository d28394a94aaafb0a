/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7 forgets a buffer on some broken texts. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

/* What was understood must come back from JSON the same. */
static void check_json(struct arena *arena, const struct yaml_node *document)
{
    struct str json = json_mut_write(arena, yaml_to_json(json_mut_doc(arena), document));
    struct yaml_node *again;
    struct error err;

    if (yaml_from_json(arena, STR("again"), 1, json, &again, &err) != STATUS_OK ||
        !str_equal(json, json_mut_write(arena, yaml_to_json(json_mut_doc(arena), again))))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct yaml_node *documents;
    size_t count;
    struct error err;

    if (yaml_parse(arena, STR("fuzz.yaml"), (struct str){ (const char *)data, size },
                   &documents, &count, &err) == STATUS_OK) {
        for (size_t i = 0; i < count; i++)
            check_json(arena, &documents[i]);
    }
    arena_free(arena);
    return 0;
}
