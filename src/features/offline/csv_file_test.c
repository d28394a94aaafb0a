/* SPDX-License-Identifier: Apache-2.0 */
#include "features/offline/csv_file.h"

#include "base/file.h"
#include "support/test.h"

static char *folder;
static char why[128];

static const char *file_of(const char *text)
{
    static char path[256];
    struct error err;

    snprintf(path, sizeof(path), "%s/rows.csv", folder);
    assert_ok(file_write(path, str_from(text), &err));
    return path;
}

static char delimiter_of(const char *text)
{
    return csv_delimiter(file_of(text));
}

TEST(the_first_line_tells_the_delimiter)
{
    assert_int_equal(delimiter_of("at,shop,amount\n1;2;3;4;5\n"), ',');
    assert_int_equal(delimiter_of("at;shop;amount\n1,5;2;3,5\n"), ';');
    assert_int_equal(delimiter_of("at\tshop\r\n"), '\t');
    assert_int_equal(delimiter_of("\"a;b;c\"|shop\n"), '|');
    assert_int_equal(delimiter_of("alone\n"), ',');
    assert_int_equal(delimiter_of(""), ',');
    assert_int_equal(csv_delimiter("/no/such/file"), ',');
}

static bool has_rows(const char *text)
{
    return csv_look(file_of(text)).has_rows;
}

TEST(a_header_is_no_row)
{
    assert_false(has_rows(""));
    assert_false(has_rows("a,b\n"));
    assert_false(has_rows("\"a\nb\",c\r\n\r\n\n"));
    assert_true(has_rows("a,b\n\n1,2"));
    assert_true(has_rows("a\n1\n"));
    assert_true(csv_look("/no/such/file").has_rows);
    assert_int_equal(csv_look(file_of("a;b\n")).delimiter, ';');
}

static bool is_wrong(const char *text)
{
    return csv_find_mistake(file_of(text), ',', why, sizeof(why));
}

TEST(whole_files_have_no_mistake)
{
    assert_false(is_wrong(""));
    assert_false(is_wrong("a,b\n1,2\n\n\r\n3,\n"));
    assert_false(is_wrong("a,b\r\n1,\"x, \"\"y\"\"\r\nz\"\r\n\"\",5\" tall\r\n"));
    assert_false(is_wrong("a,b\n1,2"));
}

TEST(a_mistake_is_told_with_its_line)
{
    assert_true(is_wrong("a,b\n1,2\n\n1,2,3\n1\n"));
    assert_string_equal(why, "line 4 has 3 values, the first line has 2");
    assert_true(is_wrong("a,b\n\"1\n2\",2\n1"));
    assert_string_equal(why, "line 4 has 1 value, the first line has 2");
    assert_true(is_wrong("a,b\n1,\"2\n3,4\n"));
    assert_string_equal(why, "a quote in line 2 is never closed");
    assert_true(is_wrong("a,b\n1,\"2\"x\n"));
    assert_string_equal(why, "line 2 has text behind a closing quote");
    assert_false(csv_find_mistake("/no/such/file", ',', why, sizeof(why)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_CASE(the_first_line_tells_the_delimiter),
        TEST_CASE(a_header_is_no_row),
        TEST_CASE(whole_files_have_no_mistake),
        TEST_CASE(a_mistake_is_told_with_its_line),
    };
    struct error err;
    int failed;

    folder = test_folder();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    assert_ok(folder_remove(folder, &err));
    free(folder);
    return failed;
}
