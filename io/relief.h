/* SPDX-License-Identifier: MIT */
/*
 * Relief: more threads of the kernel for a ring whose threads are stuck.
 *
 * What a ring cannot do on the submitting thread, a few threads of the kernel do, WEFT_RING_...
 * WORKERS of them for each worker. A disk keeps one for milliseconds. A file system whose server is
 * away (NFS, FUSE) keeps it for good: as many calls as there are threads would hold up all that is
 * to do with files, on whatever disk.
 *
 * No call knows beforehand whether it is such a one. So the poller looks whether any of the slow
 * operations in flight has ended lately. If none has for PAUSE_MIN_NS, the kernel may have more
 * threads: first 4, and twice as many, after twice the pause, as long as still none ends; up to
 * MORE_MAX. It makes a thread only where an operation waits for one and all others sleep, so a disk
 * that is merely slow costs nothing but the call. When nothing slow is in flight any more the
 * allowance is taken back, and threads without work end by themselves.
 *
 * The kernel looks whether it wants a thread when something comes to be done, or when a thread of
 * its own falls asleep: hence an operation that does nothing follows.
 *
 * All is the poller's, inside the guard.
 */
#ifndef WEFT_RELIEF_H
#define WEFT_RELIEF_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base.h>

/* A disk that has not answered any of four calls for so long is busier than disks get; with half
 * of it a fsync of some megabytes would look like a dead server. */
#define RELIEF_PAUSE_MIN_NS (20 * WEFT_MS)
#define RELIEF_STEP_MIN 4u
/* Stuck calls that a worker can have beside those that go on. Each has a thread of the kernel, 20
 * KiB; the process's limit of those (RLIMIT_NPROC) is some tens of thousands. */
#define RELIEF_MORE_MAX 256u

struct relief {
    unsigned in_flight; /* slow operations */
    unsigned more;      /* threads that the kernel may have beyond the usual */
    unsigned step;      /* how many more the next time */
    bool has_ended;     /* one has since the last look */
    int64_t pause_ns;   /* to the next time, from the last */
    int64_t due_ns;     /* the next time; meaningful while some are in flight */
};

static inline void relief_begun(struct relief *r)
{
    r->has_ended = r->has_ended || r->in_flight == 0; /* the pause begins with the first */
    r->in_flight++;
}

static inline void relief_ended(struct relief *r)
{
    r->has_ended = true;
    r->in_flight--;
}

/*
 * Look whether it is time for more threads. Returns whether `more` has changed, for the caller to
 * tell the kernel of; and, if it has grown, to follow with an operation that needs a thread.
 */
bool weft__relief_look(struct relief *r, int64_t now_ns);

/* Whether it will be time at due_ns, or nothing is to be looked for. */
static inline bool relief_is_due(const struct relief *r)
{
    return r->in_flight != 0 && r->more < RELIEF_MORE_MAX;
}

/* How long until the next look has something to do. */
static inline int64_t relief_in(const struct relief *r, int64_t now_ns)
{
    return !relief_is_due(r) ? WEFT_FOREVER : r->due_ns > now_ns ? r->due_ns - now_ns : 0;
}

#endif
