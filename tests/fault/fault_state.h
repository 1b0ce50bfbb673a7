/* SPDX-License-Identifier: MIT */
/*
 * What a failure must not leave behind: blocks of memory, mappings, descriptors, threads.
 */
#ifndef WEFT_FAULT_STATE_H
#define WEFT_FAULT_STATE_H

#include "../io/io_help.h"

#include "injection.h"

/* What there is of things that have to be given back. */
struct fault_state {
    long blocks;
    long mapped;
    int fds;
    int threads;
};

static inline int thread_count(void)
{
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir != NULL);
    int count = 0;
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static inline struct fault_state fault_state_now(void)
{
    return (struct fault_state){inject_blocks(), inject_mapped(), fd_count(), thread_count()};
}

static inline void fault_pause(void)
{
    const struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
}

/* When nothing changes any more: threads that were told to end may take a moment. */
static inline struct fault_state fault_state_settled(void)
{
    struct fault_state before = fault_state_now();
    for (int same = 0; same < 5;) {
        fault_pause();
        struct fault_state now = fault_state_now();
        same = memcmp(&now, &before, sizeof now) == 0 ? same + 1 : 0;
        before = now;
    }
    return before;
}

/* Until everything is as it was. */
static inline void fault_check_state(const struct fault_state *before)
{
    struct fault_state now = fault_state_now();
    for (int i = 0; i < 1000 && memcmp(&now, before, sizeof now) != 0; i++) {
        fault_pause();
        now = fault_state_now();
    }
    CHECK_EQUAL(now.threads, before->threads);
    CHECK_EQUAL(now.fds, before->fds);
    CHECK_EQUAL(now.blocks, before->blocks);
    CHECK_EQUAL(now.mapped, before->mapped);
}

/* The first of the errors of a case. */
static inline int first_error(int err, int next)
{
    return err != 0 ? err : next;
}

/* What a case needs to begin. */
#define SPARED(statement) \
    do { \
        enum inject_kind spared_kind = inject_pause(); \
        statement; \
        inject_resume(spared_kind); \
    } while (0)

/* For a case: -errno of a call that tells by NULL, and that has only one thing to run out of. */
#define NULL_IS_ENOMEM(pointer) ((pointer) == NULL ? -ENOMEM : 0)

#endif
