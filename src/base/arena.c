/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define APART 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define APART 1
#endif
#endif
#ifndef APART
#define APART 0
#endif

#define BLOCK_FIRST 4096
#define BLOCK_MAX ((size_t)1 << 20)
#define ALIGNMENT _Alignof(max_align_t)

struct block {
    struct block *before;
    size_t size; /* of data */
    size_t used;
    _Alignas(max_align_t) char data[];
};

struct arena {
    struct block *last; /* NULL until the first piece is wanted */
    size_t blocks;
    size_t held;
    struct arena_budget *budget; /* NULL: none */
};

static void *not_null(void *memory, size_t size)
{
    if (memory == NULL) {
        fprintf(stderr, "onggi: out of memory: %zu bytes were wanted\n", size);
        abort();
    }
    return memory;
}

static void *must_alloc(size_t size)
{
    return not_null(malloc(size), size);
}

static void count_held(struct arena *arena, size_t before, size_t after)
{
    size_t large_before = before < ARENA_LARGE ? 0 : before;
    size_t large_after = after < ARENA_LARGE ? 0 : after;

    arena->held += after - before;
    if (arena->budget != NULL && large_after != large_before)
        atomic_fetch_add_explicit(&arena->budget->held, large_after - large_before,
                                  memory_order_relaxed);
}

struct arena *arena_new(void)
{
    struct arena *arena = must_alloc(sizeof(*arena));

    *arena = (struct arena){ 0 };
    return arena;
}

static void drop_last(struct arena *arena)
{
    struct block *block = arena->last;

    arena->last = block->before;
    arena->blocks--;
    count_held(arena, sizeof(*block) + block->size, 0);
    free(block);
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    while (arena->last != NULL)
        drop_last(arena);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    if (arena->last == NULL)
        return;
    while (arena->last->before != NULL)
        drop_last(arena);
    arena->last->used = 0;
    if (APART)
        drop_last(arena);
}

static void add_block(struct arena *arena, size_t size)
{
    struct block *block = must_alloc(sizeof(*block) + size);

    block->before = arena->last;
    block->size = size;
    block->used = 0;
    arena->last = block;
    arena->blocks++;
    count_held(arena, 0, sizeof(*block) + size);
}

static size_t block_size(const struct arena *arena, size_t wanted)
{
    size_t size = arena->last == NULL ? BLOCK_FIRST : arena->last->size * 2;

    /* Each piece by itself lets the sanitizer see an overrun by one byte. */
    if (APART)
        return wanted;
    if (size > BLOCK_MAX)
        size = BLOCK_MAX;
    return size < wanted ? wanted : size;
}

static void check_size(size_t size)
{
    if (size > SIZE_MAX / 4) {
        fprintf(stderr, "onggi: a piece of %zu bytes was wanted\n", size);
        abort();
    }
}

static inline void *take(struct arena *arena, size_t size)
{
    struct block *block = arena->last;
    size_t from;

    check_size(size);
    from = block == NULL ? 0 : (block->used + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (block == NULL || APART || from + size > block->size) {
        add_block(arena, block_size(arena, size));
        block = arena->last;
        from = 0;
    }
    block->used = from + size;
    return block->data + from;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(take(arena, size), 0, size);
}

void *arena_alloc_raw(struct arena *arena, size_t size)
{
    return take(arena, size);
}

/* The last block becomes larger; the system moves large ones without copying. */
static void *extend_last(struct arena *arena, size_t size)
{
    struct block *block = arena->last;
    size_t bytes = sizeof(*block) + size;

    count_held(arena, sizeof(*block) + block->size, bytes);
    block = not_null(realloc(block, bytes), bytes);
    block->size = block->used = size;
    arena->last = block;
    return block->data;
}

void *arena_extend(struct arena *arena, void *piece, size_t size, size_t larger)
{
    struct block *block = arena->last;
    char *data = piece;
    void *copy;

    check_size(larger);
    if (block != NULL && data >= block->data && data + size == block->data + block->used) {
        if (data + larger <= block->data + block->size) {
            block->used += larger - size;
            return piece;
        }
        if (data == block->data)
            return extend_last(arena, larger);
    }
    copy = arena_alloc_raw(arena, larger);
    if (size > 0)
        memcpy(copy, piece, size);
    return copy;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX; /* arena_alloc ends the process */
    return arena_alloc(arena, bytes);
}

char *arena_cstr(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.data, s.len);
    return copy;
}

struct str arena_str(struct arena *arena, struct str s)
{
    return (struct str){ arena_cstr(arena, s), s.len };
}

struct str arena_str_utf8(struct arena *arena, struct str s)
{
    char *copy = arena_cstr(arena, s);
    bool good = str_is_utf8(s);

    for (size_t i = 0; !good && i < s.len; i++)
        if ((unsigned char)copy[i] >= 0x80)
            copy[i] = '?';
    return (struct str){ copy, s.len };
}

struct str arena_str_plain(struct arena *arena, struct str s)
{
    struct str text = arena_str_utf8(arena, s);
    char *copy = (char *)(uintptr_t)text.data;

    for (size_t i = 0; i < text.len; i++)
        if (((unsigned char)copy[i] < 0x20 && copy[i] != '\n' && copy[i] != '\t') ||
            copy[i] == 0x7F)
            copy[i] = '?';
    return text;
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_list again;
    char *text;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        len = 0;
    text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct str){ text, (size_t)len };
}

struct arena_mark arena_mark(struct arena *arena)
{
    struct block *block = arena->last;

    return (struct arena_mark){ arena->blocks, block == NULL ? 0 : block->used };
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    while (arena->blocks > mark.blocks)
        drop_last(arena);
    if (arena->last != NULL)
        arena->last->used = mark.used;
}

size_t arena_size(const struct arena *arena)
{
    return arena->held;
}

void arena_set_budget(struct arena *arena, struct arena_budget *budget)
{
    arena->budget = budget;
}

bool arena_may_take(const struct arena *arena, size_t bytes)
{
    const struct arena_budget *budget = arena->budget;
    size_t held = budget == NULL ? 0
                                 : atomic_load_explicit(&budget->held, memory_order_relaxed);

    return budget == NULL || (held <= budget->max && bytes <= budget->max - held);
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size)
{
    size_t wider = *capacity == 0 ? 8 : *capacity * 2;
    void *grown = arena_array(arena, wider, size);

    if (count > 0)
        memcpy(grown, items, count * size);
    *capacity = wider;
    return grown;
}
