/* SPDX-License-Identifier: MIT */
/*
 * Names: looking up the addresses of a host, and the name of an address, as getaddrinfo and
 * getnameinfo do, on threads beside the workers.
 *
 *     struct addrinfo *found;
 *     int err = weft_resolve("example.org", "https", NULL, &found);
 *     if (err < 0) { puts(weft_resolve_text(err)); } else { ...; weft_resolve_free(found); }
 *
 * A look-up is the C library's, with all that the system is configured for: /etc/hosts, DNS, mDNS,
 * caches. What is numeric is converted at once, without a thread. For the rest a runtime has
 * threads of its own, 8 at the most, whatever the number of look-ups: the next ones wait in line,
 * and name servers that do not answer hold up no other blocking work.
 *
 * Cancel and deadlines end the wait at once. A look-up that runs then is left to itself, also when
 * the runtime is closed; what it finds is freed.
 */
#ifndef WEFT_RESOLVE_H
#define WEFT_RESOLVE_H

#include <netdb.h>
#include <sys/socket.h>

#include <weft/base.h>

WEFT_BEGIN_DECLS

struct addrinfo; /* <netdb.h>, which hides it in strict ISO C */

/*
 * Look up the addresses of a host and a service.
 * host, service: as getaddrinfo(3): names, numbers, NULL for one of them. Copied.
 * hints: as getaddrinfo(3); NULL: any family and kind. Copied.
 * result: gets the list, which is the caller's; NULL unless 0 is returned
 * Context: task; elsewhere -EPERM     Blocks: task
 * Returns 0, or the error of getaddrinfo as a number of errno:
 *     -ENOENT           EAI_NONAME      there is no such host or service
 *     -ENODATA          EAI_NODATA      the host has no addresses
 *     -EADDRNOTAVAIL    EAI_ADDRFAMILY  it has none of that family
 *     -EAGAIN           EAI_AGAIN       no answer for now; also: no thread can be started
 *     -EREMOTEIO        EAI_FAIL        the name server says that it cannot tell
 *     -EPROTONOSUPPORT  EAI_SERVICE     there is no such service for that kind of socket
 *     -EAFNOSUPPORT     EAI_FAMILY      -ESOCKTNOSUPPORT  EAI_SOCKTYPE
 *     -EINVAL           EAI_BADFLAGS    -ENOMEM           EAI_MEMORY
 * EAI_SYSTEM is the error number behind it. -ECANCELED, -ETIMEDOUT: as io.h.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_resolve(const char *host, const char *service,
                                             const struct addrinfo *hints,
                                             struct addrinfo **result);

/* Free a list of weft_resolve; so does freeaddrinfo(3). NULL: nothing. Context: any thread. */
WEFT_PUBLIC void weft_resolve_free(struct addrinfo *list);

/*
 * Look up the name of an address, and of its service.
 * host, service: buffers for the names, NULL with 0 bytes: not wanted. Untouched on an error.
 * flags: NI_..., as getnameinfo(3)
 * Context: task; elsewhere -EPERM     Blocks: task
 * Returns 0, or an error as weft_resolve; -EOVERFLOW: a buffer is too small (EAI_OVERFLOW).
 */
WEFT_PUBLIC int weft_resolve_name(const struct sockaddr *address, socklen_t bytes, char *host,
                                  size_t host_bytes, char *service, size_t service_bytes,
                                  int flags);

/* What an error of these calls means, for people: gai_strerror(3)'s text, else the error number's.
 * A constant string. Context: any thread. */
WEFT_PUBLIC const char *weft_resolve_text(int error);

WEFT_END_DECLS

#endif
