/* SPDX-License-Identifier: Apache-2.0 */
#include "net/reply.h"

static const struct {
    int code;
    const char *reason;
} reasons[] = {
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 204, "No Content" },
    { 206, "Partial Content" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 417, "Expectation Failed" },
    { 422, "Unprocessable Content" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
};

const char *reply_reason(int code)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].code == code)
            return reasons[i].reason;
    return "Status";
}

bool reply_has_body(int code)
{
    return code >= 200 && code != 204 && code != 304;
}

/* Text into a fixed room; past its end only the length is counted. */
struct text {
    char *data;
    size_t len;
    size_t max;
};

static void put(struct text *text, struct str s)
{
    if (text->len + s.len <= text->max)
        memcpy(text->data + text->len, s.data, s.len);
    text->len += s.len;
}

static void put_number(struct text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(text, (struct str){ digits + at, sizeof(digits) - at });
}

static void put_header(struct text *text, struct str name, struct str value)
{
    put(text, name);
    put(text, STR(": "));
    put(text, value);
    put(text, STR("\r\n"));
}

static void put_status(struct text *text, int code)
{
    if (code == 200) {
        put(text, STR("HTTP/1.1 200 OK\r\n"));
        return;
    }
    put(text, STR("HTTP/1.1 "));
    put_number(text, (uint64_t)code);
    put(text, STR(" "));
    put(text, str_from(reply_reason(code)));
    put(text, STR("\r\n"));
}

static void put_framing(struct text *text, int code, const struct reply_frame *frame)
{
    if (frame->is_chunked) {
        put(text, STR("Transfer-Encoding: chunked\r\n"));
    } else if (frame->has_length && reply_has_body(code)) {
        put(text, STR("Content-Length: "));
        put_number(text, frame->length);
        put(text, STR("\r\n"));
    }
    if (!frame->keep_alive)
        put(text, STR("Connection: close\r\n"));
    else if (frame->is_old)
        put(text, STR("Connection: keep-alive\r\n"));
}

static void put_head(struct text *text, const struct exchange *exchange,
                     const struct reply_frame *frame)
{
    const struct response *res = &exchange->response;

    put_status(text, res->code);
    put_header(text, STR("Date"), (struct str){ frame->date, 29 });
    if (res->content_type != NULL)
        put_header(text, STR("Content-Type"), str_from(res->content_type));
    put_framing(text, res->code, frame);
    put_header(text, STR("X-Request-Id"), exchange->request.request_id);
    put(text, STR("X-Content-Type-Options: nosniff\r\n"));
    for (size_t i = 0; i < res->header_count; i++)
        put_header(text, res->headers[i].name, res->headers[i].value);
    put(text, STR("\r\n"));
}

struct str reply_head_write(struct exchange *exchange, const struct reply_frame *frame,
                            char *room, size_t max)
{
    struct text text = { room, 0, max };

    put_head(&text, exchange, frame);
    if (text.len > max) {
        text = (struct text){ arena_alloc(exchange->request.arena, text.len), 0, text.len };
        put_head(&text, exchange, frame);
    }
    return (struct str){ text.data, text.len };
}
