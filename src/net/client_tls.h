/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What both clients hold of TLS alike: whom to trust, whom to expect, and a sentence about what went wrong. */
#include "base/status.h"

#include <openssl/ssl.h>

/* TLS 1.2 at least, certificates are checked. ca_file: PEM; NULL for the system's. Free with SSL_CTX_free. */
MUST_USE enum status client_tls_context(const char *ca_file, SSL_CTX **out, struct error *err);
/* The certificate must be for this name or address; a name is told to the server too. */
MUST_USE enum status client_tls_expect(SSL *ssl, const char *host, struct error *err);
/* For a handshake that is over, without another check: the other side has shown the certificate of this file. */
MUST_USE enum status client_tls_same(SSL *ssl, const char *certificate, struct error *err);
/* UNAVAILABLE, with what OpenSSL and the check of the certificate have to say about the last call. */
enum status client_tls_failed(SSL *ssl, const char *what, struct error *err);
