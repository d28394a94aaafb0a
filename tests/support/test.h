/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What every test program includes: cmocka, TEST(), and assertions that speak
 * our types. A program lists its tests: TEST_MAIN(TEST_CASE(name), …).
 */
#include "base/arena.h"
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four above before it. */
#include <cmocka.h>

#define TEST(name) static void name(void **unused_state __attribute__((unused)))
#define TEST_CASE(name) cmocka_unit_test(name)
#define TEST_MAIN(...) \
    int main(void) \
    { \
        const struct CMUnitTest tests[] = { __VA_ARGS__ }; \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

/* A failure prints the message in `err`, which must be in scope. */
#define assert_ok(call) \
    do { \
        if ((call) != STATUS_OK) \
            fail_msg("%s: %s", #call, err.message); \
    } while (0)

#define assert_fails(wanted, call) \
    do { \
        enum status status_ = (call); \
        if (status_ != (wanted)) \
            fail_msg("%s gave %s, wanted %s", #call, status_name(status_), \
                     status_name(wanted)); \
    } while (0)

#define assert_str_equal(a, b) \
    do { \
        struct str a_ = (a), b_ = (b); \
        if (!str_equal(a_, b_)) \
            fail_msg("'" STR_FMT "' is not '" STR_FMT "'", STR_ARG(a_), STR_ARG(b_)); \
    } while (0)

#define assert_str_contains(text, part) \
    do { \
        struct str t_ = (text), p_ = (part); \
        if (p_.len > 0 && memmem(t_.data, t_.len, p_.data, p_.len) == NULL) \
            fail_msg("'" STR_FMT "' lacks '" STR_FMT "'", STR_ARG(t_), STR_ARG(p_)); \
    } while (0)

/* A fresh folder under $TMPDIR or the build's working folder; the caller removes it with folder_remove. */
char *test_folder(void);
