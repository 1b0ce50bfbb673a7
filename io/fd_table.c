/* SPDX-License-Identifier: MIT */
/* Descriptor table; see fd_table.h. */
#include "fd_table.h"

#include <stdlib.h>

struct fd_table *weft__fd_table_create(void)
{
    return calloc(1, sizeof(struct fd_table)); /* pages that are not used are not touched */
}

void weft__fd_table_destroy(struct fd_table *t)
{
    for (unsigned i = 0; i < FD_CHUNKS; i++) {
        free(atomic_load_relaxed(&t->chunk[i])); /* ORD none: nobody else is left */
    }
    free(t);
}

struct fd_entry *weft__fd_table_grow(struct fd_table *t, int fd)
{
    struct fd_entry *fresh = calloc(FD_CHUNK, sizeof *fresh);
    if (fresh == NULL) {
        return NULL;
    }
    struct fd_entry *there = NULL;
    /* ORD P4: who finds the chunk finds zeros. */
    if (!atomic_cas_acq_rel(&t->chunk[(unsigned)fd / FD_CHUNK], &there, fresh)) {
        free(fresh);
        fresh = there;
    }
    return &fresh[(unsigned)fd % FD_CHUNK];
}

void weft__fd_entry_last_left(struct fd_entry *e)
{
    struct fd_closer *closer = e->closer;
    /* ORD P2: the closer; it was read. */
    /* ORD P3: all calls are over. */
    (void)atomic_and_acq_rel(&e->word, ~FD_AWAITED);
    closer->left(closer);
}

void weft__fd_entry_await(struct fd_entry *e, struct fd_closer *closer)
{
    e->closer = closer;
    /* ORD P2: who finds AWAITED finds the closer. */
    uint64_t old = atomic_or_acq_rel(&e->word, FD_AWAITED);
    if (old < FD_ONE) {
        weft__fd_entry_last_left(e);
    }
}
