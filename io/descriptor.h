/* SPDX-License-Identifier: MIT */
/* Telling the backend that a descriptor's number is about to be, or has become, another file's. */
#ifndef WEFT_DESCRIPTOR_H
#define WEFT_DESCRIPTOR_H

#include "op.h"

/* A descriptor that no call is in is about to be closed. Context: worker. */
static inline void op_closing(int fd)
{
    struct poller *p = weft__poller_current();
    const struct op_backend *backend = ((struct io_poller *)(void *)p)->backend;
    if (backend->closing != NULL) {
        backend->closing(p, fd);
    }
}

/* A call that was no operation has opened a descriptor. Context: worker. */
static inline void op_opened(int fd)
{
    struct poller *p = weft__poller_current();
    const struct op_backend *backend = ((struct io_poller *)(void *)p)->backend;
    if (backend->opened != NULL) {
        backend->opened(p, fd);
    }
}

#endif
