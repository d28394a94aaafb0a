/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <errno.h>
#include <stdio.h>

static const char *const names[] = {
    [STATUS_OK] = "ok",
    [STATUS_INVALID] = "invalid",
    [STATUS_NOT_FOUND] = "not_found",
    [STATUS_CONFLICT] = "conflict",
    [STATUS_LIMIT] = "limit",
    [STATUS_TIMEOUT] = "timeout",
    [STATUS_UNAVAILABLE] = "unavailable",
    [STATUS_INTERNAL] = "internal",
};

const char *status_name(enum status status)
{
    return names[status];
}

/* A message that did not fit ends in an ellipsis on a character's border. */
static void mark_cut(struct error *err, int wanted)
{
    static const char ellipsis[] = "…";
    size_t end = sizeof(err->message) - sizeof(ellipsis);

    if (wanted < (int)sizeof(err->message))
        return;
    while (end > 0 && ((unsigned char)err->message[end] & 0xC0) == 0x80)
        end--;
    memcpy(err->message + end, ellipsis, sizeof(ellipsis));
}

enum status(error_set)(struct error *err, enum status status, const char *format, ...)
{
    va_list args;

    err->status = status;
    va_start(args, format);
    mark_cut(err, vsnprintf(err->message, sizeof(err->message), format, args));
    va_end(args);
    return status;
}

enum status(error_wrap)(struct error *err, const char *format, ...)
{
    char cause[sizeof(err->message)];
    char context[sizeof(err->message)];
    va_list args;

    memcpy(cause, err->message, sizeof(cause));
    va_start(args, format);
    vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    mark_cut(err, snprintf(err->message, sizeof(err->message), "%s: %s", context, cause));
    return err->status;
}

static enum status status_of_errno(int error_number)
{
    switch (error_number) {
    case ENOENT:
        return STATUS_NOT_FOUND;
    case EEXIST:
    case EADDRINUSE:
    case EBUSY:
        return STATUS_CONFLICT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return STATUS_LIMIT;
    case ETIMEDOUT:
        return STATUS_TIMEOUT;
    case EAGAIN:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
        return STATUS_UNAVAILABLE;
    case EACCES:
    case EPERM:
    case EISDIR:
    case ENOTDIR:
    case EINVAL:
        return STATUS_INVALID;
    default:
        return STATUS_INTERNAL;
    }
}

enum status(error_errno)(struct error *err, int error_number, const char *format, ...)
{
    char context[sizeof(err->message)];
    char reason[128];
    va_list args;

    va_start(args, format);
    vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    /* The GNU strerror_r may leave the buffer alone and return a constant. */
    return error_set(err, status_of_errno(error_number), "%s: %s", context,
                     strerror_r(error_number, reason, sizeof(reason)));
}
