/* SPDX-License-Identifier: Apache-2.0 */
/* Answers and events of a server that means ill: the same in one piece and in two, and never more than asked for. */
#include "net/answer_reader.h"
#include "net/event_reader.h"

#include <stdlib.h>

#define BODY_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum status on_event(void *context, struct str event, struct str data, struct error *err)
{
    size_t *bytes = context;

    (void)err;
    *bytes += event.len + data.len;
    return STATUS_OK;
}

/* The code once it is whole, 0 before, -1 for nonsense. */
static int read_answer(struct str bytes, size_t cut, struct buffer *body)
{
    struct answer_reader reader;
    struct error err;
    enum status status;
    int code;

    answer_reader_init(&reader, BODY_MAX, false);
    status = answer_reader_feed(&reader, str_slice(bytes, 0, cut), &err);
    if (status == STATUS_OK && !reader.done)
        status = answer_reader_feed(&reader, str_slice(bytes, cut, bytes.len), &err);
    if (status == STATUS_OK && !reader.done)
        status = answer_reader_end(&reader, &err);
    if (reader.body.len > BODY_MAX)
        abort();
    code = status == STATUS_OK ? reader.answer.code : -1;
    if (code > 0)
        buffer_append(body, reader.answer.body);
    answer_reader_fini(&reader);
    return code;
}

static size_t read_events(struct str bytes, size_t cut)
{
    size_t seen = 0;
    struct event_reader reader = { .sink = on_event, .context = &seen };
    struct error err;

    if (event_reader_feed(&reader, str_slice(bytes, 0, cut), &err) != STATUS_OK ||
        event_reader_feed(&reader, str_slice(bytes, cut, bytes.len), &err) != STATUS_OK)
        abort();
    event_reader_fini(&reader);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = { (const char *)data, size };
    size_t cut = size == 0 ? 0 : data[size - 1] % size;
    struct buffer whole = { 0 }, pieces = { 0 };

    if (read_answer(bytes, size, &whole) != read_answer(bytes, cut, &pieces) ||
        !str_equal(buffer_str(&whole), buffer_str(&pieces)))
        abort();
    if (read_events(bytes, size) != read_events(bytes, cut))
        abort();
    buffer_free(&whole);
    buffer_free(&pieces);
    return 0;
}
