/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/exit_code.h"

enum exit_code exit_code_of_status(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return EXIT_DONE;
    case STATUS_NOT_FOUND:
        return EXIT_MISSING;
    case STATUS_TIMEOUT:
    case STATUS_UNAVAILABLE:
        return EXIT_AWAY;
    case STATUS_INVALID:
    case STATUS_CONFLICT:
    case STATUS_LIMIT:
    case STATUS_INTERNAL:
        break;
    }
    return EXIT_FAILED;
}
