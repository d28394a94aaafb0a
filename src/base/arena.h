/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Memory that dies together. An arena belongs to one thread at a time and
 * hands out zeroed pieces that live until it is freed or rewound. It never
 * fails: out of memory ends the process with a message. What a stranger may
 * make us allocate is bounded where it comes in.
 */
#include "base/str.h"

#include <stdatomic.h>

struct arena;

struct arena_mark {
    size_t blocks;
    size_t used;
};

/* Pieces of this size and more count against the budget of their arena. */
#define ARENA_LARGE ((size_t)256 << 10)

/* What several arenas may hold together in large pieces. Any thread. */
struct arena_budget {
    atomic_size_t held;
    size_t max;
};

struct arena *arena_new(void);
/* A NULL arena is fine. */
void arena_free(struct arena *arena);
/* As after arena_new, but keeps its first block: for one that is used request after request. */
void arena_reset(struct arena *arena);

/* Aligned for every type; size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
/* The same, not zeroed: for what is written at once. */
void *arena_alloc_raw(struct arena *arena, size_t size)
    __attribute__((malloc, returns_nonnull));
/*
 * Makes a piece longer, in place where it is the newest one, else as a copy that leaves the old piece
 * to the arena. What is new is not zeroed.
 */
void *arena_extend(struct arena *arena, void *piece, size_t size, size_t larger)
    __attribute__((returns_nonnull));
/* count × size, an overflow ends the process. */
void *arena_array(struct arena *arena, size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_array((arena), (count), sizeof(type)))

/* A copy that is NUL-terminated as well. */
struct str arena_str(struct arena *arena, struct str s);
char *arena_cstr(struct arena *arena, struct str s);
/* A copy of the text, and if it is not UTF-8 with '?' for each byte beyond ASCII. */
struct str arena_str_utf8(struct arena *arena, struct str s);
/* The same with '?' for control characters but line ends and tabs: safe to show on a terminal. */
struct str arena_str_plain(struct arena *arena, struct str s);
struct str arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/* What was handed out since the mark is gone after the rewind. */
struct arena_mark arena_mark(struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);

/* Bytes held from the system, for metrics and limits. */
size_t arena_size(const struct arena *arena);
/* From now on; it must outlive the arena. Allocating never fails: who takes much asks before. */
void arena_set_budget(struct arena *arena, struct arena_budget *budget);
/* Whether so many bytes more are within the budget; true where there is none. */
bool arena_may_take(const struct arena *arena, size_t bytes);

/* Growing one array in an arena: doubles, copies, leaves the old piece to the arena. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size);
/* ARENA_PUSH(arena, list->items, list->count, list->capacity) = item; */
#define ARENA_PUSH(arena, items, count, capacity) \
    (*(((count) == (capacity) ? (void)((items) = arena_grow((arena), (items), (count), \
                                                            &(capacity), sizeof(*(items)))) \
                              : (void)0), \
       &(items)[(count)++]))
