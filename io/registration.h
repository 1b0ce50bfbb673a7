/* SPDX-License-Identifier: MIT */
/*
 * Registrations: which epoll instances of a runtime have a descriptor registered, and how many
 * files have had its number so far, as the runtime knows.
 *
 * close(2) takes a registration away only with the last descriptor of the file: if a child or a
 * dup(2) has another, the instance goes on telling of it, under a number that is somebody else's by
 * then. So weft_close takes the descriptor out of every instance first. And what a worker remembers
 * of the number (interest.h) is the file's: it is void when `files` has moved on.
 *
 * Pairs
 *   P1  note: watchers, acq_rel or  -> forget: watchers, acq_rel exchange    the instance
 *   P2  new chunk: chunk, acq_rel   -> find: chunk, acquire                  zeros
 * `files` is moved on by who closes the descriptor, or has just been given it, and read in calls on
 * it: the descriptor table orders those (fd_table.h).
 */
#ifndef WEFT_REGISTRATION_H
#define WEFT_REGISTRATION_H

#include <stdint.h>

#include <weft/runtime.h>

#include "atomic.h"
#include "fd_table.h"

/* A bit of `watchers` stands for the instances with that number, and so many more each. */
#define WATCHER_BITS 32

struct registration {
    _Atomic(uint32_t) files;
    _Atomic(uint32_t) watchers;
};

struct registrations {
    _Atomic(struct registration *) chunk[FD_CHUNKS];
    _Atomic(uint32_t) instances;
    _Atomic(int) epoll_fd[WEFT_WORKERS_MAX]; /* by the number of the instance */
};

struct registrations *weft__registrations_create(void);
void weft__registrations_destroy(struct registrations *all);

/* A new instance. Returns its number. */
unsigned weft__registrations_join(struct registrations *all, int epoll_fd);

/* fd: in the table. NULL: no memory. */
struct registration *weft__registration_of(struct registrations *all, int fd);

/* An instance has registered it. Context: a call on the descriptor. */
void weft__registration_note(struct registration *r, unsigned instance);

/* The descriptor is about to be closed: take it out of all instances. No call is in. */
void weft__registration_forget(struct registrations *all, int fd);

/* The kernel has just given the number out. */
void weft__registration_fresh(struct registrations *all, int fd);

#endif
