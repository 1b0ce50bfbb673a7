/* SPDX-License-Identifier: MIT */
/* Addresses of stream sockets: found by host and service, or made of a path. */
#ifndef WEFT_ADDRESS_H
#define WEFT_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t bytes;
};

/* Zeroed is an empty one. */
struct address_list {
    struct address *all;
    size_t count;
};

/*
 * Add the addresses of a host. What is a number already needs no look-up, and no wait.
 * host: NULL: all addresses if is_passive, else the loopback ones. service: NULL: port 0
 * family: AF_INET, AF_INET6, 0: both. is_passive: to listen at, not to connect to
 * Context: task     Blocks: task
 * Returns 0, or an error as weft_resolve, or -ENOMEM; what was added before stays.
 */
int weft__address_find(struct address_list *list, const char *host, const char *service,
                       int family, bool is_passive);

/* Put them in the order in which they are to be tried: their families in turn, beginning with that
 * of the first, and each family's in the order in which they are. */
void weft__address_interleave(struct address_list *list);

void weft__address_list_fini(struct address_list *list);

/* Whether some address is in the list twice. */
bool weft__address_has_twice(const struct address_list *list);

/* The address of a Unix socket; "@name" is an abstract one. 0, -EINVAL (empty), -ENAMETOOLONG. */
int weft__address_unix(struct address *a, const char *path);

/* The port of an IP address, 0 for others. */
int weft__address_port(const struct sockaddr *a);
void weft__address_set_port(struct sockaddr *a, int port);

#endif
