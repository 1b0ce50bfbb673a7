/* SPDX-License-Identifier: MIT */
/*
 * The deque in one thread, against a plain array.
 *
 * Each operation alone, then long random sequences on small deques, shared and not, so that full,
 * empty and wrap-around come up all the time.
 */
#include "test.h"

#include "deque.h"

enum { ITEMS = 64 };

struct runnable {
    int number;
};

static struct runnable items[ITEMS];

static void full_declines_and_is_unchanged(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 4, true), 0);
    assert_int_equal(deque_size_hint(&d), 0);
    for (int i = 0; i < 4; i++) {
        assert_true(deque_push(&d, &items[i]));
    }
    assert_false(deque_push(&d, &items[4]));
    assert_int_equal(deque_size_hint(&d), 4);
    assert_ptr_equal(deque_next(&d), &items[0]);
    assert_true(deque_push(&d, &items[4]));
    assert_false(deque_push(&d, &items[5]));
    deque_fini(&d);
}

static void next_and_steal_take_the_oldest(void **state)
{
    (void)state;
    struct deque d;
    bool lost = true;
    assert_int_equal(deque_init(&d, 8, true), 0);
    assert_null(deque_next(&d));
    assert_null(deque_steal(&d, &lost));
    assert_false(lost);
    for (int i = 0; i < 3; i++) {
        assert_true(deque_push(&d, &items[i]));
    }
    assert_ptr_equal(deque_next(&d), &items[0]);
    assert_ptr_equal(deque_steal(&d, &lost), &items[1]);
    assert_false(lost);
    assert_ptr_equal(deque_next(&d), &items[2]);
    assert_null(deque_next(&d));
    deque_fini(&d);
}

static void pop_takes_the_newest(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 8, true), 0);
    assert_null(deque_pop(&d));
    for (int i = 0; i < 3; i++) {
        assert_true(deque_push(&d, &items[i]));
    }
    for (int i = 2; i >= 0; i--) {
        assert_ptr_equal(deque_pop(&d), &items[i]);
    }
    assert_null(deque_pop(&d));
    assert_int_equal(deque_size_hint(&d), 0);
    deque_fini(&d);
}

static void take_back_knows_both_ends_only(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 4, true), 0);
    assert_false(deque_take_back(&d, &items[0]));
    for (int i = 0; i < 4; i++) {
        assert_true(deque_push(&d, &items[i]));
    }
    assert_false(deque_take_back(&d, &items[1]));
    assert_false(deque_take_back(&d, &items[2]));
    assert_int_equal(deque_size_hint(&d), 4);
    assert_true(deque_take_back(&d, &items[3]));
    assert_false(deque_take_back(&d, &items[3]));
    assert_true(deque_take_back(&d, &items[0]));
    assert_false(deque_take_back(&d, &items[0]));
    assert_true(deque_take_back(&d, &items[2]));
    assert_true(deque_take_back(&d, &items[1]));
    assert_false(deque_take_back(&d, &items[1]));
    assert_null(deque_next(&d));
    deque_fini(&d);
}

/* What was taken stays in its slot as a stale pointer; that must not count. */
static void take_back_is_not_fooled_by_stale_slots(void **state)
{
    (void)state;
    struct deque d;
    bool lost;
    assert_int_equal(deque_init(&d, 2, true), 0);
    assert_true(deque_push(&d, &items[0]));
    assert_ptr_equal(deque_steal(&d, &lost), &items[0]);
    assert_false(deque_take_back(&d, &items[0]));
    assert_true(deque_push(&d, &items[1]));
    assert_true(deque_push(&d, &items[2]));
    assert_ptr_equal(deque_next(&d), &items[1]);
    assert_false(deque_take_back(&d, &items[1]));
    assert_true(deque_take_back(&d, &items[2]));
    assert_false(deque_take_back(&d, &items[2]));
    deque_fini(&d);
}

/* The golden model: live[from..to), the oldest first. */
struct golden {
    int live[8];
    int count;
};

static int golden_find(const struct golden *g, int number)
{
    for (int i = 0; i < g->count; i++) {
        if (g->live[i] == number) {
            return i;
        }
    }
    return -1;
}

static void golden_remove(struct golden *g, int at)
{
    g->count--;
    for (int i = at; i < g->count; i++) {
        g->live[i] = g->live[i + 1];
    }
}

static void golden_expect(struct golden *g, const struct runnable *got, int at)
{
    if (g->count == 0) {
        assert_null(got);
        return;
    }
    assert_non_null(got);
    assert_int_equal(got->number, g->live[at]);
    golden_remove(g, at);
}

static void random_push(struct deque *d, struct golden *g, uint32_t capacity, int number)
{
    if (golden_find(g, number) >= 0) {
        return; /* a runnable is in a deque once */
    }
    bool pushed = deque_push(d, &items[number]);
    assert_int_equal(pushed, g->count < (int)capacity);
    if (pushed) {
        g->live[g->count++] = number;
    }
}

static void random_take_back(struct deque *d, struct golden *g, int number)
{
    int at = golden_find(g, number);
    bool is_end = at >= 0 && (at == 0 || at == g->count - 1);
    assert_int_equal(deque_take_back(d, &items[number]), is_end);
    if (is_end) {
        golden_remove(g, at);
    }
}

static void random_operation(struct deque *d, struct golden *g, uint32_t capacity, uint64_t *random)
{
    int number = (int)(test_random(random) % ITEMS);
    bool lost = false;
    switch (test_random(random) % 8) {
    case 0:
    case 1:
    case 2:
        random_push(d, g, capacity, number);
        break;
    case 3:
        if (g->count > 0 && test_random(random) % 2 == 0) {
            number = g->live[test_random(random) % (uint64_t)g->count];
        }
        random_take_back(d, g, number);
        break;
    case 4:
        if (g->count > 0) {
            random_take_back(d, g, g->live[g->count - 1]);
        }
        break;
    case 5:
        golden_expect(g, deque_pop(d), g->count - 1);
        break;
    case 6:
        golden_expect(g, d->shared ? deque_steal(d, &lost) : deque_next(d), 0);
        assert_false(lost);
        break;
    default:
        golden_expect(g, deque_next(d), 0);
        break;
    }
    assert_int_equal(deque_size_hint(d), g->count);
}

static void random_operations_agree_with_an_array(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (int round = 0; round < 200; round++) {
        uint32_t capacity = 2u << (round % 3);
        struct golden g = {.count = 0};
        struct deque d;
        assert_int_equal(deque_init(&d, capacity, round % 2 == 0), 0);
        for (int i = 0; i < 2000; i++) {
            random_operation(&d, &g, capacity, &random);
        }
        while (g.count > 0) {
            golden_expect(&g, deque_next(&d), 0);
        }
        assert_null(deque_next(&d));
        deque_fini(&d);
    }
}

/* Indices are 64 bits wide; here they pass the ends of the 32-bit ranges. */
static void indices_may_be_large(void **state)
{
    (void)state;
    const int64_t starts[] = {INT32_MAX - 3, UINT32_MAX - INT64_C(3), INT64_MAX / 2};
    for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
        struct deque d;
        struct golden g = {.count = 0};
        uint64_t random = test_seed();
        assert_int_equal(deque_init(&d, 4, true), 0);
        atomic_store_relaxed(&d.bottom, starts[s]); /* ORD none: one thread */
        atomic_store_relaxed(&d.top, starts[s]);    /* ORD none: one thread */
        for (int i = 0; i < 1000; i++) {
            random_operation(&d, &g, 4, &random);
        }
        deque_fini(&d);
    }
}

int main(void)
{
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_declines_and_is_unchanged),
        cmocka_unit_test(next_and_steal_take_the_oldest),
        cmocka_unit_test(pop_takes_the_newest),
        cmocka_unit_test(take_back_knows_both_ends_only),
        cmocka_unit_test(take_back_is_not_fooled_by_stale_slots),
        cmocka_unit_test(random_operations_agree_with_an_array),
        cmocka_unit_test(indices_may_be_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
