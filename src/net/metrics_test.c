/* SPDX-License-Identifier: Apache-2.0 */
#include "net/metrics.h"

#include "support/test.h"

#include <pthread.h>

#define ADDS 20000

static void *add_many(void *metric)
{
    for (int i = 0; i < ADDS; i++)
        metric_add(metric, 1);
    return NULL;
}

TEST(threads_count_without_losing_one)
{
    struct metric *metric = metric_counter("t_adds_total", "Adds.", "");
    pthread_t threads[10];

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, metric), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_total(metric), ARRAY_LEN(threads) * ADDS);
}

TEST(the_same_name_and_labels_are_the_same_metric)
{
    struct metric *a = metric_gauge("t_gauge", "Now.", "kind=\"a\"");

    assert_ptr_equal(a, metric_gauge("t_gauge", "Now.", "kind=\"a\""));
    assert_ptr_not_equal(a, metric_gauge("t_gauge", "Now.", "kind=\"b\""));
    metric_change(a, 5);
    metric_change(a, -7);
    assert_int_equal((int64_t)metric_total(a), -2);
}

TEST(quantiles_are_the_ends_of_their_buckets)
{
    struct metric *metric = metric_histogram("t_seconds", "Time.", "");

    assert_int_equal(metric_quantile_ns(metric, 0.5), 0);
    for (int i = 0; i < 99; i++)
        metric_record_ns(metric, 1100); /* in [1.0, 1.5) µs */
    metric_record_ns(metric, 3600000);  /* in [3.072, 4.096) ms */
    assert_int_equal(metric_total(metric), 100);
    assert_int_equal(metric_quantile_ns(metric, 0.5), 1500);
    assert_int_equal(metric_quantile_ns(metric, 0.99), 1500);
    assert_int_equal(metric_quantile_ns(metric, 1), 4096000);
}

/* Each duration is below the end of its bucket and not below the end of the one before. */
TEST(buckets_hold_what_their_ends_say)
{
    for (uint64_t ns = 0; ns < UINT64_C(60000000000); ns = ns * 9 / 8 + 7) {
        char labels[32];
        struct metric *metric;
        uint64_t end;

        snprintf(labels, sizeof(labels), "ns=\"%llu\"", (unsigned long long)ns);
        metric = metric_histogram("t_buckets_seconds", "Time.", labels);
        metric_record_ns(metric, ns);
        end = metric_quantile_ns(metric, 1);
        assert_true(ns < end);
        assert_true(ns < 500 || end <= ns * 3 / 2 + 500);
    }
}

static double seven(void *context)
{
    (void)context;
    return 7;
}

TEST(the_text_is_what_prometheus_reads)
{
    struct buffer text = { 0 };

    metric_add(metric_counter("t_text_total", "Texts.", "kind=\"a\""), 3);
    metric_counter("t_text_total", "Texts.", "kind=\"never\"");
    metric_record_ns(metric_histogram("t_text_seconds", "Time.", "kind=\"a\""), 400);
    metric_observed("t_text_now", "Now.", "", seven, NULL);
    metrics_write(&text);
    assert_str_contains(buffer_str(&text),
                        STR("# HELP t_text_total Texts.\n# TYPE t_text_total "
                            "counter\nt_text_total{kind=\"a\"} 3\n"));
    assert_null(memmem(text.data, text.len, "never", 5));
    assert_str_contains(buffer_str(&text),
                        STR("t_text_seconds_bucket{kind=\"a\",le=\"2.5e-07\"} 0\n"
                            "t_text_seconds_bucket{kind=\"a\",le=\"5e-07\"} 1\n"));
    assert_str_contains(buffer_str(&text), STR("t_text_seconds_count{kind=\"a\"} 1\n"));
    assert_str_contains(buffer_str(&text), STR("t_text_now 7\n"));
    buffer_free(&text);
}

TEST_MAIN(TEST_CASE(threads_count_without_losing_one),
          TEST_CASE(the_same_name_and_labels_are_the_same_metric),
          TEST_CASE(quantiles_are_the_ends_of_their_buckets),
          TEST_CASE(buckets_hold_what_their_ends_say),
          TEST_CASE(the_text_is_what_prometheus_reads))
