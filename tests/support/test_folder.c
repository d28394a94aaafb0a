/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test.h"

char *test_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *path = NULL;

    if (asprintf(&path, "%s/onggi-test-XXXXXX", base == NULL ? "/tmp" : base) < 0 ||
        mkdtemp(path) == NULL) {
        perror("test_folder");
        abort();
    }
    return path;
}
