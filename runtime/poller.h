/* SPDX-License-Identifier: MIT */
/*
 * Poller: how a worker meets the kernel. The scheduler knows this contract and nothing else of
 * rings; io/ implements it, tests replace it by one without a kernel.
 *
 * One poller per worker. All calls come from the worker's own thread, unless they say otherwise.
 * Completions are delivered by calling weft__fiber_ready (park.h) from inside `wait` or `harvest`.
 */
#ifndef WEFT_POLLER_H
#define WEFT_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base.h>

struct crash_text;
struct poller; /* the implementation embeds what it needs behind it */

struct poller_config {
    unsigned entries;      /* operations that can be prepared between two waits, a power of two */
    unsigned worker_count; /* of the runtime */
    void *shared;          /* what shared_create made for the runtime */
    bool pin_workers;      /* threads the kernel starts for us must not share the worker's CPU */
};

struct poller_counters {
    uint64_t enters; /* system calls made to submit or wait */
    uint64_t sqes;   /* operations handed over */
    uint64_t cqes;   /* completions delivered */
};

struct poller_ops {
    const char *name;

    /* What the pollers of one runtime share; made before the first of them, NULL: no memory. Both
     * may be missing: then nothing is shared. */
    void *(*shared_create)(void);
    void (*shared_destroy)(void *shared);

    /* Returns 0, or -errno with the cause and its cure in `why`; then nothing is left behind. */
    int (*create)(struct poller **p, const struct poller_config *config, char *why,
                  size_t why_bytes);

    /* The worker ends: take down what only its thread can. Nothing is in flight any more. `wake`
     * may still be called. */
    void (*finish)(struct poller *p);

    /* Give back what `wake` needs, its descriptors. Any thread, after `finish`, when nobody can
     * call `wake` any more. */
    void (*release)(struct poller *p);

    /* Free it, released or not. Any thread, when nobody can call `counters` any more either. */
    void (*destroy)(struct poller *p);

    /* Whether `wait` would have anything to do: operations to hand over, completions to deliver.
     * Looks at memory only. */
    bool (*ready)(struct poller *p);

    /* Hand over what was prepared, wait up to for_ns (0: do not wait, WEFT_FOREVER: no limit) for a
     * completion or a wake, deliver. May return early. */
    void (*wait)(struct poller *p, int64_t for_ns);

    /* End a `wait` that is under way, or the next one. Any thread, also in a signal handler. Called
     * once for each time the worker had published that it sleeps. */
    void (*wake)(struct poller *p);

    /* The task was asked to end while its fiber waits for an operation of this poller: ask the
     * kernel to end that operation. Its completion is delivered by `wait` as any other. */
    void (*cancel)(struct poller *p, weft_task *task);

    /* The descriptor that an operation is on, by the wait_on of a fiber that is held and has left
     * its stack. Any thread; may be missing. */
    int (*fd_of)(const void *wait_on);

    /* Whether operations are in flight. The worker; may be missing: there are never any. */
    bool (*pending)(struct poller *p);

    /*
     * The rest is for a worker that is stuck in a task (rescue.h); a poller without `kick` has none
     * of it, and what it has to deliver waits.
     */

    /* Hand over what was prepared and have the kernel post what is complete. A signal handler on
     * the worker's thread, whatever it has interrupted. */
    void (*kick)(struct poller *p);

    /* Whether there is something that `kick` or `harvest` would do. Any thread, also in a signal
     * handler; may be a moment old. */
    bool (*behind)(struct poller *p);

    /* Take the worker's place, if it is in none of the calls above but `ready`, and nobody else has
     * it; until `unclaim` the caller may call `cancel` and `harvest`. Another worker's thread. */
    bool (*claim)(struct poller *p);
    void (*unclaim)(struct poller *p);

    /* Deliver what is complete. Returns how many. A wake that it meets is the worker's, which may
     * have been about to wait: the next `wait` ends by it. Who has claimed it. */
    unsigned (*harvest)(struct poller *p);

    /* May be called by any thread; the figures may be a moment old. */
    void (*counters)(const struct poller *p, struct poller_counters *out);

    /* What a crash report says behind the name: versions, capabilities. The worker's thread, in a
     * signal handler, whatever that has interrupted; may be missing. */
    void (*about)(const struct poller *p, struct crash_text *text);
};

/* The io_uring one, in io/poller_uring.c. */
extern const struct poller_ops weft__poller_uring;

/* The one for where io_uring is refused, in io/poller_epoll.c. */
extern const struct poller_ops weft__poller_epoll;

#endif
