/* SPDX-License-Identifier: MIT */
/*
 * Goal: a store gives its items in the order of its kind, whatever has been put and taken before,
 * grown and given up between.
 *
 * Method: random calls against a model that searches a plain array for the next item.
 */
#include "test.h"

#include <errno.h>

#include "store.h"

enum { ITEMS_MAX = 3 * STORE_KEEP, STEPS = 40000 };

struct model_item {
    int64_t priority;
    uintptr_t item;
};

static struct model_item model[ITEMS_MAX]; /* in the order of arrival */
static size_t model_count;

/* Where the model has what is next. */
static size_t model_next(enum weft_queue_kind kind)
{
    size_t next = kind == WEFT_LIFO ? model_count - 1 : 0;
    for (size_t i = 0; kind == WEFT_PRIORITY && i < model_count; i++) {
        next = model[i].priority < model[next].priority ? i : next;
    }
    return next;
}

static uintptr_t model_pop(enum weft_queue_kind kind)
{
    size_t next = model_next(kind);
    uintptr_t item = model[next].item;
    model_count--;
    for (size_t i = next; i < model_count; i++) {
        model[i] = model[i + 1];
    }
    return item;
}

static void push(struct store *s, int64_t priority, uintptr_t item)
{
    if (s->count == s->room) {
        size_t room = s->room == 0 ? 1 : s->room + 1 + s->room / 2;
        free(weft__store_adopt(s, weft__store_allocate(s->kind, room), room));
    }
    weft__store_push(s, priority, (void *)item);
    model[model_count++] = (struct model_item){priority, item};
}

static void pop(struct store *s)
{
    uintptr_t item = (uintptr_t)weft__store_pop(s);
    assert_int_equal(item, model_pop(s->kind));
    free(store_trim(s));
    assert_true(s->count > 0 || s->room <= STORE_KEEP);
}

/* Mostly puts and mostly gets take turns, so that it grows and runs empty. */
static void run_model(enum weft_queue_kind kind, size_t turn, size_t steps)
{
    struct store s = {.kind = kind};
    uint64_t state = test_seed() + kind;
    for (size_t i = 0; i < steps; i++) {
        bool is_growing = i / turn % 2 == 0;
        bool puts = test_random(&state) % 8 < (is_growing ? 6 : 1);
        if (puts ? model_count < ITEMS_MAX : model_count == 0) {
            push(&s, (int64_t)(test_random(&state) % 9) - 4, i);
        } else {
            pop(&s);
        }
        assert_int_equal(s.count, model_count);
    }
    while (model_count > 0) {
        pop(&s);
    }
    free(s.slots.items);
}

static void the_oldest_is_next(void **state)
{
    (void)state;
    run_model(WEFT_FIFO, 30, STEPS);
    run_model(WEFT_FIFO, 4000, STEPS / 4);
}

static void the_newest_is_next(void **state)
{
    (void)state;
    run_model(WEFT_LIFO, 30, STEPS);
    run_model(WEFT_LIFO, 4000, STEPS / 4);
}

static void the_lowest_is_next_and_of_equals_the_oldest(void **state)
{
    (void)state;
    run_model(WEFT_PRIORITY, 30, STEPS);
    run_model(WEFT_PRIORITY, 4000, STEPS / 4);
}

static void extreme_priorities_are_ordered(void **state)
{
    (void)state;
    struct store s = {.kind = WEFT_PRIORITY};
    push(&s, INT64_MAX, 1);
    push(&s, INT64_MIN, 2);
    push(&s, -1, 3);
    push(&s, INT64_MIN, 4);
    for (int i = 0; i < 4; i++) {
        pop(&s);
    }
    free(s.slots.items);
}

static void a_clear_drops_all(void **state)
{
    (void)state;
    struct store s = {.kind = WEFT_FIFO};
    for (uintptr_t i = 0; i < 10; i++) {
        push(&s, 0, i);
    }
    assert_null(weft__store_clear(&s)); /* few slots are kept */
    assert_int_equal(s.count, 0);
    model_count = 0;
    push(&s, 0, 7);
    pop(&s);
    for (uintptr_t i = 0; i <= STORE_KEEP; i++) {
        push(&s, 0, i);
    }
    void *slots = weft__store_clear(&s);
    assert_non_null(slots);
    free(slots);
    assert_int_equal(s.room, 0);
    model_count = 0;
    push(&s, 0, 8);
    pop(&s);
    free(s.slots.items);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    assert_null(weft__store_allocate(WEFT_FIFO, SIZE_MAX / 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_is_next),
        cmocka_unit_test(the_newest_is_next),
        cmocka_unit_test(the_lowest_is_next_and_of_equals_the_oldest),
        cmocka_unit_test(extreme_priorities_are_ordered),
        cmocka_unit_test(a_clear_drops_all),
        cmocka_unit_test(too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
