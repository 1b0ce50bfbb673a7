/* SPDX-License-Identifier: MIT */
/*
 * The deque in one thread, against a plain array.
 *
 * Each operation alone, then long random sequences on small deques, shared and not, so that full,
 * empty, wrap-around, holes and indices used again come up all the time.
 */
#include "test.h"

#include "deque.h"

enum { ITEMS = 64 };

struct item {
    struct runnable run;
    int number;
};

static struct item items[ITEMS];

static int number_of(struct runnable *r)
{
    return r == NULL ? -1 : WEFT_CONTAINER(r, struct item, run)->number;
}

static void push_items(struct deque *d, int from, int to)
{
    for (int i = from; i < to; i++) {
        assert_true(deque_push(d, &items[i].run));
    }
}

static void full_declines_and_is_unchanged(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 4, true), 0);
    assert_int_equal(deque_size_hint(&d), 0);
    assert_false(deque_holds_work(&d));
    push_items(&d, 0, 4);
    assert_true(deque_holds_work(&d));
    assert_false(deque_push(&d, &items[4].run));
    assert_int_equal(deque_size_hint(&d), 4);
    assert_int_equal(number_of(deque_next(&d)), 0);
    push_items(&d, 4, 5);
    assert_false(deque_push(&d, &items[5].run));
    deque_fini(&d);
}

static void next_and_steal_take_the_oldest(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 8, true), 0);
    assert_null(deque_next(&d));
    assert_null(weft__deque_steal(&d));
    push_items(&d, 0, 3);
    assert_int_equal(number_of(deque_next(&d)), 0);
    assert_int_equal(number_of(weft__deque_steal(&d)), 1);
    assert_int_equal(number_of(deque_next(&d)), 2);
    assert_null(deque_next(&d));
    assert_null(weft__deque_steal(&d));
    deque_fini(&d);
}

static void pop_takes_the_newest(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 8, true), 0);
    assert_null(deque_pop(&d));
    push_items(&d, 0, 3);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(number_of(deque_pop(&d)), i);
    }
    assert_null(deque_pop(&d));
    assert_int_equal(deque_size_hint(&d), 0);
    deque_fini(&d);
}

static void take_back_takes_from_anywhere(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 8, true), 0);
    assert_false(deque_take_back(&d, &items[0].run));
    push_items(&d, 0, 6);
    const int order[] = {2, 5, 0, 3};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        assert_true(deque_take_back(&d, &items[order[i]].run));
        assert_false(deque_take_back(&d, &items[order[i]].run));
    }
    assert_int_equal(number_of(deque_next(&d)), 1);
    assert_true(deque_holds_work(&d));
    assert_int_equal(number_of(deque_pop(&d)), 4);
    assert_null(deque_next(&d));
    assert_null(weft__deque_steal(&d));
    assert_false(deque_holds_work(&d));
    deque_fini(&d);
}

/* A child that is spawned and awaited at once leaves the deque as it was. */
static void taking_the_newest_back_leaves_no_hole(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 4, true), 0);
    push_items(&d, 0, 2);
    for (int i = 0; i < 100; i++) {
        push_items(&d, 2, 4);
        assert_true(deque_take_back(&d, &items[2].run)); /* a hole, until the next line */
        assert_true(deque_take_back(&d, &items[3].run));
        assert_int_equal(deque_size_hint(&d), 2);
    }
    deque_fini(&d);
}

/* Holes are room again once the owner has passed them. */
static void holes_at_the_top_make_room(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 4, true), 0);
    push_items(&d, 0, 4);
    assert_true(deque_take_back(&d, &items[1].run));
    assert_false(deque_push(&d, &items[4].run)); /* the hole is below the oldest but one */
    assert_true(deque_take_back(&d, &items[0].run));
    push_items(&d, 4, 6);
    assert_false(deque_push(&d, &items[6].run));
    for (int i = 2; i < 6; i++) {
        assert_int_equal(number_of(deque_next(&d)), i);
    }
    deque_fini(&d);
}

/* The index tells a slot of the deque that the item was last in; what is there may be another. */
static void take_back_declines_what_is_elsewhere(void **state)
{
    (void)state;
    struct deque d;
    struct deque other;
    assert_int_equal(deque_init(&d, 2, true), 0);
    assert_int_equal(deque_init(&other, 2, true), 0);
    push_items(&d, 0, 1);
    assert_int_equal(number_of(weft__deque_steal(&d)), 0);
    assert_false(deque_take_back(&d, &items[0].run));
    push_items(&d, 1, 2);
    push_items(&other, 2, 3);
    push_items(&other, 0, 1);
    assert_false(deque_take_back(&d, &items[0].run));
    assert_false(deque_take_back(&d, &items[2].run));
    assert_false(deque_take_back(&other, &items[1].run));
    assert_true(deque_take_back(&d, &items[1].run));
    assert_true(deque_take_back(&other, &items[0].run));
    assert_true(deque_take_back(&other, &items[2].run));
    deque_fini(&d);
    deque_fini(&other);
}

/* A thief begins where the last one left off; what came to be below that is found all the same. */
static void steal_finds_what_is_below_the_hint(void **state)
{
    (void)state;
    struct deque d;
    assert_int_equal(deque_init(&d, 4, true), 0);
    push_items(&d, 0, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(number_of(weft__deque_steal(&d)), i);
    }
    assert_null(deque_pop(&d)); /* bottom falls to 0; indices 0 to 2 are used again */
    push_items(&d, 3, 5);
    bool seen[ITEMS] = {false};
    for (int i = 0; i < 2; i++) {
        seen[number_of(weft__deque_steal(&d))] = true;
    }
    assert_true(seen[3] && seen[4]);
    assert_null(weft__deque_steal(&d));
    deque_fini(&d);
}

/* The golden model: live[0..count), the oldest first. */
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

static void golden_expect(struct golden *g, struct runnable *got, int at)
{
    if (g->count == 0) {
        assert_null(got);
        return;
    }
    assert_int_equal(number_of(got), g->live[at]);
    golden_remove(g, at);
}

static uint32_t golden_index(const struct golden *g, int at)
{
    return atomic_load_relaxed(&items[g->live[at]].run.index); /* ORD none: one thread */
}

/* Slots from the oldest element to the bottom. */
static uint32_t golden_span(const struct deque *d, const struct golden *g)
{
    uint32_t bottom = (uint32_t)atomic_load_relaxed(&d->bottom); /* ORD none: one thread */
    return g->count == 0 ? 0 : bottom - golden_index(g, 0);
}

static void random_push(struct deque *d, struct golden *g, uint32_t capacity, int number)
{
    if (golden_find(g, number) >= 0) {
        return; /* a runnable is in a deque once */
    }
    bool has_room = golden_span(d, g) < capacity;
    assert_int_equal(deque_push(d, &items[number].run), has_room);
    if (has_room) {
        g->live[g->count++] = number;
    }
}

/* If it was right below the bottom, then the newest is now. */
static void random_take_back(struct deque *d, struct golden *g, int number)
{
    int at = golden_find(g, number);
    uint32_t bottom = (uint32_t)atomic_load_relaxed(&d->bottom); /* ORD none: one thread */
    bool is_at_bottom = at >= 0 && golden_index(g, at) + 1 == bottom;
    assert_int_equal(deque_take_back(d, &items[number].run), at >= 0);
    if (at >= 0) {
        golden_remove(g, at);
    }
    if (is_at_bottom && g->count > 0) {
        bottom = (uint32_t)atomic_load_relaxed(&d->bottom); /* ORD none: one thread */
        assert_int_equal(bottom, golden_index(g, g->count - 1) + 1);
    }
}

/* The oldest; one of the others only if the hint points above it. */
static void random_steal(struct deque *d, struct golden *g)
{
    int64_t bottom = atomic_load_relaxed(&d->bottom);  /* ORD none: one thread */
    int64_t hint = atomic_load_relaxed(&d->scan_hint); /* ORD none: one thread */
    bool is_oldest = hint <= bottom - golden_span(d, g) || hint > bottom;
    struct runnable *got = weft__deque_steal(d);
    int at = got == NULL || is_oldest ? 0 : golden_find(g, number_of(got));
    assert_true(at >= 0);
    golden_expect(g, got, at);
}

static void random_operation(struct deque *d, struct golden *g, uint32_t capacity, uint64_t *random)
{
    int number = (int)(test_random(random) % ITEMS);
    switch (test_random(random) % 8) {
    case 0:
    case 1:
    case 2:
        random_push(d, g, capacity, number);
        break;
    case 3:
    case 4:
        if (g->count > 0 && test_random(random) % 4 != 0) {
            number = g->live[test_random(random) % (uint64_t)g->count];
        }
        random_take_back(d, g, number);
        break;
    case 5:
        golden_expect(g, deque_pop(d), g->count - 1);
        break;
    case 6:
        if (d->shared && test_random(random) % 2 == 0) {
            random_steal(d, g);
        } else if (d->shared) {
            weft__ownership_own(&d->ownership, &d->thieves);
        }
        break;
    default:
        golden_expect(g, deque_next(d), 0);
        break;
    }
    assert_in_range(deque_size_hint(d), g->count, capacity);
    assert_int_equal(deque_holds_work(d), g->count > 0);
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

/* From every place in the round, and with indices that an item cannot keep whole. */
static void without_thieves_a_full_deque_can_grow(void **state)
{
    (void)state;
    const int64_t starts[] = {0, 1, 5, 7, INT32_MAX - 3, UINT32_MAX - INT64_C(3)};
    for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
        struct deque d;
        assert_int_equal(deque_init(&d, 8, false), 0);
        atomic_store_relaxed(&d.bottom, starts[s]); /* ORD none: one thread */
        atomic_store_relaxed(&d.top, starts[s]);    /* ORD none: one thread */
        push_items(&d, 0, 8);
        assert_true(deque_take_back(&d, &items[3].run));
        assert_false(deque_push(&d, &items[8].run));
        assert_true(weft__deque_grow(&d));
        push_items(&d, 8, 16);
        assert_false(deque_push(&d, &items[16].run));
        assert_true(weft__deque_grow(&d));
        push_items(&d, 16, 20);
        assert_true(deque_take_back(&d, &items[5].run));
        assert_true(deque_take_back(&d, &items[17].run));
        assert_false(deque_take_back(&d, &items[3].run));
        assert_int_equal(number_of(deque_pop(&d)), 19);
        for (int i = 0; i < 19; i++) {
            if (i != 3 && i != 5 && i != 17) {
                assert_int_equal(number_of(deque_next(&d)), i);
            }
        }
        assert_null(deque_next(&d));
        assert_false(deque_holds_work(&d));
        deque_fini(&d);
    }
}

/* Indices are 64 bits wide, of which an item keeps 32; here they pass the ends of those ranges. */
static void indices_may_be_large(void **state)
{
    (void)state;
    const int64_t starts[] = {INT32_MAX - 3, UINT32_MAX - INT64_C(3), INT64_MAX / 2};
    for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
        struct deque d;
        struct golden g = {.count = 0};
        uint64_t random = test_seed();
        assert_int_equal(deque_init(&d, 4, true), 0);
        atomic_store_relaxed(&d.bottom, starts[s]);    /* ORD none: one thread */
        atomic_store_relaxed(&d.top, starts[s]);       /* ORD none: one thread */
        atomic_store_relaxed(&d.scan_hint, starts[s]); /* ORD none: one thread */
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
        cmocka_unit_test(take_back_takes_from_anywhere),
        cmocka_unit_test(taking_the_newest_back_leaves_no_hole),
        cmocka_unit_test(holes_at_the_top_make_room),
        cmocka_unit_test(take_back_declines_what_is_elsewhere),
        cmocka_unit_test(steal_finds_what_is_below_the_hint),
        cmocka_unit_test(random_operations_agree_with_an_array),
        cmocka_unit_test(without_thieves_a_full_deque_can_grow),
        cmocka_unit_test(indices_may_be_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
