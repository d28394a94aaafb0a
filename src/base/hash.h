/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Hashes: SHA-256 for what must not be forged, XXH3 for tables in memory. */
#include "base/arena.h"

#define SHA256_BYTES 32
#define SHA256_HEX_LEN 64

struct sha256; /* one running hash */

struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *hash, const void *bytes, size_t len);
/* Frees the hash. hex is lower case and NUL-terminated. */
void sha256_end(struct sha256 *hash, char hex[SHA256_HEX_LEN + 1]);
/* In one go, as lower-case hex in the arena. */
struct str sha256_hex(struct arena *arena, struct str bytes);

uint64_t hash64(const void *bytes, size_t len, uint64_t seed);

/* Takes the same time wherever two strings differ: for tokens and their hashes. */
bool equal_constant_time(struct str a, struct str b);

/* From the system's generator; ends the process if there is none. */
void random_bytes(void *out, size_t len);
uint64_t random_u64(void);
/* 26 characters, sorts by time of making (ULID, Crockford base 32). */
#define ID_LEN 26
struct str id_new(struct arena *arena);
