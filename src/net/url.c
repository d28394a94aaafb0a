/* SPDX-License-Identifier: Apache-2.0 */
#include "net/url.h"

#include <stdio.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool needs_decoding(struct str text, bool plus_is_space)
{
    return memchr(text.data, '%', text.len) != NULL ||
           (plus_is_space && memchr(text.data, '+', text.len) != NULL);
}

/* The byte that %XX at text.data[i] stands for, or -1. */
static int escaped_byte(struct str text, size_t i)
{
    int high, low;

    if (text.len - i < 3)
        return -1;
    high = hex_digit(text.data[i + 1]);
    low = hex_digit(text.data[i + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

enum status url_decode(struct arena *arena, struct str text, bool plus_is_space,
                       struct str *out, struct error *err)
{
    char *decoded;
    size_t len = 0;

    if (text.len == 0 || !needs_decoding(text, plus_is_space)) {
        *out = text;
        return STATUS_OK;
    }
    decoded = arena_alloc(arena, text.len);
    for (size_t i = 0; i < text.len; i++) {
        int byte = (unsigned char)text.data[i];

        if (byte == '%') {
            byte = escaped_byte(text, i);
            if (byte <= 0)
                return error_set(
                    err, STATUS_INVALID,
                    "the URL holds a bad escape; '%%' takes two hex digits, not 00");
            i += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        decoded[len++] = (char)byte;
    }
    *out = (struct str){ decoded, len };
    if (!str_is_utf8(*out))
        return error_set(err, STATUS_INVALID, "the URL does not decode to UTF-8");
    return STATUS_OK;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

struct str url_encode(struct arena *arena, struct str text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *encoded = arena_alloc(arena, text.len * 3 + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (is_unreserved(text.data[i])) {
            encoded[len++] = text.data[i];
        } else {
            encoded[len++] = '%';
            encoded[len++] = hex[c >> 4];
            encoded[len++] = hex[c & 15];
        }
    }
    return (struct str){ encoded, len };
}

/* A dot segment means another path to whoever resolves it, and we do not. */
static bool is_dots(struct str segment)
{
    return str_equal(segment, STR(".")) || str_equal(segment, STR(".."));
}

static enum status parse_path(struct arena *arena, struct url_target *target, struct error *err)
{
    struct str segments[URL_SEGMENTS_MAX];
    struct str rest = str_slice(target->raw_path, 1, target->raw_path.len);
    size_t count = 0;

    TRY(url_decode(arena, target->raw_path, false, &target->path, err));
    for (;;) {
        size_t end = str_index(rest, '/');

        if (count == URL_SEGMENTS_MAX)
            return error_set(err, STATUS_INVALID, "the path has more than %d segments",
                             URL_SEGMENTS_MAX);
        TRY(url_decode(arena, str_slice(rest, 0, end), false, &segments[count], err));
        if (is_dots(segments[count++]))
            return error_set(err, STATUS_INVALID, "the path holds a '.' or '..' segment");
        if (end == rest.len)
            break;
        rest = str_slice(rest, end + 1, rest.len);
    }
    target->segments = ARENA_ARRAY(arena, struct str, count);
    memcpy(target->segments, segments, count * sizeof(*segments));
    target->segment_count = count;
    return STATUS_OK;
}

static enum status parse_query(struct arena *arena, struct url_target *target,
                               struct error *err)
{
    struct str rest = target->raw_query, piece;
    size_t capacity = 0;

    while (str_split(&rest, '&', &piece)) {
        size_t equals = str_index(piece, '=');
        struct url_param param;

        if (piece.len == 0)
            continue;
        if (target->query_count == URL_QUERY_MAX)
            return error_set(err, STATUS_INVALID, "the query has more than %d parameters",
                             URL_QUERY_MAX);
        TRY(url_decode(arena, str_slice(piece, 0, equals), true, &param.name, err));
        TRY(url_decode(
            arena, equals == piece.len ? STR_EMPTY : str_slice(piece, equals + 1, piece.len),
            true, &param.value, err));
        ARENA_PUSH(arena, target->query, target->query_count, capacity) = param;
    }
    return STATUS_OK;
}

/* Anything else comes percent-encoded from a client that means well. */
static bool is_printable(struct str target)
{
    bool odd = false;

    for (size_t i = 0; i < target.len; i++)
        odd |= (unsigned char)(target.data[i] - 0x21) > 0x7E - 0x21;
    return !odd;
}

enum status url_target_parse(struct arena *arena, struct str target, struct url_target *out,
                             struct error *err)
{
    size_t mark = str_index(target, '?');
    struct url_target parsed = { .raw_path = str_slice(target, 0, mark),
                                 .raw_query = STR_EMPTY };

    if (target.len == 0 || target.data[0] != '/')
        return error_set(err, STATUS_INVALID, "the target of a request begins with '/'");
    if (!is_printable(target))
        return error_set(err, STATUS_INVALID,
                         "the URL holds a byte that must be percent-encoded");
    if (memchr(target.data, '#', target.len) != NULL)
        return error_set(err, STATUS_INVALID, "a '#' fragment has no place in a request");
    if (mark < target.len)
        parsed.raw_query = str_slice(target, mark + 1, target.len);
    TRY(parse_path(arena, &parsed, err));
    if (parsed.raw_query.len > 0)
        TRY(parse_query(arena, &parsed, err));
    *out = parsed;
    return STATUS_OK;
}

/* "host", "host:port", "[v6]:port". */
static bool split_authority(struct str authority, struct str *host, struct str *port)
{
    size_t end = str_index(authority, ':');

    *port = STR_EMPTY;
    if (str_starts(authority, STR("["))) {
        end = str_index(authority, ']');
        *host = str_slice(authority, 1, end);
        end = end < authority.len ? end + 1 : end;
    } else {
        *host = str_slice(authority, 0, end);
    }
    if (end == authority.len)
        return host->len > 0;
    if (authority.data[end] != ':')
        return false;
    *port = str_slice(authority, end + 1, authority.len);
    return host->len > 0 && port->len > 0;
}

enum status url_parse(struct str text, struct url *out, struct error *err)
{
    struct url url = { .is_tls = str_starts(text, STR("https://")) };
    struct str rest = str_slice(text, url.is_tls ? 8 : 7, text.len), host, port;
    size_t slash = str_index(rest, '/'), mark = str_index(rest, '?');
    int64_t number;

    if (!url.is_tls && !str_starts(text, STR("http://")))
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT "' begins with neither http:// nor https://",
                         STR_ARG(str_slice(text, 0, 200)));
    url.authority = str_slice(rest, 0, slash < mark ? slash : mark);
    url.target = slash < mark ? str_slice(rest, slash, rest.len) : STR("/");
    if (!is_printable(rest) || mark < slash || !split_authority(url.authority, &host, &port) ||
        host.len >= sizeof(url.host) || memchr(host.data, '@', host.len) != NULL ||
        (port.len > 0 && (!str_to_int64(port, &number) || number < 1 || number > 65535)))
        return error_set(err, STATUS_INVALID,
                         "'" STR_FMT "' is no URL of the form http://HOST:PORT/PATH",
                         STR_ARG(str_slice(text, 0, 200)));
    snprintf(url.host, sizeof(url.host), STR_FMT, STR_ARG(host));
    snprintf(url.port, sizeof(url.port), STR_FMT,
             STR_ARG(port.len > 0 ? str_slice(port, 0, 5)
                     : url.is_tls ? STR("443")
                                  : STR("80")));
    *out = url;
    return STATUS_OK;
}
