/* SPDX-License-Identifier: MIT */
/*
 * Tasks that never end by themselves, each in its own way. One counts in load_running once it is
 * at it, and in load_ended when a cancel has ended it.
 */
#ifndef WEFT_CLOSE_LOADS_H
#define WEFT_CLOSE_LOADS_H

#include "life_help.h"

#include <poll.h>
#include <sys/socket.h>

static atomic_int load_running;
static atomic_int load_ended;

static inline void *load_end(int err)
{
    WEFT_ASSERT(err == -ECANCELED);
    atomic_add_seq_cst(&load_ended, 1);
    return weft_fail(err);
}

static inline void *sleep_load(void *arg)
{
    (void)arg;
    atomic_add_seq_cst(&load_running, 1);
    return load_end(weft_sleep(arg == NULL ? WEFT_MINUTE : WEFT_FOREVER));
}

static inline void *yield_load(void *arg)
{
    (void)arg;
    atomic_add_seq_cst(&load_running, 1);
    int err;
    while ((err = weft_yield()) == 0) {
    }
    return load_end(err);
}

static inline void *receive_load(void *arg)
{
    (void)arg;
    int ends[2];
    char byte;
    WEFT_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    atomic_add_seq_cst(&load_running, 1);
    ssize_t n = weft_recv(ends[0], &byte, 1, 0);
    WEFT_ASSERT(weft_close(ends[0]) == 0); /* also when cancelled */
    WEFT_ASSERT(weft_close(ends[1]) == 0);
    return load_end((int)n);
}

static inline void *echo_bytes(void *fd)
{
    char byte;
    ssize_t n;
    do {
        n = weft_recv((int)(intptr_t)fd, &byte, 1, 0);
    } while (n == 1 && weft_send((int)(intptr_t)fd, &byte, 1, 0) == 1);
    return NULL;
}

/* A byte goes to and fro without a rest; one end is closed while the other is at it. */
static inline void *echo_load(void *arg)
{
    (void)arg;
    int ends[2];
    char byte = 'x';
    ssize_t n;
    WEFT_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    weft_task *t = spawn_must(echo_bytes, value_of(ends[1]));
    atomic_add_seq_cst(&load_running, 1);
    do {
        n = weft_send(ends[0], &byte, 1, 0);
        n = n == 1 ? weft_recv(ends[0], &byte, 1, 0) : n;
    } while (n == 1);
    WEFT_ASSERT(weft_close(ends[0]) == 0);
    WEFT_ASSERT(weft_join(t, NULL) == 0);
    WEFT_ASSERT(weft_close(ends[1]) == 0);
    return load_end((int)n);
}

static inline void *poll_load(void *arg)
{
    (void)arg;
    int ends[2];
    WEFT_ASSERT(pipe(ends) == 0);
    struct pollfd fds[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[0], .events = POLLIN}};
    atomic_add_seq_cst(&load_running, 1);
    int err = weft_poll(fds, 2);
    close(ends[0]);
    close(ends[1]);
    return load_end(err);
}

static inline void *short_child(void *arg)
{
    (void)arg;
    int err = weft_yield();
    return err < 0 ? weft_fail(err) : NULL;
}

/* Spawns until what it spawned fails to wait. */
static inline void *spawn_load(void *arg)
{
    (void)arg;
    atomic_add_seq_cst(&load_running, 1);
    for (;;) {
        weft_task *children[3];
        int err = 0;
        for (int i = 0; i < 3; i++) {
            children[i] = spawn_must(short_child, NULL);
        }
        for (int i = 0; i < 3; i++) {
            int one = weft_join(children[i], NULL);
            err = one < 0 ? one : err;
        }
        if (err < 0) {
            return load_end(err);
        }
    }
}

static inline void *quiet_sleep(void *arg)
{
    (void)arg;
    int err = weft_sleep(WEFT_FOREVER);
    return weft_fail(err);
}

static inline void *await_chain(void *depth)
{
    weft_fn next = (intptr_t)depth > 1 ? await_chain : quiet_sleep;
    weft_task *t = spawn_must(next, value_of((intptr_t)depth - 1));
    return weft_fail(weft_join(t, NULL));
}

/* A chain of tasks each of which awaits the next, at the end a sleeper. */
static inline void *await_load(void *depth)
{
    weft_task *t = spawn_must(await_chain, depth);
    atomic_add_seq_cst(&load_running, 1);
    return load_end(weft_join(t, NULL));
}

static inline void *must_not_run(void *arg)
{
    (void)arg;
    abort();
}

static inline void *spawn_held(void *arg)
{
    (void)arg;
    struct weft_spawn_options held = {.held = true};
    weft_task *t = weft_spawn_with(&held, must_not_run, NULL);
    WEFT_ASSERT(t != NULL);
    return t;
}

static inline void *await_held_load(void *arg)
{
    weft_task *t = spawn_held(arg);
    atomic_add_seq_cst(&load_running, 1);
    return load_end(weft_join(t, NULL));
}

/* Spawns a held task well after it was cancelled, and nobody ever starts it. */
static inline void *late_held_load(void *arg)
{
    atomic_add_seq_cst(&load_running, 1);
    int err = weft_sleep(WEFT_FOREVER);
    for (int i = 0; i < 5; i++) {
        (void)weft_uncancel();
        int again = weft_sleep(WEFT_MS);
        WEFT_ASSERT(again == 0 || again == -ECANCELED); /* the close may ask twice */
    }
    weft_task *t = spawn_held(arg);
    WEFT_ASSERT(weft_join(t, NULL) == -ECANCELED);
    return load_end(err);
}

struct periodic {
    weft_timer *timer;
    atomic_int calls;
    atomic_int is_over;
};

static inline void periodic_call(void *arg)
{
    struct periodic *p = arg;
    atomic_add_seq_cst(&p->calls, 1);
    if (atomic_load_seq_cst(&p->is_over) == 0) {
        int err = weft_timer_start(p->timer, 0);
        WEFT_ASSERT(err == 0);
    }
}

/* A timer that starts itself anew all the time; its owner takes it down when cancelled. */
static inline void *timer_load(void *arg)
{
    (void)arg;
    struct periodic p = {NULL, 0, 0};
    WEFT_ASSERT(weft_timer_create(&p.timer, weft_runtime_current(), periodic_call, &p) == 0);
    WEFT_ASSERT(weft_timer_start(p.timer, 0) == 0);
    while (atomic_load_seq_cst(&p.calls) < 3 && weft_yield() == 0) {
    }
    atomic_add_seq_cst(&load_running, 1);
    int err = weft_sleep(WEFT_FOREVER);
    atomic_store_seq_cst(&p.is_over, 1);
    (void)weft_timer_stop_and_wait(p.timer);
    (void)weft_timer_stop_and_wait(p.timer); /* what the callback had started in the first */
    weft_timer_destroy(p.timer);
    return load_end(err);
}

#endif
