/* SPDX-License-Identifier: MIT */
/* Ration; see ration.h. */
#include "ration.h"

/* Twice what a wake costs the two sides together, and the look-out before the sleep. */
#define BUSY_NS 20000

/* From what a batch of short tasks takes to what is hardly noticed beside a slice; and of lone
 * pauses, to what a slice is. With half as much a wake-up each millisecond costs a tenth more. */
#define PAUSE_MIN_NS 100000
#define PAUSE_MAX_NS 1000000
#define PAUSE_LONE_MAX_NS 10000000

/* What it takes to move an item: some lines of memory there, and its outcome's back. */
#define MOVE_NS 500

bool weft__ration_allows_lone(struct ration *r)
{
    if (ration_allows(r, RATION_LONE)) {
        return true;
    }
    /* ORD none: a hint; if it is missed, the next lone item wakes somebody. */
    if (atomic_load_relaxed(&r->has_left) == 0) {
        atomic_store_relaxed(&r->has_left, 1); /* ORD none: as above */
    }
    return false;
}

/* No pause, and the next one is short. */
static int64_t ration_forgive(struct ration *r, enum ration_kind kind)
{
    /* ORD none: a hint, here and below; of two that judge at once either may be right. */
    atomic_store_relaxed(&r->pause_ns[kind], 0);
    return 0;
}

static int64_t ration_pause(struct ration *r, struct ration_stay *stay, enum ration_kind kind)
{
    int64_t max_ns = kind == RATION_LONE ? PAUSE_LONE_MAX_NS : PAUSE_MAX_NS;
    int64_t pause_ns = atomic_load_relaxed(&r->pause_ns[kind]) * 2; /* ORD none: as above */
    pause_ns = pause_ns < PAUSE_MIN_NS ? PAUSE_MIN_NS : pause_ns;
    pause_ns = pause_ns > max_ns ? max_ns : pause_ns;
    atomic_store_relaxed(&r->pause_ns[kind], pause_ns); /* ORD none: as above */
    (void)atomic_add_seq_cst(&r->pausing[kind], 1);     /* ORD P1: as its counterpart */
    stay->kind = kind;
    stay->has_paused = true;
    return pause_ns;
}

int64_t weft__ration_judge(struct ration *r, struct ration_stay *stay, int64_t now_ns)
{
    struct ration_stay old = *stay;
    *stay = (struct ration_stay){0};
    if (old.called_ns != 0 && now_ns - old.called_ns >= BUSY_NS) {
        (void)ration_forgive(r, RATION_LONE);
        return ration_forgive(r, RATION_ANY);
    }
    if (old.called_ns != 0) {
        bool is_lone = old.kind == RATION_LONE && !old.has_found;
        return ration_pause(r, stay, is_lone ? RATION_LONE : RATION_ANY);
    }
    if (!old.has_paused || old.kind != RATION_LONE) {
        return 0;
    }
    if (old.has_found) {
        return ration_forgive(r, RATION_LONE);
    }
    /* ORD none: see weft__ration_allows_lone. */
    bool has_left = atomic_load_relaxed(&r->has_left) != 0;
    atomic_store_relaxed(&r->has_left, 0); /* ORD none: as above */
    return has_left ? ration_pause(r, stay, RATION_LONE) : 0;
}

bool weft__ration_is_in_vain(uint64_t stolen, int64_t busy_ns)
{
    return busy_ns < (int64_t)stolen * MOVE_NS;
}

void weft__ration_resume(struct ration *r, const struct ration_stay *stay)
{
    /* ORD P1: before the look at the queues. */
    (void)atomic_sub_seq_cst(&r->pausing[stay->kind], 1);
}
