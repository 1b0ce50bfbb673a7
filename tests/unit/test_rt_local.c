/* SPDX-License-Identifier: MIT */
/*
 * Goal: task locals: a child starts with its parent's values as they were at the spawn, and nothing
 * that either sets afterwards reaches the other; a callback has those of who registered it; what is
 * copied, and when, and what is destroyed, and when: each value once.
 *
 * Method: as test_rt_task.c. Values with a destructor are objects that count themselves. What many
 * tasks at once do to shared values is in stress_local.c.
 */
#include "task_help.h"

static weft_local_t plain;

/* A value that counts. */
static shared_int objects;

static void *object_new(void *seed)
{
    intptr_t *object = malloc(sizeof *object);
    CHECK(object != NULL);
    *object = *(intptr_t *)seed;
    atomic_add_seq_cst(&objects, 1);
    return object;
}

static void object_free(void *object)
{
    atomic_sub_seq_cst(&objects, 1);
    free(object);
}

static void *new_object(intptr_t n)
{
    return object_new(&n);
}

static weft_local_t owned;  /* with a destructor */
static weft_local_t copied; /* with a destructor and a copy function */

static intptr_t get(weft_local_t local)
{
    return (intptr_t)weft_local_get(local);
}

static void set(weft_local_t local, intptr_t n)
{
    CHECK_EQUAL(weft_local_set(local, (void *)n), 0);
}

static intptr_t object_in(weft_local_t local)
{
    const intptr_t *object = weft_local_get(local);
    return object == NULL ? 0 : *object;
}

/* Every case leaves no object behind. */
static void run_local(weft_fn fn)
{
    run_case(fn, NULL);
    assert_int_equal(atomic_load_seq_cst(&objects), 0);
}

/* --- a task's own ----------------------------------------------------------------------------- */

static void *own_main(void *arg)
{
    CHECK(weft_local_get(plain) == NULL);
    set(plain, 1);
    CHECK_EQUAL(get(plain), 1);
    set(plain, 2);
    CHECK_EQUAL(get(plain), 2);
    set(plain, 0);
    CHECK(weft_local_get(plain) == NULL);
    CHECK_EQUAL(weft_local_set(NULL, arg), -EINVAL);
    return arg;
}

static void a_value_is_what_was_set_last(void **state)
{
    (void)state;
    run_local(own_main);
}

static void outside_there_are_no_values(void **state)
{
    (void)state;
    assert_null(weft_local_get(plain));
    assert_int_equal(weft_local_set(plain, &objects), -EPERM);
    assert_null(weft_context_current());
    assert_int_equal(weft_local_create(NULL), -EINVAL);
    weft_local_destroy(NULL);
}

enum { MANY = 100 };

static void *many_main(void *arg)
{
    weft_local_t local[MANY];
    for (intptr_t i = 0; i < MANY; i++) {
        CHECK_EQUAL(weft_local_create(&local[i]), 0);
        set(local[i], i + 1);
    }
    for (intptr_t i = 0; i < MANY; i += 2) {
        set(local[i], 0);
    }
    for (intptr_t i = 0; i < MANY; i++) {
        CHECK_EQUAL(get(local[i]), i % 2 == 0 ? 0 : i + 1);
        weft_local_destroy(local[i]);
    }
    return arg;
}

static void many_locals_do_not_get_mixed_up(void **state)
{
    (void)state;
    run_local(many_main);
}

/* --- children --------------------------------------------------------------------------------- */

struct meeting {
    shared_int parent_has_set;
    shared_int child_has_set;
};

static void *meet_parent(void *arg)
{
    struct meeting *m = arg;
    yield_until(&m->parent_has_set, 1);
    CHECK_EQUAL(get(plain), 1); /* as it was at the spawn */
    set(plain, 3);
    atomic_store_seq_cst(&m->child_has_set, 1);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(get(plain), 3);
    return NULL;
}

static void *copy_main(void *arg)
{
    struct meeting m = {0, 0};
    set(plain, 1);
    weft_task *t = weft_spawn(meet_parent, &m);
    set(plain, 2);
    atomic_store_seq_cst(&m.parent_has_set, 1);
    yield_until(&m.child_has_set, 1);
    CHECK_EQUAL(get(plain), 2);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(get(plain), 2);
    return arg;
}

static void item_341_a_child_starts_with_a_copy_as_of_the_spawn(void **state)
{
    (void)state;
    run_local(copy_main);
}

static void *find_value(void *n)
{
    CHECK_EQUAL(get(plain), (intptr_t)n);
    return NULL;
}

static void *every_way_main(void *arg)
{
    static const struct weft_spawn_options named = {.name = "child"};
    static const struct weft_spawn_options held = {.held = true};
    set(plain, 7);
    void *seven = (void *)(intptr_t)7;
    CHECK_EQUAL(weft_join(weft_spawn(find_value, seven), NULL), 0);
    CHECK_EQUAL(weft_join(weft_spawn_with(&named, find_value, seven), NULL), 0);
    weft_task *t = weft_spawn_with(&held, find_value, seven);
    set(plain, 8);
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_go(find_value, (void *)(intptr_t)8), 0);
    CHECK_EQUAL(weft_runtime_spawn(weft_runtime_current(), find_value, (void *)(intptr_t)8, &t),
                0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    return arg;
}

static void however_it_is_spawned(void **state)
{
    (void)state;
    run_local(every_way_main);
}

enum { CROWD = 100, ROUNDS = 20 };

static void *keep_value(void *arg)
{
    set(plain, (intptr_t)arg);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_EQUAL(i % 3 == 0 ? weft_sleep(i) : weft_yield(), 0);
        CHECK_EQUAL(get(plain), (intptr_t)arg);
    }
    return NULL;
}

static void *crowd_main(void *arg)
{
    weft_task *t[CROWD];
    for (intptr_t i = 0; i < CROWD; i++) {
        t[i] = weft_spawn(keep_value, (void *)(i + 1));
    }
    for (int i = 0; i < CROWD; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
        CHECK(weft_local_get(plain) == NULL);
    }
    return arg;
}

static void item_342_interleaved_tasks_keep_their_own(void **state)
{
    (void)state;
    run_local(crowd_main);
    assert_null(weft_local_get(plain));
}

static void *leave_value(void *arg)
{
    CHECK_EQUAL(get(plain), (intptr_t)arg);
    set(plain, get(plain) + 1);
    CHECK_EQUAL(weft_join(weft_spawn(find_value, (void *)((intptr_t)arg + 1)), NULL), 0);
    return weft_context_current();
}

static void *context_main(void *arg)
{
    set(plain, 1);
    weft_context *context = weft_context_create();
    CHECK(context != NULL);
    set(plain, 100);
    const struct weft_spawn_options options = {.context = context, .name = "in a context"};
    for (intptr_t i = 1; i <= 3; i++) {
        void *its = NULL;
        CHECK_EQUAL(weft_join(weft_spawn_with(&options, leave_value, (void *)i), &its), 0);
        CHECK(its == context);
        CHECK_EQUAL((intptr_t)weft_context_value(context, plain), i + 1);
    }
    CHECK(weft_context_value(context, owned) == NULL);
    CHECK_EQUAL(get(plain), 100);
    CHECK(weft_context_current() == NULL);
    weft_context_put(context);
    return arg;
}

static void item_343_successive_tasks_share_a_context(void **state)
{
    (void)state;
    run_local(context_main);
}

/* --- runs ------------------------------------------------------------------------------------- */

static void *next_run(void *arg)
{
    CHECK_EQUAL(get(plain), (intptr_t)arg);
    set(plain, (intptr_t)arg + 1);
    CHECK_EQUAL(weft_local_set(owned, new_object((intptr_t)arg)), 0);
    return NULL;
}

static void item_328_locals_are_kept_from_run_to_run(void **state)
{
    (void)state;
    weft_runtime *rt = create_runtime(NULL);
    for (intptr_t i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_runtime_run(rt, next_run, (void *)i, NULL), 0);
        CHECK_EQUAL(atomic_load_seq_cst(&objects), 1);
    }
    weft_task *t;
    CHECK_EQUAL(weft_runtime_spawn(rt, find_value, NULL, &t), 0); /* no run: it has none */
    CHECK_EQUAL(weft_future_wait_blocking(t, WEFT_FOREVER, NULL), 0);
    weft_put(t);
    finish_runtime(rt);
    assert_int_equal(atomic_load_seq_cst(&objects), 0);
}

/* --- callbacks -------------------------------------------------------------------------------- */

static shared_int calls;

static void call_checked(void *arg)
{
    CHECK_EQUAL(get(plain), (intptr_t)arg);
    set(plain, 1000);
    CHECK_EQUAL(get(plain), 1000);
    weft_put(weft_spawn(find_value, (void *)(intptr_t)1000));
    atomic_add_seq_cst(&calls, 1);
}

static void done_checked(weft_future *f, void *arg)
{
    (void)f;
    call_checked(arg);
}

static void *no_value(void *arg)
{
    CHECK(weft_local_get(plain) == NULL);
    return arg;
}

static void *callback_main(void *arg)
{
    weft_runtime *rt = weft_runtime_current();
    atomic_store_seq_cst(&calls, 0);
    weft_task *t = weft_spawn(no_value, NULL);
    CHECK_EQUAL(weft_post(rt, call_checked, NULL), 0);
    set(plain, 1);
    CHECK_EQUAL(weft_post(rt, call_checked, (void *)(intptr_t)1), 0);
    CHECK_EQUAL(weft_on_done(t, done_checked, (void *)(intptr_t)1), 0);
    set(plain, 2);
    CHECK_EQUAL(weft_on_done(t, done_checked, (void *)(intptr_t)2), 0);
    weft_timer *timer;
    CHECK_EQUAL(weft_timer_create(&timer, rt, call_checked, (void *)(intptr_t)3), 0);
    set(plain, 3);
    CHECK_EQUAL(weft_timer_start(timer, 1), 0);
    set(plain, 4);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    yield_until(&calls, 5);
    CHECK_EQUAL(get(plain), 4); /* a callback cannot change the waiter's */
    (void)weft_timer_stop_and_wait(timer);
    weft_timer_destroy(timer);
    return arg;
}

static void item_074_a_callback_has_the_values_of_who_added_it(void **state)
{
    (void)state;
    run_local(callback_main);
}

static void *post_from_outside(void *rt)
{
    CHECK_EQUAL(weft_post(rt, call_checked, NULL), 0);
    return NULL;
}

static void *outside_main(void *arg)
{
    atomic_store_seq_cst(&calls, 0);
    set(plain, 5);
    pthread_t thread = start_thread(post_from_outside, weft_runtime_current());
    pthread_join(thread, NULL);
    yield_until(&calls, 1);
    return arg;
}

static void a_threads_callback_has_none(void **state)
{
    (void)state;
    run_local(outside_main);
}

static void call_owner(void *object)
{
    CHECK(weft_local_get(owned) == object);
    CHECK_EQUAL(*(intptr_t *)object, 9);
    atomic_add_seq_cst(&calls, 1);
}

static void done_never(weft_future *f, void *arg)
{
    (void)f;
    (void)arg;
    CHECK(false);
}

/* Registrations that come to nothing let go of what they kept. */
static void *keeper_main(void *arg)
{
    atomic_store_seq_cst(&calls, 0);
    void *object = new_object(9);
    CHECK_EQUAL(weft_local_set(owned, object), 0);
    CHECK_EQUAL(weft_post(weft_runtime_current(), call_owner, object), 0);
    weft_timer *timer[2];
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_timer_create(&timer[i], weft_runtime_current(), call_owner, object), 0);
        CHECK_EQUAL(weft_timer_start(timer[i], WEFT_MINUTE), 0);
    }
    CHECK_EQUAL(weft_on_done(weft_self(), done_never, NULL), 0);
    CHECK_EQUAL(weft_on_done_remove(weft_self(), done_never, NULL), 1);
    set(owned, 0);
    CHECK_EQUAL(atomic_load_seq_cst(&objects), 1);
    yield_until(&calls, 1);
    CHECK(weft_timer_stop(timer[0]));
    CHECK_EQUAL(atomic_load_seq_cst(&objects), 1);
    weft_timer_destroy(timer[1]); /* stops it, too */
    while (atomic_load_seq_cst(&objects) != 0) { /* the post's goes after its call */
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_timer_destroy(timer[0]);
    return arg;
}

static void a_registration_keeps_values_until_it_is_called_or_gone(void **state)
{
    (void)state;
    run_local(keeper_main);
}

/* --- destructors and copies ------------------------------------------------------------------- */

static void *replace_main(void *arg)
{
    CHECK_EQUAL(weft_local_set(owned, new_object(1)), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&objects), 1);
    CHECK_EQUAL(weft_local_set(owned, new_object(2)), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&objects), 1);
    CHECK_EQUAL(object_in(owned), 2);
    set(owned, 0);
    CHECK_EQUAL(atomic_load_seq_cst(&objects), 0);
    CHECK_EQUAL(weft_local_set(owned, new_object(3)), 0);
    return arg; /* the last one goes with the task */
}

static void a_value_that_is_replaced_is_destroyed(void **state)
{
    (void)state;
    run_local(replace_main);
}

static void *same_object(void *object)
{
    CHECK(weft_local_get(owned) == object);
    set(plain, 1); /* now the set is its own, and the object still shared */
    CHECK(weft_local_get(owned) == object);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(*(intptr_t *)object, 5);
    return NULL;
}

static void *share_main(void *arg)
{
    void *object = new_object(5);
    CHECK_EQUAL(weft_local_set(owned, object), 0);
    weft_task *t[4];
    for (int i = 0; i < 4; i++) {
        t[i] = weft_spawn(same_object, object);
    }
    set(owned, 0);
    CHECK_EQUAL(atomic_load_seq_cst(&objects), 1); /* the children have it */
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    while (atomic_load_seq_cst(&objects) !=
           0) { /* goes with the last reference, of a worker maybe */
        CHECK_EQUAL(weft_yield(), 0);
    }
    return arg;
}

static void an_inherited_value_is_destroyed_once_after_the_last(void **state)
{
    (void)state;
    run_local(share_main);
}

static void *other_object(void *parents)
{
    intptr_t *mine = weft_local_get(copied);
    CHECK(mine != NULL && mine != parents);
    CHECK_EQUAL(*mine, 5);
    *mine = 6;
    return NULL;
}

static void *copied_main(void *arg)
{
    intptr_t *object = new_object(5);
    CHECK_EQUAL(weft_local_set(copied, object), 0);
    set(plain, 1);
    weft_task *t[3];
    for (int i = 0; i < 3; i++) {
        t[i] = weft_spawn(other_object, object);
        CHECK_EQUAL(atomic_load_seq_cst(&objects), 2 + i); /* copied in the spawn */
    }
    *object = 7;
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_await(t[i], NULL), 0);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&objects), 4); /* the children are held */
    for (int i = 0; i < 3; i++) {
        weft_put(t[i]);
    }
    CHECK_EQUAL(*object, 7);
    return arg;
}

static void a_value_with_a_copy_function_is_copied_at_the_spawn(void **state)
{
    (void)state;
    run_local(copied_main);
}

static void *copy_nothing(void *object)
{
    (void)object;
    return NULL;
}

static void *not_inherited_main(void *arg)
{
    weft_local_t local;
    CHECK_EQUAL(weft_local_create_with(&local, object_free, copy_nothing), 0);
    CHECK_EQUAL(weft_local_set(local, new_object(1)), 0);
    weft_context *context = weft_context_create();
    CHECK(weft_context_value(context, local) == NULL);
    weft_context_put(context);
    weft_local_destroy(local); /* the value keeps its destructor */
    return arg;
}

static void a_copy_of_null_is_not_set(void **state)
{
    (void)state;
    run_local(not_inherited_main);
}

/* What a destructor does: all but wait. */
static void destroy_busily(void *value)
{
    CHECK(weft_local_get(plain) == NULL);
    CHECK_EQUAL(weft_local_set(plain, value), -EPERM);
    CHECK_EQUAL(weft_yield(), -EPERM);
    CHECK_EQUAL(weft_sleep(1), -EPERM);
    weft_put(weft_spawn(no_value, NULL));
    atomic_add_seq_cst(&calls, 1);
}

static void *busy_main(void *arg)
{
    weft_local_t local;
    CHECK_EQUAL(weft_local_create_with(&local, destroy_busily, NULL), 0);
    CHECK_EQUAL(weft_local_set(local, &local), 0);
    set(local, 0);
    CHECK_EQUAL(atomic_load_seq_cst(&calls), 1);
    CHECK_EQUAL(weft_local_set(local, arg == NULL ? &objects : arg), 0);
    weft_local_destroy(local);
    CHECK_EQUAL(weft_yield(), 0);
    return arg;
}

static void a_destructor_cannot_wait(void **state)
{
    (void)state;
    atomic_store_seq_cst(&calls, 0);
    run_local(busy_main);
    assert_int_equal(atomic_load_seq_cst(&calls), 2);
}

/* A task that nobody holds is the last to have its values when it ends. */
static void *leave_object(void *arg)
{
    CHECK_EQUAL(weft_local_set(owned, new_object((intptr_t)arg)), 0);
    return NULL;
}

static void *orphans_main(void *arg)
{
    for (intptr_t i = 0; i < 10; i++) {
        CHECK_EQUAL(weft_go(leave_object, (void *)i), 0);
    }
    return arg;
}

static void values_go_with_tasks_that_nobody_holds(void **state)
{
    (void)state;
    run_local(orphans_main);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_what_was_set_last),
        cmocka_unit_test(outside_there_are_no_values),
        cmocka_unit_test(many_locals_do_not_get_mixed_up),
        cmocka_unit_test(item_341_a_child_starts_with_a_copy_as_of_the_spawn),
        cmocka_unit_test(however_it_is_spawned),
        cmocka_unit_test(item_342_interleaved_tasks_keep_their_own),
        cmocka_unit_test(item_343_successive_tasks_share_a_context),
        cmocka_unit_test(item_328_locals_are_kept_from_run_to_run),
        cmocka_unit_test(item_074_a_callback_has_the_values_of_who_added_it),
        cmocka_unit_test(a_threads_callback_has_none),
        cmocka_unit_test(a_registration_keeps_values_until_it_is_called_or_gone),
        cmocka_unit_test(a_value_that_is_replaced_is_destroyed),
        cmocka_unit_test(an_inherited_value_is_destroyed_once_after_the_last),
        cmocka_unit_test(a_value_with_a_copy_function_is_copied_at_the_spawn),
        cmocka_unit_test(a_copy_of_null_is_not_set),
        cmocka_unit_test(a_destructor_cannot_wait),
        cmocka_unit_test(values_go_with_tasks_that_nobody_holds),
    };
    help_limit_time();
    if (weft_local_create(&plain) < 0 ||
        weft_local_create_with(&owned, object_free, NULL) < 0 ||
        weft_local_create_with(&copied, object_free, object_new) < 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_local_destroy(plain);
    weft_local_destroy(owned);
    weft_local_destroy(copied);
    return failed;
}
