/* SPDX-License-Identifier: MIT */
/* Ration; see ration.h. */
#include "ration.h"

/* Twice what a wake costs the two sides together, and the look-out before the sleep. */
#define BUSY_NS 20000

/* From what a batch of short tasks takes to what is hardly noticed beside a slice. */
#define PAUSE_MIN_NS 100000
#define PAUSE_MAX_NS 1000000

/* What it takes to move an item: some lines of memory there, and its outcome's back. */
#define MOVE_NS 500

int64_t weft__ration_judge(struct ration *r, int64_t busy_ns)
{
    if (busy_ns >= BUSY_NS) {
        /* ORD none: a hint, here and below; of two that judge at once either may be right. */
        atomic_store_relaxed(&r->pause_ns, 0);
        return 0;
    }
    int64_t pause_ns = atomic_load_relaxed(&r->pause_ns) * 2; /* ORD none: as above */
    pause_ns = pause_ns < PAUSE_MIN_NS ? PAUSE_MIN_NS : pause_ns;
    pause_ns = pause_ns > PAUSE_MAX_NS ? PAUSE_MAX_NS : pause_ns;
    atomic_store_relaxed(&r->pause_ns, pause_ns); /* ORD none: as above */
    (void)atomic_add_seq_cst(&r->pausing, 1);     /* ORD P1: as its counterpart */
    return pause_ns;
}

bool weft__ration_is_in_vain(uint64_t stolen, int64_t busy_ns)
{
    return busy_ns < (int64_t)stolen * MOVE_NS;
}

void weft__ration_resume(struct ration *r)
{
    (void)atomic_sub_seq_cst(&r->pausing, 1); /* ORD P1: before the look at the queues */
}
