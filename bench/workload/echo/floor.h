/* SPDX-License-Identifier: MIT */
/*
 * What the servers in C share: their options, the listening sockets, a thread a worker, and the
 * tables that find a connection by its descriptor.
 */
#ifndef WEFT_BENCH_FLOOR_H
#define WEFT_BENCH_FLOOR_H

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* More would be a mistake: a worker is meant to have a core. */
#define FLOOR_WORKERS_MAX 256

/* What the command line asked for. */
struct floor_options {
    unsigned short port;
    unsigned workers;
};

static inline long floor_number(const char *option, const char *text, long min, long max)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < min || n > max) {
        errx(64, "%s takes a number from %ld to %ld, not '%s'", option, min, max, text);
    }
    return n;
}

/* Read the command line; `what` describes the program for --help. */
static inline struct floor_options floor_options(int argc, char **argv, const char *what)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"workers", required_argument, NULL, 'w'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct floor_options o = {.workers = 1};
    int key;
    while ((key = getopt_long(argc, argv, "p:w:h", known, NULL)) != -1) {
        switch (key) {
        case 'p':
            o.port = (unsigned short)floor_number("--port", optarg, 0, 65535);
            break;
        case 'w':
            o.workers = (unsigned)floor_number("--workers", optarg, 1, FLOOR_WORKERS_MAX);
            break;
        case 'h':
            printf("usage: %s [--port PORT] [--workers N]\n%s\n"
                   "--port PORT  listen on 127.0.0.1:PORT (0: any free one, which is printed)\n"
                   "--workers N  so many threads, each with its own loop and socket (1)\n",
                   argv[0], what);
            exit(0);
        default:
            exit(64);
        }
    }
    if (optind < argc) {
        errx(64, "'%s' is not understood", argv[optind]);
    }
    return o;
}

/*
 * Listen on 127.0.0.1:*port; 0 becomes the port that was found. A shared port may have several
 * sockets, among which the kernel spreads connections by a hash. Ends the program on failure.
 */
static inline int floor_listen(unsigned short *port, bool is_shared, int type_flags)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t bytes = sizeof address;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type_flags, 0);
    if (fd < 0 ||
        setsockopt(fd, SOL_SOCKET, is_shared ? SO_REUSEPORT : SO_REUSEADDR, &one, sizeof one) < 0 ||
        /* Accepted sockets inherit it. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        err(1, "cannot listen on 127.0.0.1:%u", *port);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static inline void floor_raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A worker: serves what comes to its listening socket, for ever. */
typedef void (*floor_serve_fn)(int listen_fd);

/* What a thread is started with. */
struct floor_worker {
    floor_serve_fn serve;
    int listen_fd;
};

static inline void *floor_thread(void *arg)
{
    const struct floor_worker *w = arg;
    w->serve(w->listen_fd);
    return NULL;
}

/* The whole of main: listen, say where, and serve with as many threads as are asked for. */
static inline int floor_main(int argc, char **argv, const char *what, int type_flags,
                             floor_serve_fn serve)
{
    static struct floor_worker workers[FLOOR_WORKERS_MAX];
    struct floor_options o = floor_options(argc, argv, what);
    floor_raise_descriptor_limit();
    /* All of them before the first is told about: the port is complete when it is printed. */
    for (unsigned i = 0; i < o.workers; i++) {
        workers[i].serve = serve;
        workers[i].listen_fd = floor_listen(&o.port, o.workers > 1, type_flags);
    }
    printf("listening on 127.0.0.1:%u\n", o.port);
    fflush(stdout);
    for (unsigned i = 1; i < o.workers; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, floor_thread, &workers[i]);
        if (error != 0) {
            errx(1, "pthread_create: %s", strerror(error));
        }
    }
    (void)floor_thread(&workers[0]);
    return 1; /* nobody comes back from serving */
}

/* An array that grows so that it has an entry for index; new entries are zero. */
static inline void *floor_table_reach(void *table, size_t *count, size_t index, size_t entry_bytes)
{
    if (index < *count) {
        return table;
    }
    size_t more = *count > 0 ? *count : 64;
    while (more <= index) {
        more *= 2;
    }
    table = realloc(table, more * entry_bytes);
    if (table == NULL) {
        err(1, "no memory for %zu connections", more);
    }
    memset((char *)table + *count * entry_bytes, 0, (more - *count) * entry_bytes);
    *count = more;
    return table;
}

#endif
