/* SPDX-License-Identifier: Apache-2.0 */
#include "net/event_reader.h"

#define EVENT_MAX ((size_t)16 << 20)

void event_reader_fini(struct event_reader *reader)
{
    buffer_free(&reader->line);
    buffer_free(&reader->name);
    buffer_free(&reader->data);
}

static enum status dispatch(struct event_reader *reader, struct error *err)
{
    struct str name = reader->name.len > 0 ? buffer_str(&reader->name) : STR("message");
    enum status status = STATUS_OK;

    if (reader->has_data)
        status = reader->sink(reader->context, name, buffer_str(&reader->data), err);
    buffer_clear(&reader->name);
    buffer_clear(&reader->data);
    reader->has_data = false;
    return status;
}

/* "data: text": one space behind the colon is no part of the text; ids and comments pass by. */
static enum status take_line(struct event_reader *reader, struct str line, struct error *err)
{
    size_t colon;
    struct str field, value;

    if (str_ends(line, STR("\r")))
        line.len--;
    if (line.len == 0)
        return dispatch(reader, err);
    colon = str_index(line, ':');
    field = str_slice(line, 0, colon);
    value = str_slice(line, colon + 1, line.len);
    if (str_starts(value, STR(" ")))
        value = str_slice(value, 1, value.len);
    if (str_equal(field, STR("event"))) {
        buffer_clear(&reader->name);
        buffer_append(&reader->name, value);
    } else if (str_equal(field, STR("data"))) {
        if (reader->has_data)
            buffer_append_byte(&reader->data, '\n');
        buffer_append(&reader->data, value);
        reader->has_data = true;
    }
    return STATUS_OK;
}

enum status event_reader_feed(struct event_reader *reader, struct str bytes, struct error *err)
{
    enum status status = STATUS_OK;
    size_t end;

    while (status == STATUS_OK && (end = str_index(bytes, '\n')) < bytes.len) {
        buffer_append(&reader->line, str_slice(bytes, 0, end));
        status = take_line(reader, buffer_str(&reader->line), err);
        buffer_clear(&reader->line);
        bytes = str_slice(bytes, end + 1, bytes.len);
    }
    if (status != STATUS_OK)
        return status;
    buffer_append(&reader->line, bytes);
    if (reader->line.len + reader->data.len > EVENT_MAX)
        return error_set(err, STATUS_LIMIT, "an event of the answer is too large");
    return STATUS_OK;
}
