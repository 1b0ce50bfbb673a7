/* SPDX-License-Identifier: MIT */
/* What the io_uring pollers of a runtime share; see uring_shared.h. */
#include "uring_shared.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "probe.h"

void *weft__uring_shared_create(void)
{
    struct uring_shared *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->fds = weft__fd_table_create();
    if (s->fds == NULL) {
        free(s);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void weft__uring_shared_destroy(void *shared)
{
    struct uring_shared *s = shared;
    pthread_mutex_destroy(&s->lock);
    weft__fd_table_destroy(s->fds);
    free(s);
}

static int make_ring(struct ring *r, const struct ring_options *options, char *why,
                     size_t why_bytes)
{
    int err = weft__ring_init(r, options, why, why_bytes);
    return err == -EINVAL ? -ENOSYS : err; /* an old kernel; -EINVAL is the caller's fault */
}

/* Lock held. */
static void try_first(struct uring_shared *s, struct ring *r, const struct ring_options *options)
{
    s->is_tried = true;
    s->error = make_ring(r, options, s->why, sizeof s->why);
    if (s->error < 0) {
        return;
    }
    s->error = weft__probe(r, s->why, sizeof s->why);
    s->found = r->features;
    if (s->error < 0) {
        weft__ring_fini(r);
    }
}

int weft__uring_shared_ring(struct uring_shared *s, struct ring *r,
                            const struct ring_options *options, char *why, size_t why_bytes)
{
    pthread_mutex_lock(&s->lock);
    bool is_first = !s->is_tried;
    if (is_first) {
        try_first(s, r, options);
    }
    pthread_mutex_unlock(&s->lock);
    if (s->error < 0) {
        (void)snprintf(why, why_bytes, "%s", s->why);
        return s->error;
    }
    if (is_first) {
        return 0;
    }
    struct ring_options again = *options;
    again.probed = &s->found;
    return make_ring(r, &again, why, why_bytes);
}
