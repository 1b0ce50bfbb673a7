/* SPDX-License-Identifier: MIT */
/*
 * Datagram endpoints.
 *
 * A call tries the socket at once: a datagram that is there is taken, and one that fits is sent,
 * without the ring, and several with one system call (recvmmsg, sendmmsg). Else the task waits, by
 * an operation for one, by a poll for several. While a call is in, weft_close waits for it, so the
 * endpoint is freed after the last one; a call must not touch it after it has left.
 *
 * With the option `errors` what routers and peers report is in the socket's error queue, besides
 * being the error of the next call. While the queue holds something a poll of the socket returns at
 * once, so it is emptied whenever a call has met an error, or a poll found nothing but one; the
 * last reports are kept for weft_udp_error.
 */
#ifndef WEFT_UDP_OBJECT_H
#define WEFT_UDP_OBJECT_H

#include <pthread.h>

#include <weft/udp.h>

/* Reports that are kept: what one call can have caused is asked for after it. More would be of use
 * only to who asks seldom. */
#define UDP_ERRORS_MAX 16

struct weft_udp {
    int fd;           /* immutable */
    bool has_errors;  /* immutable: reports are queued */
    pthread_mutex_t lock;
    struct weft_udp_error errors[UDP_ERRORS_MAX]; /* lock; a ring */
    unsigned error_first;                         /* lock */
    unsigned error_count;                         /* lock */
};

/*
 * Empty the error queue of fd.
 * Context: any thread, in a call on fd
 * Returns the error of the first report, or 0: there was none.
 */
int weft__udp_take_errors(weft_udp *u, int fd);

#endif
