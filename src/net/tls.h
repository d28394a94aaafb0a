/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * TLS by OpenSSL between a socket and the connection above it. The engine only
 * sees memory; libuv moves the bytes. One context holds certificate and key and
 * is swapped on reload; connections keep the one they began with.
 */
#include "net/connection.h"

MUST_USE enum status tls_context_new(const struct server_tls *config, struct tls_context **out,
                                     struct error *err);
void tls_context_free(struct tls_context **context);

struct tls *tls_new(const struct tls_context *context);
void tls_free(struct tls **tls);
/* Bytes from the socket; what they decipher to goes to connection_receive. */
void tls_receive(struct connection *connection, struct str bytes);
enum sent tls_send(struct connection *connection, const uv_buf_t *pieces, unsigned count);
/* Says good-bye, before the socket is shut down. */
void tls_shutdown(struct connection *connection);
