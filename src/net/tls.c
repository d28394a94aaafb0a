/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include "base/file.h"
#include "base/log.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#define WARN_DAYS 14
#define PEM_MAX ((size_t)1 << 20)
#define PIECES_MAX 2
/* So much at a time: a large reply is not held twice. */
#define ENCIPHER_MAX ((size_t)60 << 10)
/* What an idle connection keeps of either direction. */
#define KEPT_BYTES ((size_t)24 << 10)
/* A client that makes the engine answer, and never reads, is let go beyond this. */
#define UNREAD_MAX ((size_t)256 << 10)

struct tls_context {
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl;
    BIO *in;                   /* from the socket */
    BIO *out;                  /* to the socket */
    unsigned writes;           /* under way */
    uv_buf_t rest[PIECES_MAX]; /* what is not enciphered yet of what is to be sent */
    unsigned rest_count;
};

/* Enciphered bytes that the socket did not take at once. */
struct tls_write {
    uv_write_t req;
    struct connection *connection;
    char data[];
};

static enum status openssl_failed(struct error *err, const char *what, const char *path)
{
    unsigned long code = ERR_peek_error();
    const char *reason = ERR_reason_error_string(code);

    if (ERR_SYSTEM_ERROR(code))
        reason = strerror(ERR_GET_REASON(code));
    ERR_clear_error();
    return error_set(err, STATUS_INVALID, "%s %s: %s", what, path,
                     reason == NULL ? "it cannot be used" : reason);
}

/* The first failure tells whether there was a file at all. */
static enum status file_failed(struct error *err, const char *what, const char *path)
{
    unsigned long code = ERR_peek_error();

    if (ERR_GET_LIB(code) != ERR_LIB_PEM && ERR_GET_LIB(code) != ERR_LIB_OSSL_DECODER)
        return openssl_failed(err, what, path);
    ERR_clear_error();
    return error_set(err, STATUS_INVALID, "%s %s: there is none in it that can be read as PEM",
                     what, path);
}

static enum status at_place(struct error *err, const char *place)
{
    return place == NULL ? err->status : error_wrap(err, "%s", place);
}

/* Nobody is there to type it. */
static int no_passphrase(char *room, int size, int writing, void *was_asked)
{
    (void)room;
    (void)size;
    (void)writing;
    *(bool *)was_asked = true;
    return -1;
}

static BIO *open_pem(const char *path, struct str text)
{
    return text.len > 0 ? BIO_new_mem_buf(text.data, (int)text.len) : BIO_new_file(path, "re");
}

/* The server's own, and behind it the others of its chain. */
static bool use_chain(SSL_CTX *ssl, BIO *from)
{
    bool was_asked;
    X509 *certificate = PEM_read_bio_X509_AUX(from, NULL, no_passphrase, &was_asked);
    bool good = certificate != NULL && SSL_CTX_use_certificate(ssl, certificate) == 1;

    X509_free(certificate);
    while (good &&
           (certificate = PEM_read_bio_X509(from, NULL, no_passphrase, &was_asked)) != NULL) {
        good = SSL_CTX_add0_chain_cert(ssl, certificate) == 1;
        if (!good)
            X509_free(certificate);
    }
    if (good && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
        ERR_clear_error(); /* the end */
    return good && ERR_peek_error() == 0;
}

static bool use_key(SSL_CTX *ssl, BIO *from, bool *was_asked)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(from, NULL, no_passphrase, was_asked);
    bool good = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1;

    EVP_PKEY_free(key);
    return good;
}

static enum status load_certificate(SSL_CTX *ssl, const struct server_tls *config,
                                    struct error *err)
{
    BIO *from = open_pem(config->certificate, config->certificate_pem);
    bool loaded = from != NULL && use_chain(ssl, from);

    BIO_free(from);
    return loaded ? STATUS_OK : file_failed(err, "read the certificate", config->certificate);
}

static enum status load_key(SSL_CTX *ssl, const struct server_tls *config, struct error *err)
{
    const char *path = config->key;
    BIO *from = open_pem(path, config->key_pem);
    bool was_asked = false;
    bool loaded = from != NULL && use_key(ssl, from, &was_asked);

    BIO_free(from);
    if (loaded)
        return STATUS_OK;
    if (!was_asked && ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509)
        return openssl_failed(err, "the key does not belong to the certificate:", path);
    if (!was_asked)
        return file_failed(err, "read the key", path);
    ERR_clear_error();
    return error_set(err, STATUS_INVALID,
                     "read the key %s: it has a passphrase; 'openssl pkey -in FILE -out FILE' "
                     "takes it off",
                     path);
}

static enum status load(SSL_CTX *ssl, const struct server_tls *config, struct error *err)
{
    ERR_clear_error();
    if (load_certificate(ssl, config, err) != STATUS_OK)
        return at_place(err, config->certificate_place);
    if (load_key(ssl, config, err) != STATUS_OK)
        return at_place(err, config->key_place);
    if (SSL_CTX_check_private_key(ssl) != 1) {
        openssl_failed(err, "the key does not belong to the certificate:", config->key);
        return at_place(err, config->key_place);
    }
    return STATUS_OK;
}

/* It is served all the same: whether that is enough is for the clients to say. */
static void warn_of_end(SSL_CTX *ssl, const struct server_tls *config)
{
    const ASN1_TIME *end = X509_get0_notAfter(SSL_CTX_get0_certificate(ssl));
    int days, seconds;

    if (ASN1_TIME_diff(&days, &seconds, NULL, end) != 1)
        return;
    if (days < 0 || seconds < 0)
        log_warn("net: the certificate %s has expired", config->certificate);
    else if (days < WARN_DAYS)
        log_warn("net: the certificate %s expires in %d days", config->certificate, days);
}

/* HTTP/1.1 is all that is spoken here; a client that insists on more is told so. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)context;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

enum status tls_context_new(const struct server_tls *config, struct tls_context **out,
                            struct error *err)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    struct tls_context *context;

    if (ssl == NULL)
        return openssl_failed(err, "start", "OpenSSL");
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
    if (load(ssl, config, err) != STATUS_OK) {
        SSL_CTX_free(ssl);
        return status_of_failure(err->status);
    }
    context = calloc(1, sizeof(*context));
    if (context == NULL)
        abort();
    context->ssl = ssl;
    *out = context;
    return STATUS_OK;
}

/* A file that cannot be read is told by who loads it. */
static struct str pem_of(struct arena *arena, const char *path)
{
    struct str text;
    struct error ignored;

    return file_read(arena, path, PEM_MAX, &text, &ignored) == STATUS_OK ? text : STR_EMPTY;
}

enum status server_tls_read(struct arena *arena, struct server_tls *config, struct error *err)
{
    struct server_tls read = *config;
    struct tls_context *context;

    read.certificate_pem = pem_of(arena, config->certificate);
    read.key_pem = pem_of(arena, config->key);
    TRY(tls_context_new(&read, &context, err));
    warn_of_end(context->ssl, config);
    tls_context_free(&context);
    *config = read;
    return STATUS_OK;
}

void tls_context_free(struct tls_context **context)
{
    if (*context == NULL)
        return;
    SSL_CTX_free((*context)->ssl); /* connections hold references of their own */
    free(*context);
    *context = NULL;
}

static BIO *memory_new(void)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio == NULL)
        abort();
    return bio;
}

struct tls *tls_new(const struct tls_context *context)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    if (tls == NULL)
        abort();
    tls->ssl = SSL_new(context->ssl);
    if (tls->ssl == NULL)
        abort();
    tls->in = memory_new();
    tls->out = memory_new();
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_accept_state(tls->ssl);
    return tls;
}

void tls_free(struct tls **tls)
{
    if (*tls == NULL)
        return;
    SSL_free((*tls)->ssl); /* with both BIOs */
    free(*tls);
    *tls = NULL;
}

static enum sent encipher(struct connection *connection);

static void on_tls_written(uv_write_t *req, int status)
{
    struct tls_write *write = container_of(req, struct tls_write, req);
    struct connection *connection = write->connection;

    free(write);
    if (connection->state == CONNECTION_CLOSED)
        return;
    connection->tls->writes--;
    if (status < 0)
        connection_close(connection);
    else if (connection->tls->writes == 0 && connection->is_sending &&
             encipher(connection) == SENT_ALL)
        connection_sent(connection);
}

static enum sent write_later(struct connection *connection, const char *data, size_t len)
{
    struct tls_write *write = malloc(sizeof(*write) + len);
    uv_buf_t piece;

    if (write == NULL)
        abort();
    memcpy(write->data, data, len);
    write->connection = connection;
    piece = uv_buf_init(write->data, (unsigned)len);
    if (uv_write(&write->req, (uv_stream_t *)&connection->tcp, &piece, 1, on_tls_written) !=
        0) {
        free(write);
        connection_close(connection);
        return SENT_LOST;
    }
    connection->tls->writes++;
    return SENT_LATER;
}

static enum sent write_now(struct connection *connection, char *data, size_t len)
{
    uv_buf_t piece = uv_buf_init(data, (unsigned)len);
    int done = uv_try_write((uv_stream_t *)&connection->tcp, &piece, 1);

    if (done == UV_EAGAIN)
        done = 0;
    if (done < 0) {
        connection_close(connection);
        return SENT_LOST;
    }
    return (size_t)done == len ? SENT_ALL
                               : write_later(connection, data + done, len - (size_t)done);
}

/* An engine's memory keeps the size of the largest piece that was in it: a large one is not kept. */
static bool is_worn(BIO *bio)
{
    BUF_MEM *memory;

    return BIO_pending(bio) == 0 && BIO_get_mem_ptr(bio, &memory) == 1 &&
           memory->max > KEPT_BYTES;
}

/* Moves what the engine has enciphered to the socket. */
static enum sent flush(struct connection *connection)
{
    struct tls *tls = connection->tls;
    char *data = connection->loop->cipher_buffer;

    while (BIO_pending(tls->out) > 0) {
        int len = BIO_read(tls->out, data, READ_BUFFER);

        if (len > 0 && write_now(connection, data, (size_t)len) == SENT_LOST)
            return SENT_LOST;
    }
    if (tls->rest_count == 0 && is_worn(tls->out)) {
        tls->out = memory_new();
        SSL_set0_wbio(tls->ssl, tls->out);
    }
    return tls->writes > 0 ? SENT_LATER : SENT_ALL;
}

/* Into memory, which takes all of it, or the connection is broken. */
static bool encipher_piece(struct tls *tls)
{
    size_t room = ENCIPHER_MAX, written = 0;

    while (tls->rest_count > 0 && room > 0) {
        uv_buf_t *piece = &tls->rest[0];
        size_t len = piece->len < room ? piece->len : room;

        if (len > 0 && SSL_write_ex(tls->ssl, piece->base, len, &written) != 1)
            return false;
        room -= len;
        piece->base += len;
        piece->len -= len;
        if (piece->len == 0) {
            tls->rest[0] = tls->rest[1];
            tls->rest_count--;
        }
    }
    return true;
}

/* As far as the socket takes it; the rest follows when that has left. */
static enum sent encipher(struct connection *connection)
{
    struct tls *tls = connection->tls;
    enum sent sent = SENT_ALL;

    while (sent == SENT_ALL && tls->rest_count > 0) {
        if (!encipher_piece(tls)) {
            ERR_clear_error();
            connection_close(connection);
            return SENT_LOST;
        }
        sent = flush(connection);
    }
    return sent;
}

enum sent tls_send(struct connection *connection, const uv_buf_t *pieces, unsigned count)
{
    struct tls *tls = connection->tls;

    for (tls->rest_count = 0; tls->rest_count < count; tls->rest_count++)
        tls->rest[tls->rest_count] = pieces[tls->rest_count];
    return encipher(connection);
}

void tls_shutdown(struct connection *connection)
{
    if (SSL_is_init_finished(connection->tls->ssl))
        SSL_shutdown(connection->tls->ssl);
    ERR_clear_error();
    flush(connection);
}

/* False when the engine needs more bytes or has given up. */
static bool decipher(struct connection *connection)
{
    struct tls *tls = connection->tls;
    size_t got = 0;
    int result;

    result = SSL_read_ex(tls->ssl, connection->loop->plain_buffer, READ_BUFFER, &got);
    if (result == 1) {
        connection_receive(connection, (struct str){ connection->loop->plain_buffer, got });
        return connection->state != CONNECTION_CLOSED;
    }
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        connection_end(connection);
        break;
    default:
        flush(connection); /* the alert that says why */
        connection_close(connection);
        break;
    }
    ERR_clear_error();
    return false;
}

void tls_receive(struct connection *connection, struct str bytes)
{
    if (bytes.len > INT_MAX ||
        BIO_write(connection->tls->in, bytes.data, (int)bytes.len) <= 0) {
        connection_close(connection);
        return;
    }
    while (decipher(connection))
        continue;
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (is_worn(connection->tls->in)) {
        connection->tls->in = memory_new();
        SSL_set0_rbio(connection->tls->ssl, connection->tls->in);
    }
    /* Handshakes and key updates answer without anybody above. */
    if (flush(connection) == SENT_LATER &&
        uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp) > UNREAD_MAX)
        connection_close(connection);
}
