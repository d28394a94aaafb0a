/* SPDX-License-Identifier: Apache-2.0 */
#include "net/request_head.h"

const char *request_method(const struct http_options *options)
{
    if (options->method != NULL)
        return options->method;
    return options->body.len > 0 || options->body_file != NULL ? "POST" : "GET";
}

static struct str line(struct arena *arena, const char *name, struct str value)
{
    if (value.len == 0)
        return STR_EMPTY;
    return arena_printf(arena, "%s" STR_FMT "\r\n", name, STR_ARG(value));
}

struct str request_head_write(struct arena *arena, const struct url *url,
                              const struct http_options *options, uint64_t body_len,
                              bool keep_alive)
{
    const char *method = request_method(options);
    bool has_length = body_len > 0 ||
                      (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0);
    struct str length = has_length ? arena_printf(arena, "%llu", (unsigned long long)body_len)
                                   : STR_EMPTY;
    struct str type = line(arena, "Content-Type: ", options->content_type);
    struct str accept = line(arena, "Accept: ", options->accept);
    struct str token = line(arena, "Authorization: Bearer ", options->token);
    struct str trace = line(arena, "traceparent: ", options->traceparent);

    length = line(arena, "Content-Length: ", length);
    return arena_printf(arena,
                        "%s " STR_FMT " HTTP/1.1\r\nHost: " STR_FMT
                        "\r\nUser-Agent: onggi/" ONGGI_VERSION
                        "\r\n" STR_FMT STR_FMT STR_FMT STR_FMT STR_FMT "%s\r\n",
                        method, STR_ARG(url->target), STR_ARG(url->authority), STR_ARG(type),
                        STR_ARG(accept), STR_ARG(token), STR_ARG(trace), STR_ARG(length),
                        keep_alive ? "" : "Connection: close\r\n");
}
