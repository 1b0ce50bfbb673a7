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
 *   are not seen. So a wait that relies on a registration made for an earlier wait is only trusted
 *   to be told, and looked at when it has lasted.
 *
 * A look. Who is trusted is a bit for each descriptor, young, and old after the next look, which
 * may come TRUST_NS after the last. What a look finds old, it asks poll(2) about, many by one call;
 * that costs a tenth of an epoll_ctl each. What is ready there is not being told of: a registration
 * is asked for anew (epoll_ctl tells whether there was one), and from then on the wait relies on
 * nothing. So is what has been passed over LOOKS_MAX times, so that looks come to an end and an
 * idle worker sleeps; and what is old beside few, for which that is sooner done than waking up
 * again. A busy connection never gets there.
 *
 * All edges that there were have to be delivered before a look: a connection whose event is behind
 * a thousand others in the instance's queue would be found ready and cost an epoll_ctl. A look that
 * is due waits until the kernel has told all, but for TRUST_NS at the most. So what became ready
 * behind our back is met within 2 TRUST_NS of the wait's beginning or TRUST_NS of its being ready,
 * and TRUST_NS more for each look while there is no end of events.
 *
 * Invariant: an op on a list of an interest either began before its registration was last asked for
 * (or was made), or the interest's bit is set. A bit is taken away by an edge, after which all ops
 * are taken off the list and those that go on waiting come here again; by an epoll_ctl; or when
 * nobody waits.
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

/* All of it is in one line: what many connections have in common is that no cache holds them. */
struct interest {
    _Alignas(WEFT_CACHE_LINE) struct list ops; /* struct op.link, that wait, the longest first */
    uint32_t files;     /* as of registration.h, when it was set up */
    uint32_t events;    /* registered; 0: none */
    uint32_t drained;   /* of POLLIN and POLLOUT: there is nothing to try for */
    int fd;
    bool is_used;       /* the fields are set up */
    bool has_ended;     /* its peer has gone, or it has failed: always to be tried */
    uint8_t unclaimed;  /* events in a row that nobody waited for */
    uint8_t kind;       /* enum interest_kind, once somebody asked */
    uint8_t looks;      /* that have met nothing, of this trust */
};

#define INTEREST_WORD 64
#define INTEREST_WORDS (INTEREST_CHUNK / INTEREST_WORD)

/* Whose registration is relied upon: a bit is set in one of the two words, or none. */
struct interest_chunk {
    uint64_t young[INTEREST_WORDS]; /* since the last look */
    uint64_t old[INTEREST_WORDS];   /* since before it */
    struct interest all[INTEREST_CHUNK];
};

struct interests {
    int epoll_fd;
    unsigned instance; /* its number among the runtime's */
    struct registrations *shared; /* the runtime's */
    size_t trusted;  /* bits that are set */
    int64_t look_ns; /* when the next look is due, if there are any */
    struct interest_chunk **chunk;
    size_t chunks; /* none beyond */
};

/* 0, or -errno; then nothing is left behind. */
int weft__interests_init(struct interests *t, struct registrations *shared);
void weft__interests_fini(struct interests *t);

/* The record of a descriptor; NULL: no memory. fd: in the table. */
struct interest *weft__interest_get(struct interests *t, int fd);

/* It is, most likely, another file's than before: nothing is relied upon, if nobody waits. */
void weft__interest_doubt(struct interests *t, struct interest *in);

/* Where its record is or would be, which is not looked at; NULL: nowhere yet. */
static inline struct interest *interest_place(const struct interests *t, int fd)
{
    struct interest_chunk *chunk = t->chunk[(unsigned)fd / INTEREST_CHUNK];
    return chunk == NULL ? NULL : &chunk->all[(unsigned)fd % INTEREST_CHUNK];
}

/* The record, if there is one. */
static inline struct interest *interest_find(const struct interests *t, int fd)
{
    struct interest *in = interest_place(t, fd);
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
 * Look at those that were trusted for long enough, if it is time. All ops that they were watched
 * for, and that wait, are on their lists: the others' events are not asked for any more.
 * are_all_told: the kernel has told of all the edges there were, and they have been noted.
 * `again`: takes the ops of those that cannot be watched any more, as the number is another kind of
 * file's: they are to be attempted.
 */
void weft__interests_check(struct interests *t, int64_t now_ns, bool are_all_told,
                           struct list *again);

#endif
