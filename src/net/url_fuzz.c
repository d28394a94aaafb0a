/* SPDX-License-Identifier: Apache-2.0 */
/* Targets and URLs: what is taken holds no NUL and no dots, and encoding brings it back. */
#include "net/url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_target(struct arena *arena, struct str text)
{
    struct url_target target;
    struct error err;

    if (url_target_parse(arena, text, &target, &err) != STATUS_OK)
        return;
    check(target.segment_count > 0 && target.segment_count <= URL_SEGMENTS_MAX);
    for (size_t i = 0; i < target.segment_count; i++) {
        struct str segment = target.segments[i], back;

        check(!str_equal(segment, STR("..")) && !str_equal(segment, STR(".")));
        check(str_is_utf8(segment) && str_index(segment, '\0') == segment.len);
        check(url_decode(arena, url_encode(arena, segment), false, &back, &err) == STATUS_OK);
        check(str_equal(back, segment));
    }
    for (size_t i = 0; i < target.query_count; i++)
        check(str_is_utf8(target.query[i].name) && str_is_utf8(target.query[i].value));
}

static void check_url(struct str text)
{
    struct error err;
    struct url url;

    if (url_parse(text, &url, &err) != STATUS_OK)
        return;
    check(url.host[0] != '\0' && url.port[0] != '\0' && url.target.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct str text = { (const char *)data, size };

    check_target(arena, text);
    check_url(text);
    arena_free(arena);
    return 0;
}
