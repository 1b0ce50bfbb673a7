/* SPDX-License-Identifier: MIT */
/*
 * Datagrams: endpoints that send and receive messages, each of them whole.
 *
 *     struct weft_udp_options here = {.host = "127.0.0.1", .service = "5353"};
 *     weft_udp *u;
 *     int err = weft_udp_open(&here, &u);
 *     n = weft_udp_receive_from(u, buf, sizeof buf, (struct sockaddr *)&from, &bytes);
 *     n = weft_udp_send_to(u, buf, (size_t)n, (struct sockaddr *)&from, bytes);
 *     err = weft_udp_close(u);
 *
 * Any number of tasks may use an endpoint at once; each datagram goes to one of them. Errors that
 * routers and peers report concern a datagram that was sent before: a call that returns one has
 * done nothing else, and the endpoint lives on.
 *
 * For all calls, unless they say otherwise:
 *   Context   task; elsewhere -EPERM
 *   Blocks    task
 *   Returns   besides what they say -ECANCELED or -ETIMEDOUT, as in io.h; -ECANCELED also when the
 *             endpoint is closed meanwhile; -ENOMEM. Nothing was sent or taken then.
 *   Buffers   stay the caller's, and must not change before the call returns
 */
#ifndef WEFT_UDP_H
#define WEFT_UDP_H

#include <sys/socket.h>

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_udp weft_udp;

/* How to open; all zero: any free port of all IPv4 addresses, connected to nobody. */
struct weft_udp_options {
    const char *host;         /* the own address; NULL: all of them */
    const char *service;      /* the own port, or its name; NULL: any free one */
    const char *peer_host;    /* whom to connect to; NULL, and no service: nobody */
    const char *peer_service;
    int family;               /* AF_INET, AF_INET6; 0: as the hosts say, or AF_INET */
    bool reuse_address;       /* SO_REUSEADDR: several endpoints of one multicast port */
    bool reuse_port;          /* SO_REUSEPORT: the kernel spreads datagrams over several */
    bool broadcast;           /* SO_BROADCAST: it may be sent to broadcast addresses */
    bool errors;              /* IP_RECVERR: have errors reported also when not connected */
    int receive_bytes;        /* SO_RCVBUF; 0: the system's default */
    int send_bytes;           /* SO_SNDBUF; the same */
    uint64_t reserved[8];     /* zero */
};

/*
 * Open an endpoint.
 * options: NULL: none
 * Returns 0 and the endpoint, which is the caller's to close; the error of weft_resolve; -EINVAL:
 * options, or hosts of different families; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE,
 * ...; then nothing is left open.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_udp_open(const struct weft_udp_options *options,
                                              weft_udp **udp);

/*
 * Make an endpoint of a datagram socket, of whatever family.
 * Context: any thread     Blocks: nothing
 * fd: the endpoint's, if 0 is returned
 * Returns 0, -EBADF, -ENOTSOCK, -EPROTOTYPE (no datagram socket), -ENOMEM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_udp_open_fd(int fd, weft_udp **udp);

/*
 * Close and free it, always, also in a cancelled task. Calls that are in flight end with -ECANCELED
 * before it returns; none may begin any more. NULL does nothing.
 * Returns 0, or close(2)'s error.
 */
WEFT_PUBLIC int weft_udp_close(weft_udp *udp);

/*
 * Send a datagram to the peer that the endpoint is connected to. Waits while the socket's buffer is
 * full.
 * Returns n; -EMSGSIZE: too long, nothing was sent; -ECONNREFUSED, -EHOSTUNREACH, ...: reported of
 * an earlier one, this one was not sent; -EDESTADDRREQ: not connected.
 */
WEFT_PUBLIC ssize_t weft_udp_send(weft_udp *udp, const void *data, size_t n);

/*
 * Send a datagram to an address.
 * address, bytes: where to, and how long that is; NULL: as weft_udp_send
 * Returns as weft_udp_send; -EACCES: a broadcast address, without the option; -EAFNOSUPPORT,
 * -EINVAL, ...: no address of the endpoint's family. Nothing was sent.
 */
WEFT_PUBLIC ssize_t weft_udp_send_to(weft_udp *udp, const void *data, size_t n,
                                     const struct sockaddr *address, socklen_t bytes);

/*
 * Receive the next datagram; may be empty.
 * Returns its length; -EMSGSIZE: it was longer than n: the buffer has its first n bytes, the rest
 * is lost; -ECONNREFUSED, ...: reported of one that was sent; -EINVAL: no buffer, and nothing was
 * taken.
 */
WEFT_PUBLIC ssize_t weft_udp_receive(weft_udp *udp, void *buf, size_t n);

/*
 * Receive the next datagram, and who sent it.
 * address, bytes: get the sender's, as recvfrom(2); may be NULL, then none is told
 * Returns as weft_udp_receive; on errors but -EMSGSIZE both are as they were.
 */
WEFT_PUBLIC ssize_t weft_udp_receive_from(weft_udp *udp, void *buf, size_t n,
                                          struct sockaddr *address, socklen_t *bytes);

/* One of several. Zero what is not used. */
struct weft_datagram {
    void *data;               /* the caller's; not changed by sending */
    size_t bytes;             /* to send; or room for what is received */
    size_t length;            /* of what was received, also where it is more than `bytes` */
    bool is_cut;              /* it is: the rest is lost */
    socklen_t address_bytes;  /* of the address; to send: 0: to the connected peer */
    struct sockaddr_storage address; /* of the receiver, or the sender */
    uint64_t reserved[2];     /* zero */
};

/* The most that one call moves. */
#define WEFT_DATAGRAMS_MAX 64

/*
 * Receive what is there, at least one, with one system call for up to WEFT_DATAGRAMS_MAX.
 * Returns how many, in the order in which they came; 0 for count == 0; errors as
 * weft_udp_receive, but for -EMSGSIZE: see is_cut.
 */
WEFT_PUBLIC int weft_udp_receive_many(weft_udp *udp, struct weft_datagram *datagrams,
                                      unsigned count);

/*
 * Send several, in order.
 * Returns how many were sent; fewer than count when the next one failed: a call for the rest tells
 * why. If the first one fails: its error, as weft_udp_send. -EINVAL: more than INT_MAX.
 */
WEFT_PUBLIC int weft_udp_send_many(weft_udp *udp, const struct weft_datagram *datagrams,
                                   unsigned count);

/* What was reported of a datagram; see the option `errors`. */
struct weft_udp_error {
    int error;                        /* -ECONNREFUSED, -EHOSTUNREACH, -EMSGSIZE, ... */
    uint8_t origin;                   /* SO_EE_ORIGIN_ICMP, ..._ICMP6, ..._LOCAL */
    uint8_t type;                     /* of the ICMP message */
    uint8_t code;
    uint32_t info;                    /* with -EMSGSIZE: the size that would pass */
    struct sockaddr_storage to;       /* where the datagram was sent to */
    struct sockaddr_storage offender; /* who reported it; ss_family 0: not known */
};

/*
 * The oldest of the reports that calls have returned errors for; the last 16 are kept.
 * Context: any thread     Blocks: nothing
 * Returns 0; -EAGAIN: there is none.
 */
WEFT_PUBLIC int weft_udp_error(weft_udp *udp, struct weft_udp_error *error);

/*
 * Multicast: receive what is sent to a group, until weft_udp_leave or the close.
 * Context: any thread     Blocks: nothing
 * group: of the endpoint's family     interface: its index; 0: as the routes say
 * Returns 0; -EINVAL (another family, no group's address), -EADDRINUSE (joined already), -ENODEV,
 * ...: nothing has changed.
 */
WEFT_PUBLIC int weft_udp_join(weft_udp *udp, const struct sockaddr *group, unsigned interface);

/*
 * Receive no more of a group.
 * Context: any thread     Blocks: nothing
 * group, interface: as they were joined
 * Returns 0; -EADDRNOTAVAIL (not joined), or as weft_udp_join: nothing has changed.
 */
WEFT_PUBLIC int weft_udp_leave(weft_udp *udp, const struct sockaddr *group, unsigned interface);

/*
 * Multicast that is sent: through which interface.
 * Context: any thread     Blocks: nothing
 * interface: its index; 0: as the routes say, which is the default
 * Returns 0; -ENODEV, -EADDRNOTAVAIL (there is none), ...: nothing has changed.
 */
WEFT_PUBLIC int weft_udp_set_multicast_interface(weft_udp *udp, unsigned interface);

/*
 * Multicast that is sent: how far.
 * Context: any thread     Blocks: nothing
 * hops: 0, not beyond this host, to 255; 1 by default: not beyond the first router
 * Returns 0, -EINVAL: above 255; nothing has changed.
 */
WEFT_PUBLIC int weft_udp_set_multicast_hops(weft_udp *udp, unsigned hops);

/*
 * Multicast that is sent: whether this host's own members get it. They do by default.
 * Context: any thread     Blocks: nothing
 * Returns 0, or setsockopt(2)'s error.
 */
WEFT_PUBLIC int weft_udp_set_multicast_loop(weft_udp *udp, bool is_on);

/*
 * The own address, as getsockname(2).
 * Context: any thread     Blocks: nothing
 * bytes: the room that address has; then what it takes
 * Returns 0, or getsockname's error.
 */
WEFT_PUBLIC int weft_udp_local(weft_udp *udp, struct sockaddr *address, socklen_t *bytes);

/*
 * The peer's address, as getpeername(2).
 * Context: any thread     Blocks: nothing
 * Returns 0, -ENOTCONN: it is connected to nobody.
 */
WEFT_PUBLIC int weft_udp_peer(weft_udp *udp, struct sockaddr *address, socklen_t *bytes);

/* The own port, 0 for sockets without. Context: any thread. */
WEFT_PUBLIC int weft_udp_port(weft_udp *udp);

/* The descriptor, which stays the endpoint's. Context: any thread. */
WEFT_PUBLIC int weft_udp_fd(const weft_udp *udp);

WEFT_END_DECLS

#endif
