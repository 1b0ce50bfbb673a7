/* SPDX-License-Identifier: MIT */
/*
 * The protocol of the stall workload, and what its servers in C share.
 *
 * A request is a message of 64 bytes. Its first word says how many steps of work it asks for: 0 for
 * nearly all, and as many as take a millisecond or ten for the others, which the load has measured
 * beforehand. The reply is the same message with the value worked on, so that the load can tell
 * that the work was done. A step is one multiplication and one addition that wait for the step
 * before: every compiler makes the same of it, and no other core, cache or memory has a part in it.
 */
#ifndef WEFT_BENCH_STALL_H
#define WEFT_BENCH_STALL_H

#include <stdint.h>
#include <unistd.h>

#include "../echo/floor.h"

#define STALL_BYTES 64

struct stall_message {
    uint64_t steps;
    uint64_t value;
    uint64_t number; /* the load's */
    char rest[40];
};

_Static_assert(sizeof(struct stall_message) == STALL_BYTES, "a message is 64 bytes");

/* The work: Marsaglia's xorshift, so many steps from value on, which must not be 0. */
static inline uint64_t stall_work(uint64_t steps, uint64_t value)
{
    for (; steps > 0; steps--) {
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
    }
    return value;
}

/* Turn a request into its reply. */
static inline void stall_answer(struct stall_message *m)
{
    m->value = stall_work(m->steps, m->value);
}

/* What a loop has received of a connection and not yet answered. */
struct stall_stream {
    size_t fill;
    char data[16 * STALL_BYTES];
};

/*
 * Take the next whole message of the stream, from *at on. Returns whether there was one; when there
 * is none any more, what is left moves to the front.
 */
static inline bool stall_next(struct stall_stream *s, size_t *at, struct stall_message *m)
{
    if (s->fill - *at >= STALL_BYTES) {
        memcpy(m, s->data + *at, STALL_BYTES);
        *at += STALL_BYTES;
        return true;
    }
    memmove(s->data, s->data + *at, s->fill - *at);
    s->fill -= *at;
    return false;
}

/* Start worker number i in a thread of its own; and give it a connection. */
struct stall_loops {
    void (*start)(unsigned i);
    void (*give)(unsigned i, int fd);
};

/*
 * The whole of main for servers made of loops. The main thread accepts and deals connections out in
 * turn, so that no loop has more of them than another; a hash of the kernel's would do worse.
 */
static inline int stall_main(int argc, char **argv, const char *what,
                             const struct stall_loops *loops)
{
    struct floor_options o = floor_options(argc, argv, what);
    floor_raise_descriptor_limit();
    int listen_fd = floor_listen(&o.port, false, 0);
    for (unsigned i = 0; i < o.workers; i++) {
        loops->start(i);
    }
    printf("listening on 127.0.0.1:%u\n", o.port);
    fflush(stdout);
    for (unsigned i = 0;; i = i + 1 < o.workers ? i + 1 : 0) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            err(1, "accept");
        }
        loops->give(i, fd);
    }
}

/* Start a thread, or end the program. */
static inline void stall_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, arg);
    if (error != 0) {
        errx(1, "pthread_create: %s", strerror(error));
    }
}

#endif
