/* SPDX-License-Identifier: MIT */
/*
 * Question: what does echoing cost on epoll, when a person writes the loop by hand?
 *
 * Level-triggered epoll, read then write straight away into and out of one buffer that all
 * connections of a thread share. A connection asks for EPOLLOUT only while its client does not take
 * what it is owed, and then owns a copy of just that; it is not read from meanwhile. With several
 * workers each thread has a loop and a socket on the same port; the kernel spreads the connections
 * over them by a hash, and nothing passes from one thread to another.
 *
 * What it does not show: anything that runtimes are for. A thread never helps another, there is no
 * timeout, no state a connection could keep between messages, no way to wait for anything else in
 * the middle. It is the floor: the least that epoll asks for.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "floor.h"

/* The same as the large buffer of weft-echo. */
#define BUFFER_BYTES (16 * 1024)

/* What a client is owed and has not taken; bytes == 0 for nearly everybody, always. */
struct debt {
    char *data;
    size_t at;
    size_t bytes;
};

static _Thread_local int epoll_fd;
static _Thread_local struct debt *debts;
static _Thread_local size_t debt_count;
static _Thread_local char shared_buffer[BUFFER_BYTES];

static void watch(int fd, int operation, unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll_fd, operation, fd, &event) < 0) {
        err(1, "epoll_ctl");
    }
}

static void drop(int fd)
{
    free(debts[fd].data);
    debts[fd] = (struct debt){0};
    close(fd);
}

static void accept_all(int listen_fd)
{
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* At the descriptor limit the loop spins until somebody leaves: it is only a floor. */
            return;
        }
        debts = floor_table_reach(debts, &debt_count, (size_t)fd, sizeof *debts);
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* Keep what could not be sent, and ask to be told when there is room. */
static void owe(int fd, const char *data, size_t n)
{
    struct debt *d = &debts[fd];
    d->data = malloc(n);
    if (d->data == NULL) {
        drop(fd);
        return;
    }
    memcpy(d->data, data, n);
    d->at = 0;
    d->bytes = n;
    watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
}

static void pay(int fd)
{
    struct debt *d = &debts[fd];
    ssize_t sent = send(fd, d->data + d->at, d->bytes - d->at, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            drop(fd);
        }
        return;
    }
    d->at += (size_t)sent;
    if (d->at == d->bytes) {
        free(d->data);
        *d = (struct debt){0};
        watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void echo(int fd)
{
    ssize_t n = recv(fd, shared_buffer, sizeof shared_buffer, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            drop(fd);
        }
        return;
    }
    ssize_t sent = send(fd, shared_buffer, (size_t)n, MSG_NOSIGNAL);
    if (sent == n) {
        return;
    }
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        drop(fd);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    owe(fd, shared_buffer + sent, (size_t)(n - sent));
}

static void serve(int listen_fd)
{
    struct epoll_event ready[512];
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        err(1, "epoll_create1");
    }
    watch(listen_fd, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int n = epoll_wait(epoll_fd, ready, 512, -1);
        if (n < 0 && errno != EINTR) {
            err(1, "epoll_wait");
        }
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listen_fd) {
                accept_all(fd);
            } else if (debts[fd].bytes > 0) {
                pay(fd);
            } else {
                echo(fd);
            }
        }
    }
}

int main(int argc, char **argv)
{
    return floor_main(argc, argv, "Echo server: plain epoll loops.", SOCK_NONBLOCK, serve);
}
