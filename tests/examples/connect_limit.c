/* SPDX-License-Identifier: MIT */
/*
 * Connecting with a limit: a host that never answers would be waited for for two minutes. The limit
 * is silent, and leaves no socket behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/weft.h>

static void *open_connection(void *service)
{
    weft_stream *s;
    int err = weft_open_connection("127.0.0.1", service, NULL, &s);
    return err < 0 ? weft_fail(err) : s;
}

/* 0 and the stream, or -ETIMEDOUT, or why there is no connection. */
static int connect_within(const char *service, int64_t for_ns, weft_stream **s)
{
    void *result;
    weft_task *t = weft_spawn(open_connection, (void *)(uintptr_t)service);
    int err = weft_wait_for(t, for_ns, &result);
    weft_put(t);
    *s = err == 0 ? result : NULL;
    return err;
}

/* A black hole: a socket that listens, accepts nobody, and has room for one to wait. */
static int hole_open(char service[8])
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, bytes) < 0 || listen(fd, 0) < 0 ||
        getsockname(fd, (struct sockaddr *)&any, &bytes) < 0) {
        return -1;
    }
    (void)snprintf(service, 8, "%d", ntohs(any.sin_port));
    return fd;
}

/* The number that the next descriptor gets: the same if all others were closed. */
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)close(fd);
    return fd;
}

static void *main_task(void *arg)
{
    char service[8];
    weft_stream *first;
    weft_stream *second;
    int hole = hole_open(service);
    int err = connect_within(service, 10 * WEFT_SECOND, &first);
    printf("the first one: %s\n", err == 0 ? "connected" : "failed");
    int next = next_descriptor();
    err = connect_within(service, 200 * WEFT_MS, &second);
    if (err == 0) {
        printf("the second one: connected\n");
        (void)weft_stream_close(second);
    } else if (err == -ETIMEDOUT) {
        /* pass */
    }
    printf("nothing is left open: %s\n", next == next_descriptor() ? "yes" : "no");

    (void)weft_stream_close(first);
    (void)close(hole);
    return arg;
}

int main(void)
{
    return weft_run(main_task, NULL, NULL) < 0;
}
