/* SPDX-License-Identifier: MIT */
/* What the epoll pollers of a runtime share; see epoll_shared.h. */
#include "epoll_shared.h"

#include <stdlib.h>

void *weft__epoll_shared_create(void)
{
    struct epoll_shared *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->fds = weft__fd_table_create();
    s->registrations = weft__registrations_create();
    if (s->fds == NULL || s->registrations == NULL) {
        free(s->fds); /* nothing is in it */
        free(s->registrations);
        free(s);
        return NULL;
    }
    return s;
}

void weft__epoll_shared_destroy(void *shared)
{
    struct epoll_shared *s = shared;
    weft__thread_calls_fini(&s->calls);
    weft__fd_table_destroy(s->fds);
    weft__registrations_destroy(s->registrations);
    free(s);
}
