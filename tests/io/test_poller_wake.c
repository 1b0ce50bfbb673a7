/* SPDX-License-Identifier: MIT */
/*
 * A wake ends the next wait, whoever has taken it off the kernel by then: the worker's last look
 * before it sleeps, or a helper that claimed its poller between that and the wait.
 *
 * A wait that has lost its wake does not return, and the test hangs. The poller is one more of the
 * thread that has made it, a worker's of a runtime: to finish it takes one.
 *
 * Workers: 1
 */
#include "task_help.h"

#include "poller.h"

struct stage {
    const struct poller_ops *ops;
    void *shared;
    struct poller *p;
};

/* False: the kernel refuses this backend. */
static bool stage_begin(struct stage *s, const struct poller_ops *ops)
{
    char why[256];
    *s = (struct stage){.ops = ops, .shared = ops->shared_create()};
    CHECK(s->shared != NULL);
    struct poller_config config = {.entries = 8, .worker_count = 2, .shared = s->shared};
    int err = ops->create(&s->p, &config, why, sizeof why);
    if (err < 0) {
        ops->shared_destroy(s->shared);
        return false;
    }
    ops->wait(s->p, 0); /* the wake is being watched from here on */
    return true;
}

static void stage_end(struct stage *s)
{
    s->ops->finish(s->p);
    s->ops->release(s->p);
    s->ops->destroy(s->p);
    s->ops->shared_destroy(s->shared);
}

/* Another worker's thread. */
static void *help(void *arg)
{
    struct stage *s = arg;
    while (!s->ops->claim(s->p)) {
        sched_yield();
    }
    CHECK_EQUAL(s->ops->harvest(s->p) <= 1, true);
    s->ops->unclaim(s->p);
    return NULL;
}

/* What rescue.c has them do for one that is late. */
static void be_helped(struct stage *s)
{
    s->ops->kick(s->p);
    pthread_t helper = start_thread(help, s);
    CHECK_EQUAL(pthread_join(helper, NULL), 0);
}

static void *wake_and_wait(void *arg)
{
    const struct poller_ops *ops = arg;
    struct stage s;
    if (!stage_begin(&s, ops)) {
        return NULL;
    }
    ops->wake(s.p);
    ops->wait(s.p, WEFT_FOREVER);

    ops->wake(s.p);
    be_helped(&s);
    ops->wait(s.p, WEFT_FOREVER);

    /* helped without a wake, and woken then */
    be_helped(&s);
    ops->wake(s.p);
    ops->wait(s.p, WEFT_FOREVER);

    /* one that was meant for this wait, and one for the next */
    ops->wake(s.p);
    be_helped(&s);
    ops->wake(s.p);
    ops->wait(s.p, WEFT_FOREVER);
    ops->wake(s.p);
    be_helped(&s);
    ops->wait(s.p, WEFT_FOREVER);
    stage_end(&s);
    return arg;
}

static void with_poller(const struct poller_ops *ops)
{
    struct poller_ops own = *ops;
    void *done = NULL;
    weft_runtime *rt = create_runtime(&(struct weft_options){.workers = 1});
    assert_int_equal(weft_runtime_run(rt, wake_and_wait, &own, &done), 0);
    finish_runtime(rt);
    if (done == NULL) {
        skip();
    }
}

static void a_wake_that_a_helper_took_off_a_ring_ends_the_wait(void **state)
{
    (void)state;
    with_poller(&weft__poller_uring);
}

static void a_wake_that_a_helper_took_off_epoll_ends_the_wait(void **state)
{
    (void)state;
    with_poller(&weft__poller_epoll);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_that_a_helper_took_off_a_ring_ends_the_wait),
        cmocka_unit_test(a_wake_that_a_helper_took_off_epoll_ends_the_wait),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
