/* SPDX-License-Identifier: MIT */
/* The global queue used by one thread: order, batches, bounds of a take, a random run. */
#include "inject.h"

#include "check.h"
#include "test.h"

struct item {
    struct runnable runnable;
    unsigned number;
};

static struct item *item_of(struct runnable *r)
{
    return WEFT_CONTAINER(r, struct item, runnable);
}

/* Push items[0..count) as one chain; the last link is left as rubbish on purpose. */
static void push_chain(struct inject *q, struct item *items, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        items[i].runnable.next = &items[i + 1].runnable;
    }
    items[count - 1].runnable.next = &items[0].runnable;
    weft__inject_push(q, &items[0].runnable, &items[count - 1].runnable, count);
}

/* Take and check that what comes is numbered from `number` on; returns how many came. */
static size_t take_checked(struct inject *q, size_t count_max, unsigned number)
{
    size_t count = 77;
    struct runnable *r = weft__inject_take(q, count_max, &count);
    assert_true(count <= count_max);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(r);
        assert_int_equal(item_of(r)->number, number + i);
        r = r->next;
    }
    assert_null(r);
    return count;
}

static void empty_queue_gives_nothing(void **state)
{
    (void)state;
    struct inject q;
    weft__inject_init(&q);
    assert_true(inject_empty(&q));
    assert_int_equal(inject_length_hint(&q), 0);
    assert_int_equal(take_checked(&q, 5, 0), 0);
    weft__inject_fini(&q);
}

static void takes_oldest_first_and_no_more_than_asked(void **state)
{
    (void)state;
    struct inject q;
    struct item items[10];
    for (unsigned i = 0; i < 10; i++) {
        items[i].number = i;
    }
    weft__inject_init(&q);
    push_chain(&q, &items[0], 1);
    push_chain(&q, &items[1], 6);
    push_chain(&q, &items[7], 3);
    assert_false(inject_empty(&q));
    assert_int_equal(inject_length_hint(&q), 10);

    assert_int_equal(take_checked(&q, 0, 0), 0);
    assert_int_equal(take_checked(&q, 1, 0), 1);
    assert_int_equal(take_checked(&q, 4, 1), 4);
    assert_int_equal(inject_length_hint(&q), 5);
    assert_int_equal(take_checked(&q, 5, 5), 5);
    assert_true(inject_empty(&q));
    assert_int_equal(take_checked(&q, 5, 10), 0);

    push_chain(&q, &items[0], 2);
    assert_int_equal(take_checked(&q, 100, 0), 2);
    weft__inject_fini(&q);
}

static void random_run_matches_a_counter_pair(void **state)
{
    (void)state;
    enum { ITEMS = 256 };
    static struct item items[ITEMS];
    struct inject q;
    uint64_t random = test_seed();
    unsigned pushed = 0;
    unsigned taken = 0;
    weft__inject_init(&q);
    for (int step = 0; step < 100000; step++) {
        unsigned start = pushed % ITEMS;
        unsigned room = ITEMS - (pushed - taken);
        if (room > ITEMS - start) {
            room = ITEMS - start;
        }
        unsigned n = (unsigned)(test_random(&random) % 12);
        if (n > 0 && n <= room && test_random(&random) % 2 == 0) {
            for (unsigned i = 0; i < n; i++) {
                items[start + i].number = pushed + i;
            }
            push_chain(&q, &items[start], n);
            pushed += n;
        } else {
            size_t got = take_checked(&q, n, taken);
            assert_int_equal(got, n < pushed - taken ? n : pushed - taken);
            taken += (unsigned)got;
        }
        assert_int_equal(inject_length_hint(&q), pushed - taken);
        assert_int_equal(inject_empty(&q), pushed == taken);
    }
    taken += (unsigned)take_checked(&q, ITEMS, taken);
    assert_int_equal(taken, pushed);
    weft__inject_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_queue_gives_nothing),
        cmocka_unit_test(takes_oldest_first_and_no_more_than_asked),
        cmocka_unit_test(random_run_matches_a_counter_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
