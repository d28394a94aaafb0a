/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "base/buffer.h"
#include "support/test.h"

TEST(pieces_are_zeroed_and_apart)
{
    struct arena *arena = arena_new();
    char *a = arena_alloc(arena, 100);
    char *b = arena_alloc(arena, 100);

    for (int i = 0; i < 100; i++)
        assert_int_equal(a[i], 0);
    memset(a, 1, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(b[i], 0);
    arena_free(arena);
}

TEST(rewinding_gives_zeroed_memory_again)
{
    struct arena *arena = arena_new();
    struct arena_mark mark;

    arena_alloc(arena, 10);
    mark = arena_mark(arena);
    for (int round = 0; round < 3; round++) {
        char *piece = arena_alloc(arena, 5000);

        assert_int_equal(piece[0], 0);
        assert_int_equal(piece[4999], 0);
        memset(piece, 7, 5000);
        arena_rewind(arena, mark);
    }
    arena_free(arena);
}

TEST(a_large_piece_gets_its_own_block)
{
    struct arena *arena = arena_new();
    char *large = arena_alloc(arena, 10 << 20);

    large[(10 << 20) - 1] = 1;
    assert_true(arena_size(arena) >= 10 << 20);
    arena_reset(arena);
    arena_free(arena);
}

TEST(pushing_keeps_what_was_there)
{
    struct arena *arena = arena_new();
    size_t count = 0, capacity = 0;
    int *items = NULL;

    for (int i = 0; i < 1000; i++)
        ARENA_PUSH(arena, items, count, capacity) = i;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    arena_free(arena);
}

TEST(the_newest_piece_grows_where_it_is)
{
    struct arena *arena = arena_new();
    char *before = arena_cstr(arena, STR("before"));
    struct arena_mark mark = arena_mark(arena);
    char *piece = arena_alloc(arena, 1000), *old;
    size_t size = 1000;

    memset(piece, 'p', size);
    for (; size < 50000000; size *= 3)
        piece = arena_extend(arena, piece, size, size * 3);
    piece[size - 1] = 'q';
    assert_int_equal(piece[999], 'p');
    assert_in_range(arena_size(arena), size, size + (2 << 20));
    /* An older one moves, and stays as it was. */
    old = piece;
    arena_alloc(arena, 1);
    piece = arena_extend(arena, piece, size, size + 1);
    assert_ptr_not_equal(piece, old);
    assert_int_equal(piece[size - 1], 'q');
    arena_rewind(arena, mark);
    assert_in_range(arena_size(arena), 0, 1 << 20);
    assert_string_equal(before, "before");
    arena_free(arena);
}

TEST(large_pieces_count_against_the_budget)
{
    struct arena_budget budget = { .max = 10 << 20 };
    struct arena *first = arena_new(), *second = arena_new();
    struct arena_mark mark = arena_mark(first);
    void *piece;

    arena_set_budget(first, &budget);
    arena_set_budget(second, &budget);
    arena_alloc(first, 1000);
    assert_int_equal(budget.held, 0);
    piece = arena_alloc(first, 2 << 20);
    arena_extend(first, piece, 2 << 20, 6 << 20);
    assert_true(arena_may_take(second, 3 << 20));
    assert_false(arena_may_take(second, 5 << 20));
    arena_alloc(second, 5 << 20); /* it does not fail */
    assert_false(arena_may_take(first, 0));
    arena_rewind(first, mark);
    assert_true(arena_may_take(first, 4 << 20));
    arena_free(second);
    assert_int_equal(budget.held, 0);
    arena_free(first);
}

TEST(printing_is_terminated)
{
    struct arena *arena = arena_new();
    struct str text = arena_printf(arena, "%d-%s", 42, "x");

    assert_str_equal(text, STR("42-x"));
    assert_int_equal(text.data[text.len], 0);
    arena_free(arena);
}

TEST(a_buffer_in_an_arena_moves_when_it_grows)
{
    struct arena *arena = arena_new();
    char *room = arena_alloc(arena, 8);
    struct buffer text = { .data = room, .capacity = 8, .arena = arena };

    buffer_append(&text, STR("12345678"));
    assert_ptr_equal(text.data, room);
    for (int i = 0; i < 1000; i++)
        buffer_append_byte(&text, 'x');
    assert_ptr_not_equal(text.data, room);
    assert_int_equal(text.len, 1008);
    assert_memory_equal(text.data, "12345678xx", 10);
    assert_memory_equal(room, "12345678", 8); /* the old piece stays the arena's */
    buffer_free(&text);
    arena_free(arena);
}

TEST(a_strangers_text_is_made_fit_to_show)
{
    struct arena *arena = arena_new();

    assert_str_equal(arena_str_utf8(arena, STR("caf\xC3\xA9\033")), STR("caf\xC3\xA9\033"));
    assert_str_equal(arena_str_utf8(arena, STR("a\xFF"
                                               "b")),
                     STR("a?b"));
    assert_str_equal(arena_str_plain(arena, STR("a\033[31m\tb\n\0c\x7F")),
                     STR("a?[31m\tb\n?c?"));
    arena_free(arena);
}

TEST_MAIN(TEST_CASE(pieces_are_zeroed_and_apart),
          TEST_CASE(rewinding_gives_zeroed_memory_again),
          TEST_CASE(a_large_piece_gets_its_own_block), TEST_CASE(pushing_keeps_what_was_there),
          TEST_CASE(printing_is_terminated), TEST_CASE(a_strangers_text_is_made_fit_to_show),
          TEST_CASE(the_newest_piece_grows_where_it_is),
          TEST_CASE(large_pieces_count_against_the_budget),
          TEST_CASE(a_buffer_in_an_arena_moves_when_it_grows))
