/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Certificates for tests, made on the spot: nothing in the tree that expires. */

#include <stdbool.h>

struct test_certificate {
    const char *names;   /* as in "DNS:localhost,IP:127.0.0.1"; NULL: none */
    long from_s, till_s; /* seconds from now */
    bool is_authority;
    const char *issuer; /* another one's path without ".pem"; NULL: signed by itself */
};

/* Writes PATH.pem and PATH.key. */
void test_certificate_write(const char *path, const struct test_certificate *wanted);
