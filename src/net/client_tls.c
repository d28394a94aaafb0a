/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client_tls.h"

#include "base/str.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static const unsigned char alpn[] = "\x08http/1.1";

/* Those that a person can do something about. */
static const char *certificate_problem(long code)
{
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "the certificate is not valid yet; is this machine's clock right?";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "a self-signed certificate; to trust it, give it as ca_file";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "the certificate is signed by nobody who is trusted here; to trust them, give "
               "their certificate as ca_file";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "the certificate is for another name";
    default:
        return X509_verify_cert_error_string(code);
    }
}

static const char *problem(SSL *ssl, unsigned long code)
{
    const char *reason = ERR_reason_error_string(code);

    if (code == 0)
        return "the other side gave up";
    if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
        switch (ERR_GET_REASON(code)) {
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            if (ssl != NULL)
                return certificate_problem(SSL_get_verify_result(ssl));
            break;
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            return "the other side hung up without saying so; what came may be cut short";
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
            return "the other side does not speak TLS; is it http://?";
        default:
            break;
        }
    }
    return reason == NULL ? "the other side gave up" : reason;
}

enum status client_tls_failed(SSL *ssl, const char *what, struct error *err)
{
    unsigned long code = ERR_get_error();

    error_set(err, STATUS_UNAVAILABLE, "%s: %s", what, problem(ssl, code));
    ERR_clear_error();
    return STATUS_UNAVAILABLE;
}

static enum status trust(SSL_CTX *context, const char *ca_file, struct error *err)
{
    int loaded = ca_file == NULL ? SSL_CTX_set_default_verify_paths(context)
                                 : SSL_CTX_load_verify_locations(context, ca_file, NULL);

    if (loaded == 1)
        return STATUS_OK;
    client_tls_failed(NULL, ca_file == NULL ? "read the system's certificates" : ca_file, err);
    return err->status = STATUS_INVALID;
}

enum status client_tls_context(const char *ca_file, SSL_CTX **out, struct error *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL)
        return client_tls_failed(NULL, "start OpenSSL", err);
    if (trust(context, ca_file, err) != STATUS_OK) {
        SSL_CTX_free(context);
        return err->status;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_protos(context, alpn, sizeof(alpn) - 1);
    *out = context;
    return STATUS_OK;
}

enum status client_tls_expect(SSL *ssl, const char *host, struct error *err)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return STATUS_OK;
    ERR_clear_error();
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(ssl, host) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1)
        return client_tls_failed(ssl, host, err);
    return STATUS_OK;
}

enum status client_tls_same(SSL *ssl, const char *certificate, struct error *err)
{
    X509 *shown = SSL_get0_peer_certificate(ssl), *wanted = NULL;
    BIO *file = BIO_new_file(certificate, "r");
    bool same;

    if (file != NULL)
        wanted = PEM_read_bio_X509(file, NULL, NULL, NULL);
    same = shown != NULL && wanted != NULL && X509_cmp(shown, wanted) == 0;
    X509_free(wanted);
    BIO_free(file);
    ERR_clear_error();
    return same ? STATUS_OK
                : error_set(err, STATUS_UNAVAILABLE,
                            "the server shows another certificate than %s has; a new one takes "
                            "effect by SIGHUP",
                            certificate);
}
