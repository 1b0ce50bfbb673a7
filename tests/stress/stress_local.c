/* SPDX-License-Identifier: MIT */
/*
 * Trees of tasks that set and inherit locals at random on all workers, while they migrate: each
 * task finds what it set last, else what its parent had at the spawn, and every object that was
 * made is destroyed once.
 */
#include "task_help.h"

enum { LOCALS = 6, DEPTH = 5, CHILDREN = 3 };

static weft_local_t locals[LOCALS];
static _Atomic(intptr_t) made;
static _Atomic(intptr_t) destroyed;

struct object {
    intptr_t number;
    shared_int is_dead;
};

static struct object *object_make(intptr_t number)
{
    struct object *o = malloc(sizeof *o);
    CHECK(o != NULL);
    o->number = number;
    atomic_init(&o->is_dead, 0);
    atomic_add_seq_cst(&made, 1);
    return o;
}

static void object_destroy(void *value)
{
    struct object *o = value;
    CHECK_EQUAL(atomic_exchange_seq_cst(&o->is_dead, 1), 0);
    atomic_add_seq_cst(&destroyed, 1);
    free(o);
}

static void *object_copy(void *value)
{
    return object_make(((struct object *)value)->number);
}

/* What a task is to find; 0: not set. */
struct node {
    intptr_t expected[LOCALS];
    uint64_t random;
    int depth;
};

static void check_all(const struct node *n)
{
    for (int i = 0; i < LOCALS; i++) {
        struct object *o = weft_local_get(locals[i]);
        CHECK_EQUAL(o == NULL ? 0 : o->number, n->expected[i]);
        CHECK(o == NULL || atomic_load_seq_cst(&o->is_dead) == 0);
    }
}

static void change_one(struct node *n)
{
    uint64_t r = test_random(&n->random);
    unsigned i = (unsigned)(r % LOCALS);
    intptr_t number = r % 5 == 0 ? 0 : (intptr_t)(r >> 40) + 1;
    CHECK_EQUAL(weft_local_set(locals[i], number == 0 ? NULL : object_make(number)), 0);
    n->expected[i] = number;
}

static void *tree(void *arg)
{
    struct node n = *(struct node *)arg;
    free(arg);
    weft_task *child[CHILDREN] = {NULL};
    check_all(&n);
    for (int i = 0; i < CHILDREN && n.depth > 0; i++) {
        for (uint64_t changes = test_random(&n.random) % 3; changes > 0; changes--) {
            change_one(&n);
        }
        struct node *c = malloc(sizeof *c);
        CHECK(c != NULL);
        *c = n;
        c->random = test_random(&n.random);
        c->depth--;
        child[i] = weft_spawn(tree, c);
        CHECK(child[i] != NULL);
        if (test_random(&n.random) % 2 == 0) {
            change_one(&n);
            CHECK_EQUAL(weft_yield(), 0);
        }
        check_all(&n);
    }
    for (int i = 0; i < CHILDREN && n.depth > 0; i++) {
        if (i == 0) {
            weft_put(child[i]); /* it ends when it does */
        } else {
            CHECK_EQUAL(weft_join(child[i], NULL), 0);
        }
        check_all(&n);
    }
    return NULL;
}

static void trees_inherit_and_destroy(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (size_t round = 0; test_goes_on(round, test_scaled(40, 10)); round++) {
        struct node *n = calloc(1, sizeof *n);
        assert_non_null(n);
        n->random = test_random(&random);
        n->depth = DEPTH;
        run_case(tree, n);
        assert_true(atomic_load_seq_cst(&made) > 0);
        assert_int_equal(atomic_load_seq_cst(&made), atomic_load_seq_cst(&destroyed));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(trees_inherit_and_destroy)};
    help_limit_time();
    for (int i = 0; i < LOCALS; i++) {
        if (weft_local_create_with(&locals[i], object_destroy, i < 2 ? object_copy : NULL) < 0) {
            return 1;
        }
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < LOCALS; i++) {
        weft_local_destroy(locals[i]);
    }
    return failed;
}
