/* SPDX-License-Identifier: MIT */
/* Registrations; see registration.h. */
#include "registration.h"

#include <stdlib.h>
#include <sys/epoll.h>

struct registrations *weft__registrations_create(void)
{
    return calloc(1, sizeof(struct registrations)); /* pages that are not used are not touched */
}

void weft__registrations_destroy(struct registrations *all)
{
    for (unsigned i = 0; i < FD_CHUNKS; i++) {
        free(atomic_load_relaxed(&all->chunk[i])); /* ORD none: nobody else is left */
    }
    free(all);
}

unsigned weft__registrations_join(struct registrations *all, int epoll_fd)
{
    /* ORD none: a number for each. */
    unsigned instance = atomic_add_relaxed(&all->instances, 1);
    WEFT_ASSERT(instance < WEFT_WORKERS_MAX);
    atomic_store_relaxed(&all->epoll_fd[instance], epoll_fd); /* ORD P1: before the first note */
    return instance;
}

struct registration *weft__registration_of(struct registrations *all, int fd)
{
    _Atomic(struct registration *) *chunk = &all->chunk[(unsigned)fd / FD_CHUNK];
    struct registration *there = atomic_load_acquire(chunk); /* ORD P2: zeros, or in use. */
    if (WEFT_UNLIKELY(there == NULL)) {
        struct registration *fresh = calloc(FD_CHUNK, sizeof *fresh);
        if (fresh == NULL) {
            return NULL;
        }
        /* ORD P2: who finds the chunk finds zeros. */
        if (atomic_cas_acq_rel(chunk, &there, fresh)) {
            there = fresh;
        } else {
            free(fresh);
        }
    }
    return &there[(unsigned)fd % FD_CHUNK];
}

void weft__registration_note(struct registration *r, unsigned instance)
{
    uint32_t bit = (uint32_t)1 << (instance % WATCHER_BITS);
    (void)atomic_or_acq_rel(&r->watchers, bit); /* ORD P1: the instance */
}

/* The record of a descriptor, if it was ever asked for. */
static struct registration *find(struct registrations *all, int fd)
{
    if (!fd_is_in_table(fd)) {
        return NULL;
    }
    /* ORD P2: zeros, or in use. */
    struct registration *there = atomic_load_acquire(&all->chunk[(unsigned)fd / FD_CHUNK]);
    return there == NULL ? NULL : &there[(unsigned)fd % FD_CHUNK];
}

void weft__registration_forget(struct registrations *all, int fd)
{
    struct registration *r = find(all, fd);
    if (r == NULL) {
        return;
    }
    (void)atomic_add_relaxed(&r->files, 1); /* ORD none: see the head */
    uint32_t watchers = atomic_exchange_acq_rel(&r->watchers, 0); /* ORD P1: the instances */
    unsigned count = atomic_load_relaxed(&all->instances); /* ORD P1: those that noted are in */
    for (; watchers != 0; watchers &= watchers - 1) {
        unsigned first = (unsigned)__builtin_ctz(watchers);
        for (unsigned i = first; i < count; i += WATCHER_BITS) {
            int epoll_fd = atomic_load_relaxed(&all->epoll_fd[i]); /* ORD P1: as above */
            (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        }
    }
}

void weft__registration_fresh(struct registrations *all, int fd)
{
    struct registration *r = find(all, fd);
    if (r != NULL) {
        (void)atomic_add_relaxed(&r->files, 1); /* ORD none: see the head */
    }
}
