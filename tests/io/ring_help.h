/* SPDX-License-Identifier: MIT */
/* What the tests of the ring share: the rungs, and a few moves that check as they go. */
#ifndef WEFT_RING_HELP_H
#define WEFT_RING_HELP_H

#include "ring.h"

#include <fcntl.h>

#include "test.h"

/* What to switch off to come to each rung of the fallback chain, and to each lesser fallback. */
static const struct {
    const char *name;
    unsigned disable;
} rungs[] = {
    {"everything", 0},
    {"no DEFER_TASKRUN", WEFT_RING_WITHOUT_DEFER},
    {"no DEFER_TASKRUN, no COOP_TASKRUN", WEFT_RING_WITHOUT_DEFER | WEFT_RING_WITHOUT_COOP},
    {"no TASKRUN_FLAG", WEFT_RING_WITHOUT_TASKRUN_FLAG},
    {"no SUBMIT_ALL", WEFT_RING_WITHOUT_SUBMIT_ALL},
    {"no registered descriptor", WEFT_RING_WITHOUT_REGISTERED_FD},
    {"no NO_IOWAIT", WEFT_RING_WITHOUT_NO_IOWAIT},
};

#define RUNG_COUNT (sizeof(rungs) / sizeof(rungs[0]))

/* Longer than anything here takes, shorter than the limit of the test. */
#define LONG_NS (20 * WEFT_SECOND)

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

/* Descriptors open in this process, the one used for counting included. */
static inline int open_fd_count(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) != -1;
    }
    return count;
}

static inline void make(struct ring *r, unsigned entries, unsigned disable)
{
    char why[256];
    struct ring_options options = {.entries = entries, .disable = disable};
    int err = weft__ring_init(r, &options, why, sizeof(why));
    if (err != 0) {
        fail_msg("%d: %s", err, why);
    }
    assert_string_equal(why, "");
}

static inline void publish_nop(struct ring *r, uint64_t user_data)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    assert_non_null(sqe);
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data;
    ring_publish(r);
}

/* Reap one completion, which is to be this one. */
static inline void reap(struct ring *r, uint64_t user_data, int res)
{
    int64_t end = now_ns() + LONG_NS;
    while (ring_peek(r) == NULL && now_ns() < end) {
        assert_int_equal(weft__ring_wait(r, WEFT_SECOND), 0);
    }
    const struct io_uring_cqe *cqe = ring_peek(r);
    assert_non_null(cqe);
    assert_int_equal(cqe->user_data, user_data);
    assert_int_equal(cqe->res, res);
    ring_advance(r, 1);
}

/* The exit status of a test program on a kernel that has no ring for it, else 0. */
static inline int ring_skip_status(void)
{
    struct ring r;
    char why[256];
    if (weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why)) != 0) {
        printf("skipped: %s\n", why);
        return 77;
    }
    weft__ring_fini(&r);
    return 0;
}

#endif
