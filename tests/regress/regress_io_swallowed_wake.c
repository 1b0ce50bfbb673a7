/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel has no multishot poll, the poll of the eventfd that carries wakes is armed anew
 * after each, and what the eventfd holds is read before. A wait that did so and then slept had read
 * the wake that it was to be ended by: its worker had published that it sleeps, a waker had taken
 * that to be so, and it slept on.
 *
 * Method: the poller by itself, taken into this file.
 */
#include "../io/io_help.h"

#include "poller_uring.c"
#include "tls.h"
#include "worker.h"

/* As after a wake that the kernel has told of once and for all. */
static void disarm(struct uring_poller *u)
{
    CHECK(uring_ask_cancel(u, TAG_WAKE));
    while (u->is_wake_armed) {
        CHECK_EQUAL(weft__ring_wait(&u->ring, WEFT_MS), 0);
        (void)uring_reap(u);
    }
}

static void a_wake_before_the_poll_is_armed_ends_the_wait(void **state)
{
    struct poller *p;
    char why[256];
    (void)state;
    struct poller_config config = {.worker_count = 1, .shared = weft__uring_shared_create()};
    CHECK_EQUAL(uring_create(&p, &config, why, sizeof why), 0);
    struct uring_poller *u = uring_of(p);
    struct worker self = {.poller = p};
    weft__worker_set_current(&self);
    bool can_be_multishot = u->ring.features.multishot_poll;
    for (int i = 0; i < 4; i++) {
        u->ring.features.multishot_poll = can_be_multishot && i >= 2;
        disarm(u);
        uring_wake(p);
        uring_wait(p, WEFT_FOREVER);
        /* The poll is there for the next one. */
        uring_wake(p);
        uring_wait(p, WEFT_FOREVER);
    }
    uring_finish(p);
    weft__worker_set_current(NULL);
    uring_destroy(p);
    weft__uring_shared_destroy(config.shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wake_before_the_poll_is_armed_ends_the_wait),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
