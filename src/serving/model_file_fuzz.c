/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/model_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(struct str part, struct str whole)
{
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = { (const char *)data, size };
    struct model_file file;
    struct error err;

    if (model_file_check(bytes, &file, &err) == STATUS_OK &&
        (file.nodes == 0 || !lies_in(file.features, bytes) || !lies_in(file.producer, bytes)))
        abort();
    return 0;
}
