/* SPDX-License-Identifier: Apache-2.0 */
#include "net/exchange.h"

#include "base/json.h"

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

#define EVENTS "text/event-stream"

/* A line break in a value would begin a header of the stranger's choice. */
static struct str one_line(struct arena *arena, struct str value)
{
    char *copy = arena_cstr(arena, value);

    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7F)
            copy[i] = ' ';
    return (struct str){ copy, value.len };
}

void response_header(struct response *res, const char *name, struct str value)
{
    struct arena *arena = exchange_of_response(res)->request.arena;

    ARENA_PUSH(arena, res->headers, res->header_count, res->header_capacity) =
        (struct header){ arena_str(arena, str_from(name)), one_line(arena, value) };
}

char *response_reserve(struct response *res, size_t max)
{
    struct arena *arena = exchange_of_response(res)->request.arena;

    res->room = (char *)arena_alloc(arena, REPLY_HEAD_ROOM + max) + REPLY_HEAD_ROOM;
    res->room_max = max;
    return res->room;
}

enum status response_commit(struct response *res, int code, const char *content_type,
                            size_t len)
{
    assert(res->room != NULL && len <= res->room_max);
    res->kind = REPLY_BYTES;
    res->code = code;
    res->content_type = content_type;
    res->body = (struct str){ res->room, len };
    return STATUS_OK;
}

enum status response_bytes(struct response *res, int code, const char *content_type,
                           struct str body)
{
    char *room = response_reserve(res, body.len);

    if (body.len > 0)
        memcpy(room, body.data, body.len);
    return response_commit(res, code, content_type, body.len);
}

enum status response_json(struct response *res, int code, struct str json)
{
    return response_bytes(res, code, "application/json", json);
}

struct buffer response_buffer(struct response *res, size_t expected)
{
    char *room = response_reserve(res, expected);

    return (struct buffer){ .data = room,
                            .capacity = expected,
                            .arena = exchange_of_response(res)->request.arena };
}

enum status response_json_buffer(struct response *res, int code, const struct buffer *json)
{
    if (json->data != res->room)
        return response_json(res, code, buffer_str(json)); /* it was more than expected */
    return response_commit(res, code, "application/json", json->len);
}

enum status response_empty(struct response *res, int code)
{
    res->room = NULL;
    res->kind = REPLY_BYTES;
    res->code = code;
    res->content_type = NULL;
    res->body = STR_EMPTY;
    return STATUS_OK;
}

enum status response_file(struct response *res, int code, const char *content_type,
                          const char *path, bool remove_after, struct error *err)
{
    struct arena *arena = exchange_of_response(res)->request.arena;
    struct stat about;

    if (stat(path, &about) != 0)
        return error_errno(err, errno, "open %s", path);
    if (!S_ISREG(about.st_mode))
        return error_set(err, STATUS_INVALID, "%s is no regular file", path);
    res->kind = REPLY_FILE;
    res->code = code;
    res->content_type = content_type;
    res->file = arena_cstr(arena, str_from(path));
    res->remove_file = remove_after;
    return STATUS_OK;
}

void response_reset(struct response *res)
{
    *res = (struct response){ 0 };
}

void error_write(struct buffer *out, const char *name, const char *message,
                 struct str request_id)
{
    buffer_append(out, STR("{\"error\":{\"code\":"));
    json_write_str(out, str_from(name));
    buffer_append(out, STR(",\"message\":"));
    json_write_str(out, str_from(message));
    buffer_append(out, STR(",\"request_id\":"));
    json_write_str(out, request_id);
    buffer_append(out, STR("}}"));
}

void response_error(struct response *res, int code, const char *name, const char *message)
{
    struct buffer text = { 0 };

    error_write(&text, name, message, exchange_of_response(res)->request.request_id);
    response_json(res, code, buffer_str(&text));
    buffer_free(&text);
}

enum status response_stream(struct response *res, int code, const char *content_type,
                            struct error *err)
{
    struct exchange *exchange = exchange_of_response(res);
    enum status status;

    assert(res->kind == REPLY_NONE);
    res->kind = REPLY_STREAM;
    res->code = code;
    res->content_type = content_type;
    status = exchange->sink->begin(exchange, err);
    if (status != STATUS_OK)
        res->kind = REPLY_NONE; /* so that the error can be an answer */
    return status;
}

enum status response_stream_write(struct response *res, struct str bytes, struct error *err)
{
    struct exchange *exchange = exchange_of_response(res);

    assert(res->kind == REPLY_STREAM);
    if (bytes.len == 0)
        return STATUS_OK;
    return exchange->sink->write(exchange, bytes, err);
}

/* A line break inside the data continues it on a "data:" line of its own. */
static void event_format(struct buffer *out, struct str event, struct str data)
{
    buffer_printf(out, "event: " STR_FMT "\n", STR_ARG(event));
    for (;;) {
        size_t end = str_index(data, '\n');

        buffer_append(out, STR("data: "));
        buffer_append(out, str_slice(data, 0, end));
        buffer_append_byte(out, '\n');
        if (end == data.len)
            break;
        data = str_slice(data, end + 1, data.len);
    }
    buffer_append_byte(out, '\n');
}

enum status response_event(struct response *res, const char *event, struct str data,
                           struct error *err)
{
    struct exchange *exchange = exchange_of_response(res);
    struct buffer text = { 0 };
    enum status status;

    if (res->kind == REPLY_NONE) {
        response_header(res, "Cache-Control", STR("no-cache"));
        TRY(response_stream(res, 200, EVENTS, err));
    }
    if (exchange->sink->event != NULL)
        return exchange->sink->event(exchange, str_from(event), data, err);
    event_format(&text, str_from(event), data);
    status = exchange->sink->write(exchange, buffer_str(&text), err);
    buffer_free(&text);
    return status;
}
