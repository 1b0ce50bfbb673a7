/* SPDX-License-Identifier: MIT */
/* Readiness; see readiness.h. */
#include "readiness.h"

#include <errno.h>
#include <poll.h>

/* POLLPRI: a read stops before the byte that TCP calls urgent, though there is more behind it. */
#define BEHIND_EVENTS (POLLHUP | POLLERR | POLLNVAL | POLLRDHUP | POLLPRI)

static void readiness_event(struct op *op, int result, bool is_over)
{
    struct readiness *r = WEFT_CONTAINER(op, struct readiness, op);
    uint32_t events = is_over ? READINESS_OVER : 0;
    if (result > 0) {
        events |= READINESS_READY | ((result & BEHIND_EVENTS) != 0 ? READINESS_BEHIND : 0);
    }
    weft__strand_post(r->strand, events << r->shift);
}

int weft__readiness_arm(struct readiness *r, int fd, short events, bool repeats)
{
    struct op_request request = {
        .code = OP_POLL,
        .fd = fd,
        .flags = (uint16_t)events,
        .repeats = repeats,
    };
    r->home = (uint16_t)weft__worker_here();
    r->is_armed = true;
    r->is_ending = false;
    int err = weft__op_begin(&r->op, &request, readiness_event);
    if (err < 0) {
        r->is_armed = false;
    }
    return err;
}

uint32_t weft__readiness_note(struct readiness *r, uint32_t events, int *error)
{
    uint32_t mine = readiness_events(r, events);
    if ((mine & READINESS_TOLD) != 0) {
        r->is_telling = false;
    }
    if ((mine & READINESS_OVER) != 0) {
        r->is_armed = false;
        *error = r->op.result < 0 && !r->is_ending ? r->op.result : *error;
    }
    return mine;
}

/* On the home, or another worker that has its place. */
static void readiness_deliver(struct message *m, struct worker *w)
{
    struct readiness *r = WEFT_CONTAINER(m, struct readiness, message);
    weft__op_end(weft__poller_of(w), &r->op);
    weft__strand_post(r->strand, READINESS_TOLD << r->shift);
}

bool weft__readiness_end(struct readiness *r)
{
    if (r->is_armed && !r->is_ending) {
        r->is_ending = true;
        if (r->home == weft__worker_here()) {
            weft__op_end(weft__poller_current(), &r->op);
        } else {
            r->is_telling = true;
            r->message.deliver = readiness_deliver;
            weft__send_to_worker(r->home, &r->message);
        }
    }
    return !r->is_armed && !r->is_telling;
}
