/* SPDX-License-Identifier: MIT */
/*
 * Question: what do the neighbours of a stalled request feel in Weft?
 *
 * A task a connection, written as if it were alone: receive a message, work, send the reply. A
 * request that burns CPU burns it in its task; nothing tells the runtime beforehand.
 *
 * With --pin as the last argument each worker has a CPU of its own, as on a machine that is the
 * server's alone. Otherwise the kernel may leave both on one: a worker that could help then waits
 * for the processor behind the one that burns.
 *
 * What it does not show: handing work that is known to be long to threads that may block.
 */
#include <errno.h>
#include <string.h>

#include <weft/weft.h>

#include "stall.h"

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct stall_message m;
    while (weft_recv(fd, &m, sizeof m, MSG_WAITALL) == (ssize_t)sizeof m) {
        stall_answer(&m);
        if (weft_send(fd, &m, sizeof m, MSG_WAITALL) != (ssize_t)sizeof m) {
            break;
        }
    }
    (void)weft_close(fd);
    return NULL;
}

static void *accept_all(void *arg)
{
    int listen_fd = *(const int *)arg;
    for (;;) {
        int fd = weft_accept(listen_fd, NULL, NULL, 0);
        weft_task *task = fd >= 0 ? weft_spawn(serve, (void *)(intptr_t)fd) : NULL;
        if (task == NULL) {
            return weft_fail(fd < 0 ? fd : -ENOMEM);
        }
        weft_put(task); /* nobody awaits it */
    }
}

int main(int argc, char **argv)
{
    bool is_pinned = argc > 1 && strcmp(argv[argc - 1], "--pin") == 0;
    argc -= is_pinned;
    struct floor_options o = floor_options(argc, argv, "Server that may stall: Weft.");
    floor_raise_descriptor_limit();
    int listen_fd = floor_listen(&o.port, false, 0);
    struct weft_options runtime = {.workers = o.workers, .pin_workers = is_pinned};
    printf("listening on 127.0.0.1:%u\n", o.port);
    fflush(stdout);
    int error = weft_run_with(&runtime, accept_all, &listen_fd, NULL);
    errx(1, "weft_run_with: %s", strerror(-error));
}
