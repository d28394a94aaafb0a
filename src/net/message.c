/* SPDX-License-Identifier: Apache-2.0 */
#include "net/message.h"

/* Method, two spaces, version and line end beside the target. */
#define REQUEST_LINE_REST 32
#define BLANK_LINES_MAX 4
/* What chunk lines, extensions and trailers may add up to, besides the lines' own share. */
#define FRAMING_MAX 16384
#define FRAMING_PER_CHUNK 16

static enum message_progress refuse(struct message *message, int code, const char *why)
{
    message->refusal = (struct refusal){ code, why };
    return MESSAGE_REFUSED;
}

static int refuse_in_callback(struct message *message, int code, const char *why)
{
    refuse(message, code, why);
    return HPE_USER;
}

/* llhttp splits a span only where something odd stands between; what is adjoining is one. */
static bool extend(struct str *span, const char *at, size_t len)
{
    if (span->len == 0)
        *span = (struct str){ at, len };
    else if (span->data + span->len == at)
        span->len += len;
    else
        return false;
    return true;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct message *message = parser->data;

    return extend(&message->target, at, len) ? 0 : refuse_in_callback(message, 400, "bad URL");
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct message *message = parser->data;
    struct exchange *exchange = message->exchange;

    if (exchange == NULL) /* a trailer: counted as framing, otherwise of no interest */
        return 0;
    if (exchange->header_count == message->limits->header_count_max)
        return refuse_in_callback(message, 431, "too many headers");
    ARENA_PUSH(message->arena, exchange->headers, exchange->header_count,
               message->header_capacity) = (struct header){ { at, len }, STR_EMPTY };
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct message *message = parser->data;
    struct exchange *exchange = message->exchange;

    if (exchange == NULL || len == 0)
        return 0;
    if (!extend(&exchange->headers[exchange->header_count - 1].value, at, len))
        return refuse_in_callback(message, 400, "a header value spans lines");
    return 0;
}

/* Nobody here changes protocols, so a client's wish to is not heard. */
static int on_headers_complete(llhttp_t *parser)
{
    parser->upgrade = 0;
    return 0;
}

static int on_chunk_header(llhttp_t *parser)
{
    struct message *message = parser->data;

    if (++message->chunks > message->limits->chunks_max)
        return refuse_in_callback(message, 400, "the body comes in too many chunks");
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct message *message = parser->data;

    buffer_append(message->body, (struct str){ at, len });
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct message *message = parser->data;

    message->ended = true;
    return HPE_PAUSED; /* what follows is another message */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

void message_init(struct message *message, const struct message_limits *limits)
{
    memset(message, 0, sizeof(*message));
    message->limits = limits;
}

static enum message_progress scan_unfinished(struct message *message, size_t len)
{
    const struct message_limits *limits = message->limits;

    if (message->line == 0 && len > limits->target_max + REQUEST_LINE_REST)
        return refuse(message, 414, "the URL is too long");
    if (len >= limits->head_max)
        return refuse(message, 431, "the head is too large");
    return MESSAGE_PARTIAL;
}

enum message_progress message_scan(struct message *message, struct str input, size_t *head_len)
{
    const char *newline;

    while (
        (newline = memchr(input.data + message->scanned, '\n', input.len - message->scanned))) {
        size_t end = (size_t)(newline - input.data) + 1;
        size_t line = message->line;

        if (end - line < 2 || newline[-1] != '\r')
            return refuse(message, 400, "a line ends without a carriage return");
        if (line > 0 && (input.data[line] == ' ' || input.data[line] == '\t'))
            return refuse(message, 400, "a header goes on in the next line");
        if (line == 0 && end > message->limits->target_max + REQUEST_LINE_REST)
            return refuse(message, 414, "the URL is too long");
        if (end > message->limits->head_max)
            return refuse(message, 431, "the head is too large");
        if (end == 2 && ++message->blank_lines > BLANK_LINES_MAX)
            return refuse(message, 400, "blank lines instead of a request");
        message->scanned = message->line = end;
        if (end - line == 2) {
            message->scanned = message->line = 0;
            *head_len = end;
            return MESSAGE_COMPLETE;
        }
    }
    message->scanned = input.len;
    return scan_unfinished(message, input.len);
}

/* "FOO" is a method nobody has, "G@T" is none. */
static bool is_token(struct str text)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i], low = (char)(c | 0x20);

        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr(marks, c) == NULL))
            return false;
    }
    return text.len > 0;
}

static bool has_header(const struct exchange *exchange, struct str name)
{
    for (size_t i = 0; i < exchange->header_count; i++)
        if (str_equal_nocase(exchange->headers[i].name, name))
            return true;
    return false;
}

static enum message_progress refuse_grammar(struct message *message, struct str head)
{
    llhttp_errno_t error = llhttp_get_errno(&message->parser);

    if (message->refusal.code != 0)
        return MESSAGE_REFUSED;
    if (error == HPE_INVALID_VERSION)
        return refuse(message, 505, "this server speaks HTTP/1.1");
    if (error == HPE_INVALID_METHOD && is_token(str_slice(head, 0, str_index(head, ' '))))
        return refuse(message, 501, "the method is unknown");
    if (error == HPE_INVALID_TRANSFER_ENCODING &&
        !has_header(message->exchange, STR("content-length")))
        return refuse(message, 501, "the only transfer coding here is 'chunked'");
    return refuse(message, 400, llhttp_get_error_reason(&message->parser));
}

/* Those that may stand once: of two, each reader believes another. */
enum known_header {
    KNOWN_HOST,
    KNOWN_CONTENT_LENGTH,
    KNOWN_TRANSFER_ENCODING,
    KNOWN_EXPECT,
    KNOWN_ORIGIN,
    KNOWN_CONTENT_TYPE,
    KNOWN_CONTENT_ENCODING,
    KNOWN_AUTHORIZATION,
    KNOWN_USER_AGENT,
    KNOWN_REFERER,
    KNOWN_RANGE,
    KNOWN_IF_MODIFIED_SINCE,
    KNOWN_REQUEST_ID,
    KNOWN_TRACEPARENT,
    KNOWN_AMZ_TARGET,
    KNOWN_INFERENCE_LENGTH,
    KNOWN_COUNT,
};

static const struct str known_names[KNOWN_COUNT] = {
    [KNOWN_HOST] = STR_INIT("host"),
    [KNOWN_CONTENT_LENGTH] = STR_INIT("content-length"),
    [KNOWN_TRANSFER_ENCODING] = STR_INIT("transfer-encoding"),
    [KNOWN_EXPECT] = STR_INIT("expect"),
    [KNOWN_ORIGIN] = STR_INIT("origin"),
    [KNOWN_CONTENT_TYPE] = STR_INIT("content-type"),
    [KNOWN_CONTENT_ENCODING] = STR_INIT("content-encoding"),
    [KNOWN_AUTHORIZATION] = STR_INIT("authorization"),
    [KNOWN_USER_AGENT] = STR_INIT("user-agent"),
    [KNOWN_REFERER] = STR_INIT("referer"),
    [KNOWN_RANGE] = STR_INIT("range"),
    [KNOWN_IF_MODIFIED_SINCE] = STR_INIT("if-modified-since"),
    [KNOWN_REQUEST_ID] = STR_INIT("x-request-id"),
    [KNOWN_TRACEPARENT] = STR_INIT("traceparent"),
    [KNOWN_AMZ_TARGET] = STR_INIT("x-amz-target"),
    [KNOWN_INFERENCE_LENGTH] = STR_INIT("inference-header-content-length"),
};

/* One bit for each length that a known name has: most others need no comparison. */
static uint32_t known_lengths(void)
{
    uint32_t lengths = 0;

    for (size_t k = 0; k < KNOWN_COUNT; k++)
        lengths |= UINT32_C(1) << known_names[k].len;
    return lengths;
}

/* NULL data where one is absent: an empty value is a value. */
static bool collect_known(const struct exchange *exchange, struct str known[KNOWN_COUNT])
{
    const uint32_t lengths = known_lengths();

    for (size_t i = 0; i < exchange->header_count; i++) {
        struct str name = exchange->headers[i].name;

        if (name.len > 31 || (lengths >> name.len & 1) == 0)
            continue;
        for (size_t k = 0; k < KNOWN_COUNT; k++) {
            if (name.len != known_names[k].len || !str_equal_nocase(name, known_names[k]))
                continue;
            if (known[k].data != NULL)
                return false;
            known[k] = exchange->headers[i].value;
            break;
        }
    }
    return true;
}

/* Digits alone, no sign, no space, no list. */
static bool parse_length(struct str text, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = value;
    return true;
}

/* How much of the text is letters, digits and these marks. */
static size_t span(struct str text, const char *marks)
{
    size_t i = 0;

    for (; i < text.len; i++) {
        char c = text.data[i], low = (char)(c | 0x20);

        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr(marks, c) == NULL))
            break;
    }
    return i;
}

static bool is_port(struct str text)
{
    for (size_t i = 1; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.len == 0 || (text.data[0] == ':' && text.len <= 6);
}

/* A name or address with perhaps a port: nothing that a URL or a log would read otherwise. */
static bool host_is_sound(struct str host)
{
    bool is_v6 = host.len > 0 && host.data[0] == '[';
    size_t end = is_v6 ? 1 + span(str_slice(host, 1, host.len), ".:") : span(host, "-._");

    if (is_v6 && (end == 1 || end == host.len || host.data[end++] != ']'))
        return false;
    return end > 0 && is_port(str_slice(host, end, host.len));
}

static enum message_progress check_framing(struct message *message, const struct str *known,
                                           struct message_head *head)
{
    struct str coding = known[KNOWN_TRANSFER_ENCODING], length = known[KNOWN_CONTENT_LENGTH];

    if (coding.data != NULL && length.data != NULL)
        return refuse(message, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (coding.data != NULL && head->is_old)
        return refuse(message, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (coding.data != NULL && !str_equal_nocase(coding, STR("chunked")))
        return refuse(message, 501, "the only transfer coding here is 'chunked'");
    head->is_chunked = coding.data != NULL;
    if (head->is_chunked != ((message->parser.flags & F_CHUNKED) != 0))
        return refuse(message, 400, "Transfer-Encoding is not plainly 'chunked'");
    if (length.data != NULL && !parse_length(length, &head->content_length))
        return refuse(message, 400, "Content-Length is no plain number");
    return MESSAGE_COMPLETE;
}

/* "http://host/path" is what a proxy sends; the host must be the one in Host. */
static bool to_origin_form(struct message_head *head)
{
    struct str target = head->target;
    struct str rest;
    size_t slash;

    if (target.len > 0 && target.data[0] == '/')
        return true;
    if (!str_starts(target, STR("http://")) && !str_starts(target, STR("https://")))
        return false;
    rest = str_slice(target, str_index(target, '/') + 2, target.len);
    slash = str_index(rest, '/');
    if (!str_equal_nocase(str_slice(rest, 0, slash), head->host))
        return false;
    head->target = slash == rest.len ? STR("/") : str_slice(rest, slash, rest.len);
    return true;
}

static enum message_progress check_head(struct message *message, struct message_head *head)
{
    struct str known[KNOWN_COUNT] = { 0 };

    if (!collect_known(message->exchange, known))
        return refuse(message, 400, "a header that may stand once stands twice");
    if (known[KNOWN_HOST].data == NULL && !head->is_old)
        return refuse(message, 400, "the Host header is missing");
    head->host = known[KNOWN_HOST];
    head->origin = known[KNOWN_ORIGIN];
    head->request_id = known[KNOWN_REQUEST_ID];
    head->traceparent = known[KNOWN_TRACEPARENT];
    if (!head->is_old && !host_is_sound(head->host))
        return refuse(message, 400, "the Host header is no host");
    if (!to_origin_form(head))
        return refuse(message, 400, "the target is no path of this host");
    if (check_framing(message, known, head) != MESSAGE_COMPLETE)
        return MESSAGE_REFUSED;
    /* RFC 9110, 8.4: taken for what it is not, a packed body is an error of JSON that helps nobody. */
    if (known[KNOWN_CONTENT_ENCODING].len > 0 &&
        !str_equal_nocase(known[KNOWN_CONTENT_ENCODING], STR("identity")))
        return refuse(message, 415, "a body is taken as it is, without Content-Encoding");
    if (known[KNOWN_EXPECT].data == NULL)
        return MESSAGE_COMPLETE;
    head->expects_continue = str_equal_nocase(known[KNOWN_EXPECT], STR("100-continue"));
    return head->expects_continue ? MESSAGE_COMPLETE
                                  : refuse(message, 417, "Expect knows '100-continue' only");
}

/* Exactly one space between the three: a reader that splits at others sees another target. */
static bool request_line_is_plain(struct str head, struct str method, struct str target)
{
    size_t end = method.len + 1 + target.len;

    return target.data == head.data + method.len + 1 &&
           str_equal(str_slice(head, end, end + 8), STR(" HTTP/1.")) &&
           str_equal(str_slice(head, end + 9, end + 11), STR("\r\n"));
}

/* White space around a value is no part of it. */
static void trim_values(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->header_count; i++) {
        struct str *value = &exchange->headers[i].value;

        while (value->len > 0 &&
               (value->data[value->len - 1] == ' ' || value->data[value->len - 1] == '\t'))
            value->len--;
    }
}

static bool is_our_method(unsigned method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_POST:
    case HTTP_PUT:
    case HTTP_PATCH:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
        return true;
    default:
        return false;
    }
}

enum message_progress message_parse(struct message *message, struct arena *arena,
                                    struct str head, struct exchange *exchange,
                                    struct message_head *out)
{
    llhttp_t *parser = &message->parser;
    llhttp_errno_t error;

    llhttp_init(parser, HTTP_REQUEST, &settings);
    parser->data = message;
    message->arena = arena;
    message->exchange = exchange;
    message->header_capacity = 0;
    message->target = STR_EMPTY;
    message->chunks = message->framing = 0;
    message->blank_lines = 0;
    message->ended = false;
    message->refusal = (struct refusal){ 0 };
    error = llhttp_execute(parser, head.data, head.len);
    if (error != HPE_OK && !(error == HPE_PAUSED && message->ended))
        return refuse_grammar(message, head);
    if (!is_our_method(parser->method))
        return refuse(message, 501, "the method is unknown");
    if (parser->http_major != 1)
        return refuse(message, 505, "this server speaks HTTP/1.1");
    out->method = str_slice(head, 0, str_index(head, ' '));
    out->target = message->target;
    if (!request_line_is_plain(head, out->method, out->target))
        return refuse(message, 400, "the request line is not METHOD TARGET HTTP/1.1");
    if (out->target.len > message->limits->target_max)
        return refuse(message, 414, "the URL is too long");
    trim_values(exchange);
    out->is_old = parser->http_minor == 0;
    out->keep_alive = llhttp_should_keep_alive(parser) != 0;
    if (check_head(message, out) != MESSAGE_COMPLETE)
        return MESSAGE_REFUSED;
    message->exchange = NULL; /* trailers are not headers */
    return MESSAGE_COMPLETE;
}

enum message_progress message_chunks(struct message *message, struct str input, size_t *used,
                                     struct buffer *body)
{
    llhttp_t *parser = &message->parser;
    size_t before = body->len;
    llhttp_errno_t error;

    message->body = body;
    error = llhttp_execute(parser, input.data, input.len);
    *used = input.len;
    if (error == HPE_PAUSED && message->ended)
        *used = (size_t)(llhttp_get_error_pos(parser) - input.data);
    else if (error != HPE_OK)
        return message->refusal.code != 0
                   ? MESSAGE_REFUSED
                   : refuse(message, 400, llhttp_get_error_reason(parser));
    message->framing += *used - (body->len - before);
    if (message->framing > FRAMING_MAX + FRAMING_PER_CHUNK * message->chunks)
        return refuse(message, 400, "chunk extensions and trailers are too large");
    return message->ended ? MESSAGE_COMPLETE : MESSAGE_PARTIAL;
}

uint64_t message_chunk_left(const struct message *message)
{
    return message->ended ? 0 : message->parser.content_length;
}
