/* SPDX-License-Identifier: MIT */
/*
 * Question: what do the neighbours of a stalled request feel in epoll loops written by hand?
 *
 * A loop a worker, connections dealt out evenly when they are accepted. A request that burns CPU
 * burns it in its loop, and all other connections of that loop wait. At most 16 events are taken at
 * a time, or those behind a burning one would be bound to its turn without need.
 *
 * What it does not show: a pool of threads that burning requests are handed to. Who knows
 * beforehand which requests those are has no stalls; this is about those who did not.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "stall.h"

#define EVENTS_AT_ONCE 16

struct connection {
    int fd;
    struct stall_stream stream;
};

static int epoll_fds[FLOOR_WORKERS_MAX];

static void drop(struct connection *c)
{
    close(c->fd);
    free(c);
}

/* Receive once and answer what is complete. */
static void serve(struct connection *c)
{
    struct stall_stream *s = &c->stream;
    struct stall_message m;
    size_t at = 0;
    ssize_t n = recv(c->fd, s->data + s->fill, sizeof s->data - s->fill, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            drop(c);
        }
        return;
    }
    s->fill += (size_t)n;
    while (stall_next(s, &at, &m)) {
        stall_answer(&m);
        /* Our load always takes its replies: who has no room for 64 bytes is not one of it. */
        if (send(c->fd, &m, sizeof m, MSG_NOSIGNAL) != (ssize_t)sizeof m) {
            drop(c);
            return;
        }
    }
}

static void *loop_run(void *arg)
{
    const int *epoll_fd = arg;
    struct epoll_event ready[EVENTS_AT_ONCE];
    for (;;) {
        int n = epoll_wait(*epoll_fd, ready, EVENTS_AT_ONCE, -1);
        if (n < 0 && errno != EINTR) {
            err(1, "epoll_wait");
        }
        for (int i = 0; i < n; i++) {
            serve(ready[i].data.ptr);
        }
    }
    return NULL;
}

static void start(unsigned i)
{
    epoll_fds[i] = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fds[i] < 0) {
        err(1, "epoll_create1");
    }
    stall_thread(loop_run, &epoll_fds[i]);
}

static void give(unsigned i, int fd)
{
    struct connection *c = calloc(1, sizeof *c);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c == NULL) {
        err(1, "no memory for a connection");
    }
    c->fd = fd;
    if (epoll_ctl(epoll_fds[i], EPOLL_CTL_ADD, fd, &event) < 0) {
        err(1, "epoll_ctl");
    }
}

int main(int argc, char **argv)
{
    static const struct stall_loops loops = {.start = start, .give = give};
    return stall_main(argc, argv, "Server that may stall: plain epoll loops.", &loops);
}
