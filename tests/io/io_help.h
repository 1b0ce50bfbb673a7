/* SPDX-License-Identifier: MIT */
/*
 * For tests of weft/io.h: cases that must return every descriptor, pairs and listeners, tasks that
 * wait for input.
 */
#ifndef WEFT_IO_HELP_H
#define WEFT_IO_HELP_H

#include "task_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fd_table.h"
#include "op.h"
#include "park.h"
#include "runtime_object.h"

/* Descriptors open in this process, the one used for counting included. */
static inline int fd_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir != NULL);
    int count = 0;
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

/* The descriptor table of a runtime. */
static inline struct fd_table *fds_of(weft_runtime *rt)
{
    return ((struct io_poller *)(void *)rt->workers[0].poller)->fds;
}

static inline void run_io_with(const struct weft_options *options, weft_fn fn, void *arg)
{
    int before = fd_count();
    run_case_with(options, fn, arg);
    CHECK_EQUAL(fd_count(), before);
}

static inline void run_io(weft_fn fn, void *arg)
{
    run_io_with(NULL, fn, arg);
}

/* A number as a task's argument or value. */
#define BOXED(number) ((void *)(intptr_t)(number))
#define UNBOXED(pointer) ((int)(intptr_t)(pointer))

static inline weft_task *spawn(weft_fn fn, void *arg)
{
    weft_task *t = weft_spawn(fn, arg);
    CHECK(t != NULL);
    return t;
}

/* What a task returned, as a number. */
static inline int joined(weft_task *t)
{
    void *value = NULL;
    CHECK_EQUAL(weft_join(t, &value), 0);
    return UNBOXED(value);
}

static inline void make_pipe(int fds[2])
{
    CHECK_EQUAL(pipe2(fds, O_CLOEXEC), 0);
}

/* Two sockets that are connected. */
static inline void make_pair(int fds[2])
{
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static inline void close_both(const int fds[2])
{
    CHECK_EQUAL(close(fds[0]), 0);
    CHECK_EQUAL(close(fds[1]), 0);
}

static inline struct sockaddr_in loopback(void)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static inline struct sockaddr *any_address(void *address)
{
    return address;
}

/* In a task: a TCP socket that listens, and its address. */
static inline int make_listener(struct sockaddr_in *address, int backlog)
{
    socklen_t bytes = sizeof *address;
    *address = loopback();
    int fd = weft_socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_bind(fd, any_address(address), sizeof *address), 0);
    CHECK_EQUAL(weft_listen(fd, backlog), 0);
    CHECK_EQUAL(getsockname(fd, any_address(address), &bytes), 0);
    return fd;
}

static inline int connected_to(const struct sockaddr_in *address)
{
    int fd = weft_socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

/* In a task: until what was sent on a TCP connection has come to the other end, whether or not it
 * was read. A send may return before that, on one machine too. */
static inline void yield_until_arrived(int fd)
{
    int unsure = 1;
    while (unsure > 0) {
        CHECK_EQUAL(ioctl(fd, SIOCOUTQ, &unsure), 0);
        CHECK_EQUAL(weft_yield(), 0);
    }
}

/* In a task: how many calls of tasks on a descriptor have begun and not ended. */
static inline unsigned calls_on(int fd)
{
    struct io_poller *p = (struct io_poller *)(void *)weft__poller_current();
    return (unsigned)(atomic_load_seq_cst(&fd_table_find(p->fds, fd)->word) / FD_ONE);
}

/* In a task: let others run until that many have begun. */
static inline void yield_until_calls(int fd, unsigned at_least)
{
    while (calls_on(fd) < at_least) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

/* A task that reads: once, up to n bytes. */
struct reading {
    int fd;
    size_t n;
    char buf[64];
};

__attribute__((unused)) static void *read_once(void *arg)
{
    struct reading *r = arg;
    return BOXED(weft_read(r->fd, r->buf, r->n));
}

/* The simplest tasks that wait on a descriptor, which is their argument. */
__attribute__((unused)) static void *read_byte(void *arg)
{
    char c;
    return BOXED(weft_read(UNBOXED(arg), &c, 1));
}

__attribute__((unused)) static void *accept_one(void *arg)
{
    return BOXED(weft_accept(UNBOXED(arg), NULL, NULL, 0));
}

__attribute__((unused)) static void *wait_readable(void *arg)
{
    return BOXED(weft_wait_fd(UNBOXED(arg), POLLIN));
}

/* Make a descriptor O_NONBLOCK. */
static inline void set_nonblock(int fd)
{
    CHECK_EQUAL(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* In a task: its own cancel, as somebody else would. */
static inline void cancel_myself(void)
{
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_cancelling(), 1);
}

static inline void uncancel_myself(void)
{
    CHECK_EQUAL(weft_uncancel(), 0);
}

/* Byte i of a stream that no shift or swap of blocks leaves the same. */
static inline char pattern_at(size_t i)
{
    return (char)((i * 2654435761u) >> 11);
}

static inline void pattern_fill(char *buf, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf[i] = pattern_at(from + i);
    }
}

/* Whether buf is the stream from there. */
static inline bool pattern_fits(const char *buf, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (buf[i] != pattern_at(from + i)) {
            return false;
        }
    }
    return true;
}

#endif
