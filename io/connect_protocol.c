/* SPDX-License-Identifier: MIT */
/* Connecting by name, for a protocol; the contract is in weft/protocol.h. */
#include <errno.h>

#include <weft/io.h>
#include <weft/protocol.h>

#include "connect.h"
#include "transport.h"

int weft_connect_protocol(const char *host, const char *service,
                          const struct weft_connect_options *options,
                          const struct weft_protocol *protocol, void *arg,
                          weft_transport **transport)
{
    static const struct weft_connect_options none;
    bool has_more = options != NULL && options->tls != NULL;
    if (!weft__protocol_is_complete(protocol) || has_more) {
        return -EINVAL;
    }
    int fd = weft__connect(host, service, options != NULL ? options : &none);
    if (fd < 0) {
        return fd;
    }
    int err = weft_transport_open(fd, protocol, arg, transport);
    if (err < 0) {
        (void)weft_close(fd);
    }
    return err;
}
