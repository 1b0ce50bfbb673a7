/* SPDX-License-Identifier: MIT */
/*
 * An operation that a disk is at cannot be cancelled, and the kernel answers that there is none
 * such. The poller asked again at once, and again, at full speed, until the disk was done with it.
 *
 * Method: the poller by itself, taken into this file; an operation that was never begun stands for
 * one that the kernel does not find. It must be asked for seldom, but not given up, and the poller
 * must sleep in between.
 */
#include "../io/io_help.h"

#include "poller_uring.c"
#include "tls.h"
#include "worker.h"

/* A fifth of a second: ten rounds of the longest pause, and ten shorter ones. */
#define FOR_NS (200 * WEFT_MS)
#define ASKED_MAX 60

static void pass_time(struct poller *p, int64_t until, int64_t for_ns)
{
    while (clock_ns() < until) {
        if (for_ns != 0 || uring_ready(p)) {
            uring_wait(p, for_ns);
        }
    }
}

static uint64_t asked_in(struct poller *p, int64_t for_ns)
{
    struct uring_poller *u = uring_of(p);
    uint64_t before = ring_sqe_count(&u->ring);
    pass_time(p, clock_ns() + FOR_NS, for_ns);
    return ring_sqe_count(&u->ring) - before;
}

static void what_is_not_found_is_asked_for_seldom(void **state)
{
    struct poller *p;
    char why[256];
    (void)state;
    struct poller_config config = {.worker_count = 1, .shared = weft__uring_shared_create()};
    CHECK_EQUAL(uring_create(&p, &config, why, sizeof why), 0);
    struct uring_poller *u = uring_of(p);
    struct worker self = {.poller = p};
    weft__worker_set_current(&self);
    struct op op = {.fd = -1};
    list_init(&op.link);
    uring_cancel(p, &op);
    uint64_t asleep = asked_in(p, WEFT_FOREVER);
    uint64_t busy = asked_in(p, 0);
    printf("asked %d times asleep, %d times busy, %d entered\n", (int)asleep, (int)busy,
           (int)ring_enter_count(&u->ring));
    CHECK(asleep >= 3 && asleep <= ASKED_MAX);
    CHECK(busy >= 1 && busy <= ASKED_MAX);
    CHECK(ring_enter_count(&u->ring) <= 6 * ASKED_MAX);
    list_remove(&op.link); /* it has ended */
    uring_finish(p);
    weft__worker_set_current(NULL);
    uring_destroy(p);
    weft__uring_shared_destroy(config.shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_found_is_asked_for_seldom),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
