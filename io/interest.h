/* SPDX-License-Identifier: MIT */
/*
 * Interest: what one epoll instance has been told to watch, by descriptor, and the operations that
 * wait for it.
 *
 * A descriptor stays registered from its first wait on, edge by edge, so that a wait costs no
 * system call of its own. That takes two things to be right:
 *
 *   No edge is lost. An operation is tried first (attempt.h), and waits when there was nothing; an
 *   edge that came in between is in the epoll instance's queue, and nobody but who holds the
 *   poller's guard takes it out. `drained` says that there is nothing to try for: the last call
 *   took all there was, and no edge has come since.
 *
 *   The registration is that of the file which has the number now. close(2) ends it. That a number
 *   has been closed by weft_close, or was given out by an operation, is known (registration.h), and
 *   a socket that is being connected is taken for a new one; somebody's own close(2) and socket(2)
 *   are not seen. So a wait that relies on a registration made for an earlier wait is trusted for
 *   TRUST_NS only: if no edge has come by then, the kernel is asked, once (epoll_ctl tells). A busy
 *   connection never gets there.
 *
 * Several workers may have the same descriptor registered, since tasks move. One that is told of it
 * again and again while nobody here waits takes it off.
 *
 * Context of all: inside the poller's guard.
 */
#ifndef WEFT_INTEREST_H
#define WEFT_INTEREST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include <weft/base.h>

#include "list.h"
#include "registration.h"

#define INTEREST_CHUNK 1024
#define INTEREST_CHUNKS (FD_CHUNKS * (FD_CHUNK / INTEREST_CHUNK))

enum interest_kind {
    KIND_UNKNOWN,
    KIND_STREAM, /* a call that moves less than it might has moved all there was */
    KIND_OTHER,
};

struct interest {
    struct list ops;    /* struct op.link, those that wait, the longest first */
    struct list link;   /* of interests.trusted */
    int64_t since_ns;   /* since when it is trusted */
    uint32_t files;     /* as of registration.h, when it was set up */
    uint32_t events;    /* registered; 0: none */
    uint32_t drained;   /* of POLLIN and POLLOUT: there is nothing to try for */
    bool is_used;       /* the fields are set up */
    bool has_ended;     /* its peer has gone, or it has failed: always to be tried */
    uint8_t unclaimed;  /* events in a row that nobody waited for */
    uint8_t kind;       /* enum interest_kind, once somebody asked */
    int fd;
};

struct interests {
    int epoll_fd;
    unsigned instance; /* its number among the runtime's */
    struct registrations *shared; /* the runtime's */
    struct list trusted; /* interests whose registration is relied upon, the longest first */
    struct interest **chunk;
    size_t chunks; /* none beyond */
};

/* 0, or -errno; then nothing is left behind. */
int weft__interests_init(struct interests *t, struct registrations *shared);
void weft__interests_fini(struct interests *t);

/* The record of a descriptor; NULL: no memory. fd: in the table. */
struct interest *weft__interest_get(struct interests *t, int fd);

/* It is, most likely, another file's than before: nothing is relied upon, if nobody waits. */
void weft__interest_doubt(struct interest *in);

/* The record, if there is one. */
static inline struct interest *interest_find(const struct interests *t, int fd)
{
    struct interest *all = t->chunk[(unsigned)fd / INTEREST_CHUNK];
    struct interest *in = all == NULL ? NULL : &all[(unsigned)fd % INTEREST_CHUNK];
    return in != NULL && in->is_used ? in : NULL;
}

/*
 * Have it watched for events (POLLIN, POLLOUT, ...), for a wait that begins now.
 * Returns 0; -EPERM: not that kind of file; or another error of epoll_ctl(2): it is not watched.
 */
int weft__interest_watch(struct interests *t, struct interest *in, uint32_t events,
                         int64_t now_ns);

/* The kernel has told of events (EPOLLIN, ...): note it. False: nobody waits here. */
bool weft__interest_note(struct interests *t, struct interest *in, uint32_t events);

/* When weft__interests_check has something to do; WEFT_FOREVER: never. */
int64_t weft__interests_check_at(const struct interests *t);

/*
 * Ask the kernel about those that were trusted for long enough. All ops that they were watched for,
 * and that wait, are on their lists: the others' events are not asked for any more. `again`: takes
 * the ops of those that cannot be watched any more, as the number is another kind of file's: they
 * are to be attempted.
 */
void weft__interests_check(struct interests *t, int64_t now_ns, struct list *again);

#endif
