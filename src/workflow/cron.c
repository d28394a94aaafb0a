/* SPDX-License-Identifier: Apache-2.0 */
#include "workflow/pipeline_compile.h"

struct field {
    const char *fault;
    int64_t least, most;
};

static const struct field fields[] = {
    { "the minute (first field) must be from 0 to 59", 0, 59 },
    { "the hour (second field) must be from 0 to 23", 0, 23 },
    { "the day of the month (third field) must be from 1 to 31", 1, 31 },
    { "the month (fourth field) must be from 1 to 12", 1, 12 },
    { "the weekday (fifth field) must be from 0 to 7", 0, 7 },
};

static bool is_within(struct str text, const struct field *field, int64_t *out)
{
    return str_to_int64(text, out) && *out >= field->least && *out <= field->most;
}

/* One of "*", "5", "1-5", each perhaps with a step: "0-30/10". */
static bool range_is_good(struct str range, const struct field *field)
{
    size_t slash = str_index(range, '/'), dash;
    struct str span = str_slice(range, 0, slash);
    int64_t step, from, to;

    if (slash < range.len && (!str_to_int64(str_slice(range, slash + 1, range.len), &step) ||
                              step < 1 || step > field->most))
        return false;
    if (str_equal(span, STR("*")))
        return true;
    dash = str_index(span, '-');
    if (dash == span.len)
        return is_within(span, field, &from);
    return is_within(str_slice(span, 0, dash), field, &from) &&
           is_within(str_slice(span, dash + 1, span.len), field, &to) && from <= to;
}

static bool field_is_good(struct str text, const struct field *field)
{
    struct str range;

    if (text.len == 0 || text.data[text.len - 1] == ',')
        return false;
    while (str_split(&text, ',', &range))
        if (!range_is_good(range, field))
            return false;
    return true;
}

const char *cron_fault(struct str text)
{
    struct str rest = str_trim(text), piece;
    size_t count = 0;

    while (str_split(&rest, ' ', &piece)) {
        if (piece.len == 0)
            continue;
        if (count == ARRAY_LEN(fields))
            return "a schedule has five fields, as in \"0 3 * * *\"; this has more";
        if (!field_is_good(piece, &fields[count]))
            return fields[count].fault;
        count++;
    }
    return count == ARRAY_LEN(fields) ? NULL
                                      : "a schedule has five fields, as in \"0 3 * * *\"";
}
