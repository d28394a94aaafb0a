/* SPDX-License-Identifier: Apache-2.0 */
#include "net/answer_reader.h"

#define HEAD_MAX ((size_t)64 << 10)

static int fail(struct answer_reader *reader, enum status status, const char *why)
{
    error_set(&reader->err, status, "%s", why);
    reader->failed = true;
    return HPE_USER;
}

static int count_head(struct answer_reader *reader, size_t len)
{
    reader->head_seen += len;
    return reader->head_seen > HEAD_MAX
               ? fail(reader, STATUS_LIMIT, "the answer's head is too large")
               : 0;
}

/* The two headers that callers want; the field and its value are complete. */
static void keep_header(struct answer_reader *reader)
{
    struct str name = buffer_str(&reader->field), value = buffer_str(&reader->value);
    struct buffer *kept = NULL;

    if (str_equal_nocase(name, STR("content-type")))
        kept = &reader->content_type;
    else if (str_equal_nocase(name, STR("x-request-id")))
        kept = &reader->request_id;
    if (kept != NULL) {
        buffer_clear(kept);
        buffer_append(kept, str_trim(value));
    }
    buffer_clear(&reader->field);
    buffer_clear(&reader->value);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): no caller has none */
    reader->in_value = false;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct answer_reader *reader = parser->data;

    if (reader->in_value)
        keep_header(reader);
    buffer_append(&reader->field, (struct str){ at, len });
    return count_head(reader, len);
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct answer_reader *reader = parser->data;

    reader->in_value = true;
    buffer_append(&reader->value, (struct str){ at, len });
    return count_head(reader, len);
}

/* 1 tells llhttp that no body follows. */
static int on_headers_complete(llhttp_t *parser)
{
    struct answer_reader *reader = parser->data;

    keep_header(reader);
    parser->upgrade = 0;
    reader->answer.code = parser->status_code;
    reader->head_done = parser->status_code >= 200;
    reader->keep_alive = llhttp_should_keep_alive(parser) != 0;
    reader->answer.content_type = buffer_str(&reader->content_type);
    return reader->is_head ? 1 : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct answer_reader *reader = parser->data;

    if (reader->sink != NULL) {
        reader->failed = reader->sink(reader->sink_context, (struct str){ at, len },
                                      &reader->err) != STATUS_OK;
        return reader->failed ? HPE_USER : 0;
    }
    if (reader->body.len + len > reader->body_max)
        return fail(reader, STATUS_LIMIT, "the answer is larger than was asked for");
    buffer_append(&reader->body, (struct str){ at, len });
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct answer_reader *reader = parser->data;

    if (!reader->head_done) /* 100 Continue and its like: the answer is still to come */
        return 0;
    reader->done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void answer_reader_init(struct answer_reader *reader, size_t body_max, bool is_head)
{
    memset(reader, 0, sizeof(*reader));
    llhttp_init(&reader->parser, HTTP_RESPONSE, &settings);
    reader->parser.data = reader;
    reader->body_max = body_max;
    reader->is_head = is_head;
}

void answer_reader_fini(struct answer_reader *reader)
{
    buffer_free(&reader->field);
    buffer_free(&reader->value);
    buffer_free(&reader->content_type);
    buffer_free(&reader->request_id);
    buffer_free(&reader->body);
}

static void finish(struct answer_reader *reader)
{
    reader->answer.content_type = buffer_str(&reader->content_type);
    reader->answer.request_id = buffer_str(&reader->request_id);
    reader->answer.body = buffer_str(&reader->body);
}

enum status answer_reader_feed(struct answer_reader *reader, struct str bytes,
                               struct error *err)
{
    llhttp_errno_t problem = llhttp_execute(&reader->parser, bytes.data, bytes.len);

    if (reader->done) {
        /* Bytes behind the answer were asked for by nobody. */
        if (llhttp_get_error_pos(&reader->parser) != bytes.data + bytes.len)
            reader->keep_alive = false;
        finish(reader);
        return STATUS_OK;
    }
    if (problem == HPE_OK)
        return STATUS_OK;
    if (reader->failed) {
        *err = reader->err;
        return err->status;
    }
    return error_set(err, STATUS_INVALID, "the answer is no HTTP: %s",
                     llhttp_get_error_reason(&reader->parser));
}

enum status answer_reader_end(struct answer_reader *reader, struct error *err)
{
    if (!reader->done && reader->head_done)
        (void)!llhttp_finish(&reader->parser);
    if (!reader->done)
        return error_set(err, STATUS_UNAVAILABLE, "the connection ended before the answer did");
    reader->keep_alive = false;
    finish(reader);
    return STATUS_OK;
}
