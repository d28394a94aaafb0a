/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include "base/clock.h"

#define XXH_INLINE_ALL
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

static void fatal(const char *what)
{
    fprintf(stderr, "onggi: %s\n", what);
    abort();
}

struct sha256 *sha256_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        fatal("OpenSSL has no SHA-256");
    return (struct sha256 *)context;
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t len)
{
    if (EVP_DigestUpdate((EVP_MD_CTX *)hash, bytes, len) != 1)
        fatal("OpenSSL could not add to a SHA-256");
}

void sha256_end(struct sha256 *hash, char hex[SHA256_HEX_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[SHA256_BYTES];

    if (EVP_DigestFinal_ex((EVP_MD_CTX *)hash, sum, NULL) != 1)
        fatal("OpenSSL could not end a SHA-256");
    EVP_MD_CTX_free((EVP_MD_CTX *)hash);
    for (size_t i = 0; i < sizeof(sum); i++) {
        hex[2 * i] = digits[sum[i] >> 4];
        hex[2 * i + 1] = digits[sum[i] & 15];
    }
    hex[SHA256_HEX_LEN] = '\0';
}

struct str sha256_hex(struct arena *arena, struct str bytes)
{
    char *hex = arena_alloc(arena, SHA256_HEX_LEN + 1);
    struct sha256 *hash = sha256_new();

    sha256_add(hash, bytes.data, bytes.len);
    sha256_end(hash, hex);
    return (struct str){ hex, SHA256_HEX_LEN };
}

uint64_t hash64(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}

bool equal_constant_time(struct str a, struct str b)
{
    return a.len == b.len && CRYPTO_memcmp(a.data, b.data, a.len) == 0;
}

void random_bytes(void *out, size_t len)
{
    char *at = out;

    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);

        if (n < 0)
            fatal("the system gives no random bytes");
        at += n;
        len -= (size_t)n;
    }
}

uint64_t random_u64(void)
{
    uint64_t number;

    random_bytes(&number, sizeof(number));
    return number;
}

/* github.com/ulid/spec: 48 bits of milliseconds, 80 random bits. */
struct str id_new(struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t ms = (uint64_t)(clock_now_us() / 1000);
    unsigned char noise[16];
    char *id = arena_alloc(arena, ID_LEN + 1);

    random_bytes(noise, sizeof(noise));
    for (int i = 9; i >= 0; i--) {
        id[i] = digits[ms & 31];
        ms >>= 5;
    }
    for (int i = 0; i < 16; i++)
        id[10 + i] = digits[noise[i] & 31];
    return (struct str){ id, ID_LEN };
}
