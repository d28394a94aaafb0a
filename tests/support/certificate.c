/* SPDX-License-Identifier: Apache-2.0 */
#include "support/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #what); \
            abort(); \
        } \
    } while (0)

static FILE *file_of(const char *path, const char *suffix, const char *mode)
{
    char name[512];
    FILE *file;

    snprintf(name, sizeof(name), "%s%s", path, suffix);
    MUST((file = fopen(name, mode)) != NULL);
    return file;
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    MUST((extension = X509V3_EXT_conf_nid(NULL, &context, nid, value)) != NULL);
    MUST(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *certificate_new(const char *path, const struct test_certificate *wanted,
                             EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    uint64_t serial;

    MUST(RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), wanted->from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), wanted->till_s);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)path, -1, -1,
                               0);
    X509_set_pubkey(certificate, key);
    return certificate;
}

static void sign(X509 *certificate, EVP_PKEY *key, const struct test_certificate *wanted)
{
    X509 *issuer = certificate;
    EVP_PKEY *issuer_key = key;
    FILE *file;

    if (wanted->issuer != NULL) {
        file = file_of(wanted->issuer, ".pem", "r");
        MUST((issuer = PEM_read_X509(file, NULL, NULL, NULL)) != NULL);
        fclose(file);
        file = file_of(wanted->issuer, ".key", "r");
        MUST((issuer_key = PEM_read_PrivateKey(file, NULL, NULL, NULL)) != NULL);
        fclose(file);
    }
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    add_extension(certificate, issuer, NID_basic_constraints,
                  wanted->is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (wanted->names != NULL)
        add_extension(certificate, issuer, NID_subject_alt_name, wanted->names);
    MUST(X509_sign(certificate, issuer_key, EVP_sha256()) > 0);
    if (issuer != certificate) {
        X509_free(issuer);
        EVP_PKEY_free(issuer_key);
    }
}

void test_certificate_write(const char *path, const struct test_certificate *wanted)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = certificate_new(path, wanted, key);
    FILE *file;

    sign(certificate, key, wanted);
    file = file_of(path, ".pem", "w");
    MUST(PEM_write_X509(file, certificate) == 1);
    fclose(file);
    file = file_of(path, ".key", "w");
    MUST(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}
