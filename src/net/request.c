/* SPDX-License-Identifier: Apache-2.0 */
#include "net/exchange.h"

#include "base/clock.h"
#include "base/hash.h"

#include <string.h>

static struct str param_find(const struct url_param *params, size_t count, const char *name,
                             bool *found)
{
    struct str wanted = str_from(name);

    for (size_t i = 0; i < count; i++) {
        if (str_equal(params[i].name, wanted)) {
            *found = true;
            return params[i].value;
        }
    }
    *found = false;
    return STR_EMPTY;
}

struct str request_path_param(const struct request *req, const char *name)
{
    const struct exchange *exchange = exchange_of(req);
    bool found;

    return param_find(exchange->path_params, exchange->path_param_count, name, &found);
}

struct str request_query(const struct request *req, const char *name)
{
    const struct url_target *target = &exchange_of(req)->target;
    bool found;

    return param_find(target->query, target->query_count, name, &found);
}

bool request_has_query(const struct request *req, const char *name)
{
    const struct url_target *target = &exchange_of(req)->target;
    bool found;

    param_find(target->query, target->query_count, name, &found);
    return found;
}

struct str request_raw_query(const struct request *req)
{
    return exchange_of(req)->target.raw_query;
}

struct str request_header(const struct request *req, const char *name)
{
    const struct exchange *exchange = exchange_of(req);
    struct str wanted = str_from(name);

    for (size_t i = 0; i < exchange->header_count; i++)
        if (str_equal_nocase(exchange->headers[i].name, wanted))
            return exchange->headers[i].value;
    return STR_EMPTY;
}

enum status request_query_bool(const struct request *req, const char *name, bool *out,
                               struct error *err)
{
    struct str text = request_query(req, name);

    if (!request_has_query(req, name))
        return STATUS_OK;
    if (str_equal(text, STR("true")) || str_equal(text, STR("1")) || text.len == 0)
        *out = true;
    else if (str_equal(text, STR("false")) || str_equal(text, STR("0")))
        *out = false;
    else
        return error_set(err, STATUS_INVALID,
                         "query parameter '%s': expected true or false, found '" STR_FMT "'",
                         name, STR_ARG(str_slice(text, 0, text.len < 40 ? text.len : 40)));
    return STATUS_OK;
}

bool request_wants_events(const struct request *req)
{
    struct str accept = request_header(req, "accept");

    return accept.len > 0 && memmem(accept.data, accept.len, "text/event-stream",
                                    strlen("text/event-stream")) != NULL;
}

enum status request_hand_over(struct request *req, struct response *res, route_handler handler,
                              struct error *err)
{
    (void)req;
    (void)err;
    res->handed_over = handler;
    return STATUS_OK;
}

enum status request_hand_over_or(struct request *req, struct response *res,
                                 route_handler handler, route_handler refused,
                                 struct error *err)
{
    res->refused = refused;
    return request_hand_over(req, res, handler, err);
}

bool request_is_abandoned(const struct request *req)
{
    const struct exchange *exchange = exchange_of(req);

    if (atomic_load_explicit(&exchange->abandoned, memory_order_relaxed) ||
        (exchange->is_cancelled != NULL && exchange->is_cancelled()))
        return true;
    return req->deadline_ns != 0 && clock_monotonic_ns() > req->deadline_ns;
}

/* splitmix64, seeded once a thread from the system. */
uint64_t quick_random(void)
{
    static _Thread_local uint64_t state;
    uint64_t mixed;

    if (state == 0)
        state = random_u64() | 1;
    mixed = state += UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

static void write_hex(char *out, uint64_t value)
{
    static const char hex[] = "0123456789abcdef";

    for (int i = 15; i >= 0; i--) {
        out[i] = hex[value & 15];
        value >>= 4;
    }
}

/* It goes into logs and other people's headers, so only plain characters pass. */
static bool id_is_sound(struct str id)
{
    if (id.len == 0 || id.len > 128)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

#define TRACEPARENT_LEN 55

static bool is_hex_run(struct str s, size_t from, size_t len)
{
    bool zero = true;

    for (size_t i = from; i < from + len; i++) {
        char c = s.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
    }
    return !zero;
}

/* "00-" 32 hex "-" 16 hex "-" 2 hex; all-zero ids mean none (W3C Trace Context). */
static bool trace_is_sound(struct str trace)
{
    return trace.len == TRACEPARENT_LEN && str_starts(trace, STR("00-")) &&
           trace.data[35] == '-' && trace.data[52] == '-' && is_hex_run(trace, 3, 32) &&
           is_hex_run(trace, 36, 16);
}

/* The trace goes on under its id with a span of ours; a new trace begins where none came. */
static struct str trace_text(struct arena *arena, struct str given)
{
    char *text = arena_alloc(arena, TRACEPARENT_LEN + 1);

    if (trace_is_sound(given)) {
        memcpy(text, given.data, TRACEPARENT_LEN);
    } else {
        memcpy(text, "00-", 3);
        write_hex(text + 3, quick_random());
        write_hex(text + 19, quick_random());
        text[35] = '-';
        memcpy(text + 52, "-01", 3);
    }
    write_hex(text + 36, quick_random());
    return (struct str){ text, TRACEPARENT_LEN };
}

void exchange_identify(struct exchange *exchange, struct str given_id, struct str given_trace)
{
    struct request *req = &exchange->request;

    if (id_is_sound(given_id)) {
        req->request_id = given_id;
    } else {
        char *text = arena_alloc(req->arena, 17);

        write_hex(text, quick_random());
        req->request_id = (struct str){ text, 16 };
    }
    req->traceparent = trace_text(req->arena, given_trace);
}
