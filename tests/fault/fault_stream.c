/* SPDX-License-Identifier: MIT */
/*
 * Input of a stream that has left the kernel when there turns out to be no memory for it: what was
 * received on a task's stack.
 *
 * Workers: 2
 */
#include "fault_help.h"

#include "../io/stream_help.h"

/* A reader waits for a word, as one that came before was little. */
static weft_task *reader_of_little(const struct ends *e, struct stream_reading *r)
{
    *r = (struct stream_reading){.s = e->s, .call = READ_LINE};
    feed_text(e, "little\n");
    CHECK_EQUAL(stream_read(r), 7);
    weft_task *t = spawn(stream_read_task, r);
    yield_until_waits(e->s);
    return t;
}

static void *lack_for_a_while(void *arg)
{
    struct ends e = open_ends(NULL);
    struct stream_reading r;
    (void)arg;
    for (unsigned times = 1; times <= 5; times++) {
        weft_task *t = reader_of_little(&e, &r);
        inject_arm(INJECT_MEMORY, 1, ENOMEM, times);
        feed_text(&e, "word\n");
        CHECK_EQUAL(joined(t), 5);
        CHECK_EQUAL(inject_disarm(), times);
        CHECK(is_text(r.view, "word\n"));
    }
    close_ends(&e);
    return NULL;
}

static void a_word_waits_for_memory(void **state)
{
    (void)state;
    run_io(lack_for_a_while, NULL);
}

static void *lack_for_long(void *arg)
{
    struct ends e = open_ends(NULL);
    struct stream_reading r;
    (void)arg;
    weft_task *t = reader_of_little(&e, &r);
    inject_arm(INJECT_MEMORY, 1, ENOMEM, UINT_MAX);
    feed_text(&e, "word\n");
    ssize_t n = joined(t);
    CHECK(inject_disarm() > 0);
    CHECK_EQUAL(n, -ENOBUFS);
    feed_text(&e, "another\n");
    CHECK_EQUAL(stream_read(&r), -ENOBUFS); /* not as if nothing had been there before */
    close_ends(&e);
    return NULL;
}

static void a_stream_that_has_lost_a_word_has_failed(void **state)
{
    (void)state;
    run_io(lack_for_long, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_waits_for_memory),
        cmocka_unit_test(a_stream_that_has_lost_a_word_has_failed),
    };
    fault_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
