/* SPDX-License-Identifier: Apache-2.0 */
#include "net/host_check.h"

/* Without the port; "[::1]" keeps its brackets. */
static struct str name_of(struct str host)
{
    size_t end;

    if (host.len > 0 && host.data[0] == '[') {
        end = str_index(host, ']');
        return str_slice(host, 0, end + 1);
    }
    return str_slice(host, 0, str_index(host, ':'));
}

/* 127.0.0.0/8 in the usual writing; other writings of it are not taken. */
static bool is_loopback_ipv4(struct str name)
{
    struct str part;
    int parts = 0;

    if (!str_starts(name, STR("127.")))
        return false;
    while (str_split(&name, '.', &part)) {
        int64_t number;

        if (part.len > 3 || !str_to_int64(part, &number) || number < 0 || number > 255)
            return false;
        parts++;
    }
    return parts == 4;
}

static bool is_listed(struct str name, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal_nocase(name, name_of(names[i])))
            return true;
    return false;
}

bool host_is_ours(struct str host, const struct str *names, size_t count)
{
    struct str name = name_of(host);

    return str_equal_nocase(name, STR("localhost")) || str_equal(name, STR("[::1]")) ||
           is_loopback_ipv4(name) || is_listed(name, names, count);
}

bool origin_is_ours(struct str origin, struct str host, const struct str *names, size_t count)
{
    struct str from;

    if (origin.len == 0)
        return true;
    if (str_starts(origin, STR("http://")))
        from = str_slice(origin, 7, origin.len);
    else if (str_starts(origin, STR("https://")))
        from = str_slice(origin, 8, origin.len);
    else
        return false; /* "null": a sandboxed page or a file */
    return str_equal_nocase(from, host) || is_listed(name_of(from), names, count);
}
