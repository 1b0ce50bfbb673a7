/* SPDX-License-Identifier: MIT */
/* Datagram endpoints: opening; see udp.h. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/resolve.h>

#include "fiber.h"
#include "op.h"
#include "udp.h"

/* The data that a report's cmsg has in linux/in.h and not in the C library's header. */
#ifndef IPV6_RECVERR
#define IPV6_RECVERR 25
#endif

/* Find the addresses of one end. 0 or -errno. */
static int lookup(struct addrinfo **found, const char *host, const char *service, int family,
                  int flags)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM, .ai_flags = flags};
    return weft_resolve(host, service == NULL ? "0" : service, &hints, found);
}

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* 0 or -errno. */
static int set_options(int fd, int family, const struct weft_udp_options *o)
{
    int err = 0;
    if (o->reuse_address) {
        err = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (err == 0 && o->reuse_port) {
        err = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (err == 0 && o->broadcast) {
        err = set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
    }
    if (err == 0 && o->receive_bytes > 0) {
        err = set_int(fd, SOL_SOCKET, SO_RCVBUF, o->receive_bytes);
    }
    if (err == 0 && o->send_bytes > 0) {
        err = set_int(fd, SOL_SOCKET, SO_SNDBUF, o->send_bytes);
    }
    if (err == 0 && o->errors) {
        err = family == AF_INET6 ? set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1)
                                 : set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
    }
    return err;
}

static weft_udp *udp_create(int fd, bool has_errors)
{
    weft_udp *u = calloc(1, sizeof *u);
    if (u != NULL) {
        u->fd = fd;
        u->has_errors = has_errors;
        pthread_mutex_init(&u->lock, NULL);
    }
    return u;
}

/* Make the socket; own, peer: NULL: none. The descriptor, or -errno. Apart, as errno is the
 * thread's. */
static WEFT_NOINLINE int open_socket(const struct weft_udp_options *o, const struct addrinfo *own,
                                     const struct addrinfo *peer)
{
    int family = own != NULL ? own->ai_family : peer != NULL ? peer->ai_family : AF_INET;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int err = set_options(fd, family, o);
    if (err == 0 && own != NULL && bind(fd, own->ai_addr, own->ai_addrlen) < 0) {
        err = -errno;
    }
    if (err == 0 && peer != NULL && connect(fd, peer->ai_addr, peer->ai_addrlen) < 0) {
        err = -errno;
    }
    if (err < 0) {
        (void)close(fd);
        return err;
    }
    return fd;
}

static bool options_are_valid(const struct weft_udp_options *o)
{
    bool is_valid = o->family == 0 || o->family == AF_INET || o->family == AF_INET6;
    for (size_t i = 0; i < sizeof o->reserved / sizeof o->reserved[0]; i++) {
        is_valid = is_valid && o->reserved[i] == 0;
    }
    return is_valid && o->receive_bytes >= 0 && o->send_bytes >= 0;
}

/* Look up both ends, open. The descriptor, or -errno. */
static int udp_open(const struct weft_udp_options *o)
{
    struct addrinfo *own = NULL;
    struct addrinfo *peer = NULL;
    bool has_peer = o->peer_host != NULL || o->peer_service != NULL;
    bool has_own = o->host != NULL || o->service != NULL || !has_peer;
    int family = o->family;
    int err = 0;
    if (has_peer) {
        err = lookup(&peer, o->peer_host, o->peer_service, family, 0);
        family = err == 0 ? peer->ai_family : family;
    }
    if (err == 0 && has_own) {
        family = family == 0 && o->host == NULL ? AF_INET : family;
        err = lookup(&own, o->host, o->service, family, AI_PASSIVE);
        err = err == -EADDRNOTAVAIL ? -EINVAL : err; /* a number of another family */
    }
    int fd = err < 0 ? err : open_socket(o, own, peer);
    weft_resolve_free(own);
    weft_resolve_free(peer);
    return fd;
}

int weft_udp_open(const struct weft_udp_options *options, weft_udp **udp)
{
    static const struct weft_udp_options none;
    const struct weft_udp_options *o = options != NULL ? options : &none;
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    int err = op_spent(weft__interrupted(f));
    err = err < 0 ? err : options_are_valid(o) ? udp_open(o) : -EINVAL;
    if (err < 0) {
        return op_spent(err);
    }
    weft_udp *u = udp_create(err, o->errors);
    if (u == NULL) {
        (void)close(err);
        return -ENOMEM;
    }
    *udp = u;
    return 0;
}

/* 0, or what is wrong with it. Apart, as errno is the thread's. */
static WEFT_NOINLINE int look_at(int fd, bool *has_errors)
{
    int type = 0;
    int on4 = 0;
    int on6 = 0;
    socklen_t bytes = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) < 0) {
        return -errno;
    }
    bytes = sizeof on4;
    (void)getsockopt(fd, IPPROTO_IP, IP_RECVERR, &on4, &bytes);
    bytes = sizeof on6;
    (void)getsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on6, &bytes);
    *has_errors = on4 != 0 || on6 != 0;
    return type == SOCK_DGRAM ? 0 : -EPROTOTYPE;
}

int weft_udp_open_fd(int fd, weft_udp **udp)
{
    bool has_errors = false;
    int err = look_at(fd, &has_errors);
    if (err < 0) {
        return err;
    }
    weft_udp *u = udp_create(fd, has_errors);
    if (u == NULL) {
        return -ENOMEM;
    }
    *udp = u;
    return 0;
}
