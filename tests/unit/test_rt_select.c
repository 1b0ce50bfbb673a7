/* SPDX-License-Identifier: MIT */
/*
 * Goal: a select does exactly one of its cases, by chance among those that can be done, and leaves
 * nothing behind in the channels of the others.
 *
 * Method: where the order of events matters, on one worker, where a yield lets all who are ready
 * run until they wait. Races are in stress_channel.c and model_channel.c.
 */
#include "task_help.h"

static weft_channel *channel(size_t capacity)
{
    weft_channel *c = weft_channel_create(sizeof(uint64_t), capacity);
    CHECK(c != NULL);
    return c;
}

static struct weft_select_case sending(weft_channel *c, uint64_t *n)
{
    return (struct weft_select_case){
        .kind = WEFT_SELECT_SEND, .channel = c, .element = n, .error = 1};
}

static struct weft_select_case receiving(weft_channel *c, uint64_t *n)
{
    return (struct weft_select_case){
        .kind = WEFT_SELECT_RECEIVE, .channel = c, .element = n, .error = 1};
}

static struct weft_select_case otherwise(void)
{
    return (struct weft_select_case){.kind = WEFT_SELECT_DEFAULT, .error = 1};
}

/* A task that selects between receiving from one and sending to another. */
struct chooser {
    weft_channel *from;
    weft_channel *to;
    uint64_t got;
    uint64_t gives;
    shared_int chosen; /* -1: none yet */
    int error;
    weft_task *task;
};

static void *choose(void *arg)
{
    struct chooser *s = arg;
    struct weft_select_case cases[] = {receiving(s->from, &s->got), sending(s->to, &s->gives)};
    int chosen = weft_select(cases, 2);
    s->error = chosen < 0 ? 1 : cases[chosen].error;
    atomic_store_seq_cst(&s->chosen, chosen);
    return NULL;
}

static void begin(struct chooser *s, weft_channel *from, weft_channel *to, uint64_t gives)
{
    s->from = from;
    s->to = to;
    s->got = 0;
    s->gives = gives;
    atomic_store_seq_cst(&s->chosen, -1);
    s->task = weft_spawn(choose, s);
    CHECK(s->task != NULL);
}

static int end(struct chooser *s)
{
    CHECK_EQUAL(weft_join(s->task, NULL), 0);
    return atomic_load_seq_cst(&s->chosen);
}

/* On one worker: let all others run until they wait. */
static void let_run(void)
{
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

static void destroy(weft_channel *a, weft_channel *b)
{
    CHECK_EQUAL(weft_channel_destroy(a), 0);
    CHECK_EQUAL(weft_channel_destroy(b), 0);
}

/* --- at once ---------------------------------------------------------------------------------- */

static void *ready_main(void *arg)
{
    weft_channel *a = channel(1);
    weft_channel *b = channel(1);
    uint64_t in = 0;
    uint64_t out = 6;
    struct weft_select_case cases[] = {receiving(a, &in), sending(b, &out), otherwise()};
    CHECK_EQUAL(weft_select(cases, 3), 1);
    CHECK_EQUAL(cases[1].error, 0);
    CHECK_EQUAL(weft_select(cases, 3), 2); /* nothing to receive, no room */
    CHECK_EQUAL(cases[2].error, 0);
    CHECK_EQUAL(weft_channel_send(a, &out), 0);
    CHECK_EQUAL(weft_select(cases, 2), 0);
    CHECK_EQUAL(cases[0].error, 0);
    CHECK_EQUAL(in, 6);
    CHECK_EQUAL(weft_channel_close(a), 0);
    CHECK_EQUAL(weft_select(cases, 3), 0);
    CHECK_EQUAL(cases[0].error, -EPIPE);
    CHECK_EQUAL(weft_channel_close(b), 0);
    struct weft_select_case send_only[] = {sending(b, &out), otherwise()};
    CHECK_EQUAL(weft_select(send_only, 2), 0);
    CHECK_EQUAL(send_only[0].error, -EPIPE);
    CHECK_EQUAL(weft_channel_size(b), 1);
    destroy(a, b);
    return arg;
}

static void what_can_be_done_at_once_is_done(void **state)
{
    (void)state;
    run_case(ready_main, NULL);
}

static void *fair_main(void *arg)
{
    enum { CASES = 5, DRAWS = 5000 };

    weft_channel *c[CASES];
    struct weft_select_case cases[CASES];
    uint64_t n = 1;
    int drawn[CASES] = {0};
    for (int i = 0; i < CASES; i++) {
        c[i] = channel(1);
        cases[i] = receiving(c[i], &n);
    }
    for (int i = 0; i < CASES; i++) {
        if (i != 1) { /* never ready, which must not favour a neighbour */
            CHECK_EQUAL(weft_channel_send(c[i], &n), 0);
        }
    }
    for (int i = 0; i < DRAWS; i++) {
        int chosen = weft_select(cases, CASES);
        CHECK(chosen >= 0);
        drawn[chosen]++;
        CHECK_EQUAL(weft_channel_send(c[chosen], &n), 0);
    }
    for (int i = 0; i < CASES; i++) { /* 1250 each; 8 standard deviations are 245 */
        CHECK(i == 1 ? drawn[i] == 0 : drawn[i] > 1000 && drawn[i] < 1500);
        CHECK_EQUAL(weft_channel_destroy(c[i]), 0);
    }
    return arg;
}

static void all_that_are_ready_get_their_share(void **state)
{
    (void)state;
    run_case(fair_main, NULL);
}

static void *many_main(void *arg)
{
    enum { CHANNELS = 50, CASES = 3 * CHANNELS };
    static struct weft_select_case cases[CASES];
    weft_channel *c[CHANNELS];
    uint64_t n = 0;
    uint64_t state = test_seed();
    for (int i = 0; i < CHANNELS; i++) {
        c[i] = channel(0);
    }
    for (int i = 0; i < CASES; i++) {
        cases[i] = receiving(c[test_random(&state) % CHANNELS], &n);
    }
    cases[CASES - 1] = otherwise();
    cases[CASES - 2] = otherwise();
    CHECK_EQUAL(weft_select(cases, CASES), CASES - 2); /* the first of two */
    CHECK_EQUAL(weft_channel_close(cases[17].channel), 0);
    int chosen = weft_select(cases, CASES);
    CHECK(chosen >= 0 && cases[chosen].channel == cases[17].channel);
    CHECK_EQUAL(cases[chosen].error, -EPIPE);
    for (int i = 0; i < CHANNELS; i++) {
        CHECK_EQUAL(weft_channel_destroy(c[i]), 0);
    }
    return arg;
}

static void cases_may_be_many(void **state)
{
    (void)state;
    run_case(many_main, NULL);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void *wait_main(void *arg)
{
    weft_channel *a = channel(0);
    weft_channel *b = channel(0);
    struct chooser s;
    uint64_t n = 3;
    begin(&s, a, b, 4);
    let_run();
    CHECK_EQUAL(weft_channel_destroy(a), -EBUSY);
    CHECK_EQUAL(weft_channel_destroy(b), -EBUSY);
    CHECK_EQUAL(weft_channel_try_send(a, &n), 0);
    CHECK_EQUAL(weft_channel_try_receive(b, &n), -EAGAIN); /* its one case is done */
    CHECK_EQUAL(weft_channel_try_send(a, &n), -EAGAIN);
    CHECK_EQUAL(weft_channel_destroy(b), -EBUSY); /* its node is still to be taken back */
    CHECK_EQUAL(end(&s), 0);
    CHECK_EQUAL(s.error, 0);
    CHECK_EQUAL(s.got, 3);
    begin(&s, a, b, 4);
    let_run();
    CHECK_EQUAL(weft_channel_receive(b, &n), 0);
    CHECK_EQUAL(n, 4);
    CHECK_EQUAL(end(&s), 1);
    CHECK_EQUAL(s.error, 0);
    begin(&s, a, b, 4);
    let_run();
    CHECK_EQUAL(weft_channel_close(b), 0);
    CHECK_EQUAL(end(&s), 1);
    CHECK_EQUAL(s.error, -EPIPE);
    CHECK_EQUAL(weft_channel_try_send(a, &n), -EAGAIN);
    destroy(a, b);
    return arg;
}

static void one_case_ends_the_wait(void **state)
{
    (void)state;
    run_case_alone(wait_main, NULL);
}

static void *itself_main(void *arg)
{
    weft_channel *a = channel(0);
    weft_channel *b = channel(0);
    struct chooser one;
    struct chooser other;
    begin(&one, a, a, 1); /* it does not meet itself */
    let_run();
    CHECK_EQUAL(atomic_load_seq_cst(&one.chosen), -1);
    begin(&other, a, a, 2);
    int chosen = end(&one);
    CHECK_EQUAL(end(&other), 1 - chosen);
    CHECK_EQUAL(chosen == 0 ? one.got : other.got, chosen == 0 ? 2 : 1);
    CHECK_EQUAL(chosen == 0 ? other.got : one.got, 0);
    begin(&one, a, b, 1); /* crosswise */
    begin(&other, b, a, 2);
    chosen = end(&one);
    CHECK_EQUAL(end(&other), 1 - chosen);
    destroy(a, b);
    return arg;
}

static void two_selects_meet(void **state)
{
    (void)state;
    run_case(itself_main, NULL);
}

static void *cancel_main(void *arg)
{
    weft_channel *a = channel(0);
    weft_channel *b = channel(0);
    struct chooser s;
    uint64_t n = 3;
    begin(&s, a, b, 4);
    let_run();
    CHECK(weft_cancel(s.task));
    CHECK_EQUAL(weft_channel_try_send(a, &n), -EAGAIN);
    CHECK_EQUAL(weft_channel_destroy(a), -EBUSY);
    CHECK_EQUAL(end(&s), -ECANCELED);
    begin(&s, a, b, 4);
    let_run();
    CHECK_EQUAL(weft_channel_try_receive(b, &n), 0);
    CHECK(weft_cancel(s.task)); /* too late: it has sent */
    CHECK_EQUAL(end(&s), 1);
    destroy(a, b);
    return arg;
}

static void a_cancelled_select_has_done_nothing(void **state)
{
    (void)state;
    run_case_alone(cancel_main, NULL);
}

static void *cancelled_body(void *arg)
{
    weft_channel *c = arg;
    uint64_t n = 1;
    struct weft_select_case send = sending(c, &n);
    CHECK_EQUAL(weft_select(&send, 1), 0);
    CHECK_EQUAL(weft_select(&send, 1), -ECANCELED);
    CHECK_EQUAL(weft_select(NULL, 0), -ECANCELED);
    struct weft_select_case never = receiving(NULL, &n);
    CHECK_EQUAL(weft_select(&never, 1), -ECANCELED);
    return NULL;
}

static void *cancelled_main(void *arg)
{
    static const struct weft_spawn_options held = {.held = true};
    weft_channel *c = channel(1);
    weft_task *t = weft_spawn_with(&held, cancelled_body, c);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_start(t), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_channel_destroy(c), 0);
    return arg;
}

static void a_cancelled_task_does_what_needs_no_wait(void **state)
{
    (void)state;
    run_case(cancelled_main, NULL);
}

static void *timeout_main(void *arg)
{
    weft_channel *a = channel(0);
    weft_channel *b = channel(0);
    uint64_t n = 0;
    struct weft_select_case cases[] = {receiving(a, &n), sending(b, &n)};
    int chosen = 0;
    WEFT_TIMEOUT(WEFT_MS)
    {
        chosen = weft_select(cases, 2);
    }
    CHECK_EQUAL(chosen, -ETIMEDOUT);
    CHECK_EQUAL(cases[0].error, 1);
    CHECK_EQUAL(cases[1].error, 1);
    CHECK_EQUAL(weft_channel_try_send(a, &n), -EAGAIN);
    CHECK_EQUAL(weft_channel_try_receive(b, &n), -EAGAIN);
    destroy(a, b);
    return arg;
}

static void a_wait_ends_with_its_scope(void **state)
{
    (void)state;
    run_case(timeout_main, NULL);
}

/* --- arguments -------------------------------------------------------------------------------- */

static void arguments_are_checked(void **state)
{
    (void)state;
    uint64_t n = 2;
    weft_channel *c = channel(1);
    struct weft_select_case cases[] = {sending(c, &n), otherwise()};
    assert_int_equal(weft_select(cases, 1), -EPERM);
    assert_int_equal(weft_select(NULL, 1), -EINVAL);
    assert_int_equal(weft_select(NULL, 0), -EPERM);
    assert_int_equal(weft_select(cases, 2), 0); /* with a default, on a plain thread */
    assert_int_equal(weft_select(cases, 2), 1);
    cases[0].channel = NULL;
    assert_int_equal(weft_select(cases, 2), 1);
    cases[0].kind = (enum weft_select_kind)0;
    assert_int_equal(weft_select(cases, 2), -EINVAL);
    assert_int_equal(weft_channel_size(c), 1);
    assert_int_equal(weft_channel_destroy(c), 0);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_done_at_once_is_done),
        cmocka_unit_test(all_that_are_ready_get_their_share),
        cmocka_unit_test(cases_may_be_many),
        cmocka_unit_test(one_case_ends_the_wait),
        cmocka_unit_test(two_selects_meet),
        cmocka_unit_test(a_cancelled_select_has_done_nothing),
        cmocka_unit_test(a_cancelled_task_does_what_needs_no_wait),
        cmocka_unit_test(a_wait_ends_with_its_scope),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
