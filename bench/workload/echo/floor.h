/* SPDX-License-Identifier: MIT */
/*
 * What both floors of the echo workload share: their one option, the listening socket, and the
 * tables that find a connection by its descriptor.
 */
#ifndef WEFT_BENCH_FLOOR_H
#define WEFT_BENCH_FLOOR_H

#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Read --port from the command line; `what` describes the program for --help. */
static inline unsigned short floor_options(int argc, char **argv, const char *what)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'}, {0}};
    long port = 0;
    char *end = NULL;
    int key;
    while ((key = getopt_long(argc, argv, "p:h", known, NULL)) != -1) {
        switch (key) {
        case 'p':
            port = strtol(optarg, &end, 10);
            if (end == optarg || *end != '\0' || port < 0 || port > 65535) {
                errx(64, "--port takes a number from 0 to 65535, not '%s'", optarg);
            }
            break;
        case 'h':
            printf(
                "usage: %s [--port PORT]\n%s\n--port PORT  listen on 127.0.0.1:PORT (0: any free "
                "one, which is printed)\n",
                argv[0], what);
            exit(0);
        default:
            exit(64);
        }
    }
    if (optind < argc) {
        errx(64, "'%s' is not understood", argv[optind]);
    }
    return (unsigned short)port;
}

/* Listen on 127.0.0.1, say where, and raise the descriptor limit. Ends the program on failure. */
static inline int floor_listen(unsigned short port, int type_flags)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    socklen_t bytes = sizeof address;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type_flags, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        /* Accepted sockets inherit it. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        err(1, "cannot listen on 127.0.0.1:%u", port);
    }
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return fd;
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
