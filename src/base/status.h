/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A status for the program, a sentence for the person. Who finds a failure
 * writes its cause with error_set; each floor that knows more puts its context
 * in front with error_wrap; who can answer, answers. A struct error lives on
 * the caller's stack and is never freed.
 */
#include "base/str.h"

#include <stdarg.h>

enum status {
    STATUS_OK = 0,
    STATUS_INVALID,     /* what was asked makes no sense; the same again fails again */
    STATUS_NOT_FOUND,   /* the thing named does not exist */
    STATUS_CONFLICT,    /* it exists already, or is in a state that forbids this */
    STATUS_LIMIT,       /* larger or more than is allowed */
    STATUS_TIMEOUT,     /* not finished in time */
    STATUS_UNAVAILABLE, /* something needed is away; may work later */
    STATUS_INTERNAL,    /* our own fault */
};

struct error {
    enum status status;
    char message[512]; /* always NUL-terminated UTF-8; cut with "…" when longer */
};

#define TRY(call) \
    do { \
        enum status try_status_ = (call); \
        if (try_status_ != STATUS_OK) \
            return try_status_; \
    } while (0)

/* Returns the status given, so that `return error_set(…)` reads well. */
enum status error_set(struct error *err, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Puts "context: " in front of the message there is; returns its status. */
enum status error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);
/* STATUS from errno: ENOENT is NOT_FOUND, ENOSPC and EMFILE are LIMIT, and so on; the text of errno is added. */
enum status error_errno(struct error *err, int error_number, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* "invalid", "not_found", …: for logs and JSON. */
const char *status_name(enum status status);

/*
 * A failure is never STATUS_OK. Said to the compiler too, so that it knows an `out` that is only
 * written on success to be written wherever it is read.
 */
static inline enum status status_of_failure(enum status status)
{
    if (status == STATUS_OK)
        __builtin_unreachable();
    return status;
}
/* The same for what tells a failure by false. */
static inline bool false_of_failure(bool done)
{
    if (done)
        __builtin_unreachable();
    return false;
}
#define error_set(...) status_of_failure((error_set)(__VA_ARGS__))
#define error_wrap(...) status_of_failure((error_wrap)(__VA_ARGS__))
#define error_errno(...) status_of_failure((error_errno)(__VA_ARGS__))
