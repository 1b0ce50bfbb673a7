/* SPDX-License-Identifier: MIT */
/* The inbox used by one thread: order, emptiness, reuse, and a random run against a plain queue. */
#include "mpsc.h"

#include "check.h"
#include "test.h"

struct letter {
    struct mpsc_node node;
    unsigned number;
};

static struct letter *letter_of(struct mpsc_node *node)
{
    return WEFT_CONTAINER(node, struct letter, node);
}

static void zeroed_inbox_is_empty(void **state)
{
    (void)state;
    static struct mpsc inbox;
    assert_true(mpsc_empty(&inbox));
    assert_null(mpsc_take_all(&inbox));

    struct letter letter = {.number = 1};
    mpsc_push(&inbox, &letter.node);
    mpsc_init(&inbox);
    assert_true(mpsc_empty(&inbox));
}

static void only_the_first_push_reports_empty(void **state)
{
    (void)state;
    struct mpsc inbox;
    mpsc_init(&inbox);
    struct letter letters[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    assert_true(mpsc_push(&inbox, &letters[0].node));
    assert_false(mpsc_push(&inbox, &letters[1].node));
    assert_false(mpsc_empty(&inbox));
    assert_non_null(mpsc_take_all(&inbox));
    assert_true(mpsc_empty(&inbox));
    assert_true(mpsc_push(&inbox, &letters[2].node));
}

static void takes_everything_oldest_first(void **state)
{
    (void)state;
    struct mpsc inbox;
    mpsc_init(&inbox);
    struct letter letters[100];
    for (unsigned i = 0; i < 100; i++) {
        letters[i].number = i;
        mpsc_push(&inbox, &letters[i].node);
    }
    struct mpsc_node *node = mpsc_take_all(&inbox);
    for (unsigned i = 0; i < 100; i++) {
        assert_non_null(node);
        assert_int_equal(letter_of(node)->number, i);
        node = node->next;
    }
    assert_null(node);
    assert_null(mpsc_take_all(&inbox));
}

static void taken_nodes_can_be_pushed_again(void **state)
{
    (void)state;
    struct mpsc inbox;
    mpsc_init(&inbox);
    struct mpsc other;
    mpsc_init(&other);
    struct letter letters[2] = {{.number = 0}, {.number = 1}};
    for (int round = 0; round < 3; round++) {
        assert_true(mpsc_push(&inbox, &letters[0].node));
        assert_false(mpsc_push(&inbox, &letters[1].node));
        struct mpsc_node *node = mpsc_take_all(&inbox);
        struct mpsc_node *next = node->next;
        assert_ptr_equal(node, &letters[0].node);
        assert_true(mpsc_push(&other, node));
        assert_ptr_equal(next, &letters[1].node);
        assert_ptr_equal(mpsc_take_all(&other), &letters[0].node);
        assert_null(letters[0].node.next);
    }
}

static void random_run_matches_a_counter_pair(void **state)
{
    (void)state;
    enum { LETTERS = 64 };
    struct mpsc inbox;
    mpsc_init(&inbox);
    struct letter letters[LETTERS];
    uint64_t random = test_seed();
    unsigned pushed = 0;
    unsigned taken = 0;
    for (int step = 0; step < 100000; step++) {
        if (pushed - taken < LETTERS && test_random(&random) % 4 != 0) {
            struct letter *letter = &letters[pushed % LETTERS];
            letter->number = pushed;
            assert_int_equal(mpsc_push(&inbox, &letter->node), pushed == taken);
            pushed++;
            continue;
        }
        struct mpsc_node *node = mpsc_take_all(&inbox);
        while (node != NULL) {
            assert_int_equal(letter_of(node)->number, taken);
            taken++;
            node = node->next;
        }
        assert_int_equal(taken, pushed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_inbox_is_empty),
        cmocka_unit_test(only_the_first_push_reports_empty),
        cmocka_unit_test(takes_everything_oldest_first),
        cmocka_unit_test(taken_nodes_can_be_pushed_again),
        cmocka_unit_test(random_run_matches_a_counter_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
