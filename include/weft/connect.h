/* SPDX-License-Identifier: MIT */
/*
 * Connecting by name.
 *
 *     weft_stream *s;
 *     int err = weft_open_connection("example.org", "https", NULL, &s);
 *
 * All addresses of the host are tried, those of IPv6 and IPv4 in turn, each a quarter of a second
 * after the one before or as soon as that has failed; the first that answers is taken, the others
 * are given up ("happy eyeballs", RFC 8305).
 */
#ifndef WEFT_CONNECT_H
#define WEFT_CONNECT_H

#include <weft/stream.h>

WEFT_BEGIN_DECLS

#define WEFT_CONNECT_DELAY_DEFAULT (250 * WEFT_MS)

/* How to connect; all zero is the default. */
struct weft_connect_options {
    const char *local_host;    /* to connect from: an address, or a name; NULL: any */
    const char *local_service; /* and its port; NULL: any. Needs local_host. */
    int family;                /* AF_INET, AF_INET6; 0: both */
    int64_t delay_ns;          /* between two addresses; 0: 250 ms; WEFT_FOREVER: the next when the
                                  one before has failed */
    int64_t for_ns;            /* all of it, look-up and TLS included; 0: no limit */
    struct weft_stream_options stream;
    struct weft_tls_config *tls; /* NULL: plain; else see tls.h */
    const char *tls_host;        /* whom the certificate has to be for; NULL: the host */
    uint64_t reserved[8];        /* zero */
};

/*
 * Look up a host, connect, make a stream of the connection. Small writes are not held back by the
 * kernel (TCP_NODELAY).
 * host: a name or a number; "unix:/path", "unix:@name" for a Unix socket
 * service: a port, or the name of one; NULL for a Unix socket
 * options: may be NULL
 * Context: task     Blocks: task
 * Returns 0 and the stream, which is the caller's to close; or, with nothing left open and *stream
 * untouched, the error of weft_resolve; else, when no address could be connected to, that of the
 * first; -ETIMEDOUT (for_ns, or a scope), -ECANCELED; -EINVAL: an option is out of range, or
 * contradicts another; -ENOMEM, -EMFILE, -EPERM; with TLS what weft_tls_start returns, of which
 * weft_tls_error_string says more.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_open_connection(const char *host, const char *service,
                                                     const struct weft_connect_options *options,
                                                     weft_stream **stream);

WEFT_END_DECLS

#endif
