/* SPDX-License-Identifier: MIT */
/* What the epoll pollers of a runtime share. */
#ifndef WEFT_EPOLL_SHARED_H
#define WEFT_EPOLL_SHARED_H

#include "registration.h"
#include "thread_call.h"

struct epoll_shared {
    struct fd_table *fds;
    struct registrations *registrations;
    struct thread_calls calls;
};

/* As poller_ops has them. */
void *weft__epoll_shared_create(void);
void weft__epoll_shared_destroy(void *shared);

#endif
