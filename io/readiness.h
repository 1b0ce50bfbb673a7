/* SPDX-License-Identifier: MIT */
/*
 * Readiness: a strand is told when a descriptor can be read or written, once or each time anew. No
 * task waits, and while nothing comes there is nothing but this record and the kernel's.
 *
 * It is armed on the ring of the worker that the strand happens to be on, and stays there: its
 * home. A poll that repeats tells of each arrival, not of what lies there: who reads goes on until
 * nothing is left. Where the kernel cannot repeat, or ends it of itself, it is over, and the strand
 * arms it anew.
 *
 * To end it, its home asks the kernel; from elsewhere by message. It is idle again when the kernel
 * has ended it and the message was read, in either order; both are events. Until then the memory
 * stays.
 *
 * All fields are the strand's, but for the op while it is armed (op.h) and the message while it is
 * under way.
 */
#ifndef WEFT_READINESS_H
#define WEFT_READINESS_H

#include "message.h"
#include "op.h"
#include "strand.h"

/* What the strand is told, each of them shifted by `shift`. */
#define READINESS_READY ((uint32_t)1)  /* as asked */
#define READINESS_BEHIND ((uint32_t)2) /* an end, an error, urgent data behind what can be read */
#define READINESS_OVER ((uint32_t)4)   /* not armed any more */
#define READINESS_TOLD ((uint32_t)8)   /* the message was read */
#define READINESS_BITS 4

struct readiness {
    struct op op;
    struct strand *strand;
    struct message message;
    uint8_t shift; /* of its events */
    bool is_armed;
    bool is_ending;  /* the kernel is asked, or will be, to end it */
    bool is_telling; /* the message is under way */
    uint16_t home;   /* index of the worker */
};

static inline void readiness_init(struct readiness *r, struct strand *strand, uint8_t shift)
{
    *r = (struct readiness){.strand = strand, .shift = shift};
}

/* The events of this one, out of those a strand is given. */
static inline uint32_t readiness_events(const struct readiness *r, uint32_t events)
{
    return events >> r->shift & (((uint32_t)1 << READINESS_BITS) - 1);
}

/*
 * Have the strand told. fd: entered     events: POLLIN, POLLPRI, POLLRDHUP, POLLOUT
 * Context: the strand, not armed
 * Returns 0, -ENOMEM, -ECANCELED: weft_close is closing the descriptor, or -EPERM: the backend is
 * not told of such files, which are ready at once or never.
 */
int weft__readiness_arm(struct readiness *r, int fd, short events, bool repeats);

/* Take note of events. Returns them; when it is over because the kernel refused, *error tells why.
 * Context: the strand. */
uint32_t weft__readiness_note(struct readiness *r, uint32_t events, int *error);

/* Have it ended, if it is armed. True: it is idle, and its memory free to go. Context: the strand,
 * again and again until it is idle. */
bool weft__readiness_end(struct readiness *r);

#endif
