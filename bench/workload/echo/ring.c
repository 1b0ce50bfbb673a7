/* SPDX-License-Identifier: MIT */
/*
 * Question: what does echoing cost on io_uring, when a person writes the loop by hand?
 *
 * A thread a worker (see epoll.c), each with a ring set up the cheapest way (DEFER_TASKRUN,
 * SINGLE_ISSUER, registered ring descriptor), a multishot accept, and for each connection a receive
 * into its own buffer, then a send of the same, in turn. One io_uring_enter a turn submits what the
 * last turn's completions asked for and waits for the next.
 *
 * What it does not show: anything that runtimes are for (see epoll.c). Provided buffers, registered
 * files and multishot receives are left out, because on loopback with a message at a time they were
 * no faster than this; bench/echo_pairs repeats the comparison with epoll.
 */
#include <errno.h>
#include <liburing.h>
#include <unistd.h>

#include "floor.h"

/* Each connection has one, so they should lie close together: a thousand that are 16 KiB apart cost
 * a miss in the TLB each. */
#define BUFFER_BYTES 2048

#define RING_ENTRIES 1024
#define COMPLETION_ENTRIES 8192

/* What a completion belongs to: the low bits of user_data; the descriptor stands above them. */
enum { OP_ACCEPT, OP_RECV, OP_SEND };

#define OP_BITS 2
#define OP_MASK ((1u << OP_BITS) - 1)

/* A connection: its buffer, and which part of it is to be sent yet. */
struct connection {
    char *data;
    unsigned at;
    unsigned bytes;
};

static _Thread_local struct io_uring ring;
static _Thread_local struct connection *connections;
static _Thread_local size_t connection_count;

static struct io_uring_sqe *sqe_take(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    while (sqe == NULL) {
        int n = io_uring_submit(&ring);
        if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY) {
            errx(1, "io_uring_submit: %s", strerror(-n));
        }
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void prepare_accept(int listen_fd)
{
    struct io_uring_sqe *sqe = sqe_take();
    io_uring_prep_multishot_accept(sqe, listen_fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, ((__u64)listen_fd << OP_BITS) | OP_ACCEPT);
}

static void prepare_recv(int fd)
{
    struct io_uring_sqe *sqe = sqe_take();
    io_uring_prep_recv(sqe, fd, connections[fd].data, BUFFER_BYTES, 0);
    io_uring_sqe_set_data64(sqe, ((__u64)fd << OP_BITS) | OP_RECV);
}

static void prepare_send(int fd)
{
    const struct connection *c = &connections[fd];
    struct io_uring_sqe *sqe = sqe_take();
    io_uring_prep_send(sqe, fd, c->data + c->at, c->bytes - c->at, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, ((__u64)fd << OP_BITS) | OP_SEND);
}

static void drop(int fd)
{
    free(connections[fd].data);
    connections[fd] = (struct connection){0};
    close(fd);
}

static void begin(int fd)
{
    connections =
        floor_table_reach(connections, &connection_count, (size_t)fd, sizeof *connections);
    connections[fd].data = malloc(BUFFER_BYTES);
    if (connections[fd].data == NULL) {
        drop(fd);
        return;
    }
    prepare_recv(fd);
}

static void on_accept(int listen_fd, const struct io_uring_cqe *cqe)
{
    if (cqe->res >= 0) {
        begin(cqe->res);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        prepare_accept(listen_fd);
    }
}

static void on_recv(int fd, int n)
{
    if (n <= 0) {
        drop(fd);
        return;
    }
    connections[fd].at = 0;
    connections[fd].bytes = (unsigned)n;
    prepare_send(fd);
}

static void on_send(int fd, int n)
{
    struct connection *c = &connections[fd];
    if (n < 0) {
        drop(fd);
        return;
    }
    c->at += (unsigned)n;
    if (c->at < c->bytes) {
        prepare_send(fd);
    } else {
        prepare_recv(fd);
    }
}

static void dispatch(const struct io_uring_cqe *cqe)
{
    int fd = (int)(cqe->user_data >> OP_BITS);
    switch (cqe->user_data & OP_MASK) {
    case OP_ACCEPT:
        on_accept(fd, cqe);
        break;
    case OP_RECV:
        on_recv(fd, cqe->res);
        break;
    default:
        on_send(fd, cqe->res);
        break;
    }
}

static void serve(int listen_fd)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                                              IORING_SETUP_CQSIZE,
                                     .cq_entries = COMPLETION_ENTRIES};
    int n = io_uring_queue_init_params(RING_ENTRIES, &ring, &params);
    if (n < 0) {
        errx(1, "io_uring_queue_init: %s", strerror(-n));
    }
    n = io_uring_register_ring_fd(&ring);
    if (n < 0) {
        errx(1, "io_uring_register_ring_fd: %s", strerror(-n));
    }
    prepare_accept(listen_fd);
    for (;;) {
        n = io_uring_submit_and_wait(&ring, 1);
        if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY) {
            errx(1, "io_uring_submit_and_wait: %s", strerror(-n));
        }
        struct io_uring_cqe *cqe;
        unsigned head;
        unsigned seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            dispatch(cqe);
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
    }
}

int main(int argc, char **argv)
{
    return floor_main(argc, argv, "Echo server: bare io_uring loops.", 0, serve);
}
