/* SPDX-License-Identifier: Apache-2.0 */
#include "server/users_text.h"

#include "base/buffer.h"
#include "base/yaml.h"
#include "server/config.h"

static enum status by_hand(struct error *err)
{
    return error_set(err, STATUS_INVALID,
                     CONFIG_FILE
                     ": the list of users is written in a way that cannot be changed "
                     "here; write it as a block: 'users:' and below it a line "
                     "'  - {name: …, role: …, token_sha256: …}' for each");
}

/* Offset of the first byte of a line, counted from 1; the end of the text for one behind the last. */
static size_t line_start(struct str text, int line)
{
    size_t at = 0;

    while (--line > 0 && at < text.len)
        at += str_index(str_slice(text, at, text.len), '\n') + 1;
    return at < text.len ? at : text.len;
}

static struct str concat(struct arena *arena, struct str a, struct str b, struct str c)
{
    return arena_printf(arena, STR_FMT STR_FMT STR_FMT, STR_ARG(a), STR_ARG(b), STR_ARG(c));
}

static enum status find_list(struct arena *arena, struct str text, const struct yaml_node **key,
                             const struct yaml_node **list, struct error *err)
{
    struct yaml_node *documents;
    size_t count;

    *key = *list = NULL;
    TRY(yaml_parse(arena, STR(CONFIG_FILE), text, &documents, &count, err));
    for (size_t i = 0; count > 0 && i < documents[0].count; i++) {
        if (str_equal(documents[0].keys[i].text, STR("users"))) {
            *key = &documents[0].keys[i];
            *list = &documents[0].items[i];
        }
    }
    return STATUS_OK;
}

/* "  " of "  - {…}". */
static struct str indent_of(struct str text, size_t start)
{
    size_t end = start;

    while (end < text.len && text.data[end] == ' ')
        end++;
    return str_slice(text, start, end);
}

enum status users_text_add(struct arena *arena, struct str text, struct str line,
                           struct str *out, struct error *err)
{
    const struct yaml_node *key, *list;
    struct str item, indent;
    size_t at;

    TRY(find_list(arena, text, &key, &list, err));
    if (key == NULL) {
        const char *separator = text.len == 0 || str_ends(text, STR("\n")) ? "" : "\n";

        item = arena_printf(arena, "%susers:\n  - " STR_FMT "\n", separator, STR_ARG(line));
        *out = concat(arena, text, item, STR_EMPTY);
        return STATUS_OK;
    }
    if (list->count == 0) {
        /* "users:" or "users: []": the whole line is written anew. */
        item = arena_printf(arena, "users:\n  - " STR_FMT "\n", STR_ARG(line));
        *out = concat(arena, str_slice(text, 0, line_start(text, key->line)), item,
                      str_slice(text, line_start(text, key->line + 1), text.len));
        return STATUS_OK;
    }
    at = line_start(text, list->items[0].line);
    indent = indent_of(text, at);
    if (at + indent.len >= text.len || text.data[at + indent.len] != '-')
        return by_hand(err);
    item = arena_printf(arena, STR_FMT "- " STR_FMT "\n", STR_ARG(indent), STR_ARG(line));
    *out = concat(arena, str_slice(text, 0, at), item, str_slice(text, at, text.len));
    return STATUS_OK;
}

/* The line behind an item: the first that does not stand deeper than its dash. */
static size_t item_end(struct str text, size_t start, size_t depth)
{
    size_t at = start + str_index(str_slice(text, start, text.len), '\n') + 1;

    while (at < text.len) {
        size_t indent = indent_of(text, at).len;

        if (indent <= depth || text.data[at + indent] == '\n')
            return at;
        at += str_index(str_slice(text, at, text.len), '\n') + 1;
    }
    return text.len;
}

enum status users_text_remove(struct arena *arena, struct str text, size_t index,
                              struct str *out, struct error *err)
{
    const struct yaml_node *key, *list;
    size_t start, end;
    struct str indent;

    TRY(find_list(arena, text, &key, &list, err));
    if (list == NULL || index >= list->count)
        return by_hand(err);
    start = line_start(text, list->items[index].line);
    indent = indent_of(text, start);
    if (start + indent.len >= text.len || text.data[start + indent.len] != '-')
        return by_hand(err);
    end = item_end(text, start, indent.len);
    if (list->count == 1)
        start = line_start(text, key->line); /* an empty list is no list: the key goes too */
    *out = concat(arena, str_slice(text, 0, start), str_slice(text, end, text.len), STR_EMPTY);
    return STATUS_OK;
}
