/* SPDX-License-Identifier: MIT */
/*
 * Slabs of stacks: mapping, guarding and giving back memory; states in stack_slab.h.
 *
 * Guards: MADV_GUARD_INSTALL, when a slot is handed out for the first time: 0.4 us, against 1.3 us
 * for the first touch of its page. Slots that are handed out together get their guards, and the
 * pages of their headers, by one process_madvise each (from Linux 6.14): 0.25 us and 1 us; what is
 * left is the kernel's work on a page. Kernels before 6.13 do not know guards, and they are refused
 * for locked memory (mlockall): then mprotect, which splits the mapping, as far as the kernel's
 * limit of mappings goes.
 *
 * Giving back: a slab without any slot out is mapped anew in one step, which frees its guards and
 * page tables (0.5 KiB a stack) as well. The addresses stay mapped all the time: stale pointers to
 * fibers are read. Otherwise runs of old slots go back by MADV_DONTNEED, which leaves guards alone.
 * 0.2 us a stack when the whole slab goes, 1.2 us when each goes alone.
 *
 * Under mlockall(MCL_FUTURE) the kernel populates a whole slab when it is mapped.
 *
 * Pairs: none. The guard counters are counters; the pool's lock orders the rest.
 */
#include "stack_slab.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sanitize.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* From Linux 6.13; older headers lack it. */
#define GUARD_INSTALL 102
/* From Linux 5.14. */
#define POPULATE_WRITE 23
/* From Linux 6.14, instead of a descriptor: this process, also in a forked child. */
#define PIDFD_OF_SELF (-10000)

/* Slots of one call; more would save nothing. */
#define PARTS_MAX 32u

/* A slab's size: what glibc reserves for a malloc arena, so that a small runtime is not the largest
 * thing in its process; a million default stacks are 4096 of them. Larger ones would make fewer
 * mappings, but neighbours are merged by the kernel anyway. */
#define SLAB_BYTES ((size_t)64 * 1024 * 1024)

/* Map entries left to the rest of the process when guards, two each, use them up. */
#define GUARD_RESERVE 8192
#define MAX_MAP_COUNT_DEFAULT 65530

/* More runs than one call may give back are not looked for: stack.c allows 64. */
#define RUNS_MAX 64u
#define RUN_WORK_SLOTS 32u

/* Guards by mprotect in this process, and their limit (0: not read yet). */
static _Atomic(size_t) guards_used;
static _Atomic(size_t) guards_max;
static _Atomic(int) guards_complained;

/* The kernel does not take several parts in one call. */
static _Atomic(int) parts_refused;

static size_t guard_limit(const struct stack_pool *pool)
{
    if (pool->options.guard_max != 0) {
        return pool->options.guard_max;
    }
    size_t limit = atomic_load_relaxed(&guards_max); /* ORD none: whoever reads it first sets it */
    if (limit == 0) {
        long maps = MAX_MAP_COUNT_DEFAULT;
        FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
        if (f != NULL) {
            if (fscanf(f, "%ld", &maps) != 1) {
                maps = MAX_MAP_COUNT_DEFAULT;
            }
            fclose(f);
        }
        limit = maps / 2 > GUARD_RESERVE ? (size_t)maps / 2 - GUARD_RESERVE : 1;
        atomic_store_relaxed(&guards_max, limit); /* ORD none: everybody writes the same */
    }
    return limit;
}

static void guards_uncount(size_t count)
{
    atomic_add_relaxed(&guards_used, (size_t)0 - count); /* ORD none: a counter */
}

static int guard_by_mprotect(const struct stack_pool *pool, char *at, size_t bytes)
{
    size_t limit = guard_limit(pool);
    /* ORD none: a counter. */
    if (atomic_add_relaxed(&guards_used, 1) < limit && mprotect(at, bytes, PROT_NONE) == 0) {
        return 1;
    }
    guards_uncount(1);
    int complained = 0;
    /* ORD none: one line is enough, nothing depends on it. */
    if (atomic_cas_relaxed(&guards_complained, &complained, 1)) {
        fprintf(stderr,
                "weft: a stack is refused, because it can get no guard page: this kernel does not "
                "allow guard regions (before Linux 6.13, or memory is locked by mlockall), and of "
                "those by mprotect there may be %zu; raise vm.max_map_count\n",
                limit);
    }
    return -ENOMEM;
}

/* Do to the same part of several slots what madvise does to one. False: not to all of them. */
static bool slots_madvise(const struct stack_slab *slab, struct slot_set slots, size_t offset,
                          size_t bytes, int advice)
{
    struct iovec parts[PARTS_MAX];
    bool is_done = atomic_load_relaxed(&parts_refused) == 0; /* ORD none: nothing depends on it */
    while (is_done && set_any(&slots)) {
        unsigned n = 0;
        while (n < PARTS_MAX && set_any(&slots)) {
            parts[n].iov_base = slot_low(slab, set_pop(&slots)) + offset;
            parts[n++].iov_len = bytes;
        }
        long rc = syscall(SYS_process_madvise, PIDFD_OF_SELF, parts, n, advice, 0);
        is_done = rc == (long)(n * bytes);
        if (rc < 0 && errno != ENOMEM) {
            atomic_store_relaxed(&parts_refused, 1); /* ORD none: as above */
        }
    }
    return is_done;
}

bool weft__stack_slab_guard_all(struct stack_slab *slab, const struct slot_set *slots)
{
    return !slab->pool->options.refuse_madvise &&
           slots_madvise(slab, *slots, 0, guard_bytes(slab), GUARD_INSTALL);
}

void weft__stack_slab_populate(struct stack_slab *slab, const struct slot_set *slots)
{
    size_t page = slab->pool->page_bytes;
    size_t last = ((size_t)1 << slab->slot_shift) - page;
    (void)slots_madvise(slab, *slots, last, page, POPULATE_WRITE);
}

int weft__stack_slab_guard(struct stack_slab *slab, unsigned i)
{
    const struct stack_pool *pool = slab->pool;
    char *at = slot_low(slab, i);
    if (!pool->options.refuse_madvise) {
        if (madvise(at, guard_bytes(slab), GUARD_INSTALL) == 0) {
            return 0;
        }
        if (errno == ENOMEM) {
            return -ENOMEM;
        }
    }
    return guard_by_mprotect(pool, at, guard_bytes(slab));
}

static size_t slot_bytes(const struct stack_pool *pool, unsigned stack_class)
{
    size_t promise = stack_promise_bytes(stack_class);
    size_t bytes = promise <= (size_t)1024 * 1024 ? 4 * promise : 2 * promise;
    /* Where pages have 64 KiB the guard alone is one. */
    return bytes < 4 * pool->page_bytes ? 4 * pool->page_bytes : bytes;
}

static void *slab_mmap(void *at, size_t bytes, int flags)
{
    flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    void *p = mmap(at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    /* A huge page would make every stack resident. Either call may fail: not compiled in. */
    (void)madvise(p, bytes, MADV_NOHUGEPAGE);
    (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, bytes, "weft stacks");
    return p;
}

/* Map memory aligned to a power of two; next to the last slab if it fits. */
static char *slab_mmap_aligned(struct stack_pool *pool, size_t bytes, size_t align)
{
    char *hint = pool->hint == NULL ? NULL : pool->hint - bytes;
    char *p = slab_mmap(hint, bytes, 0);
    if (p != NULL && (uintptr_t)p % align != 0) {
        munmap(p, bytes);
        p = slab_mmap(NULL, bytes + align, 0);
        if (p != NULL) {
            size_t below = (size_t)(-(uintptr_t)p % align);
            if (below != 0) {
                munmap(p, below);
            }
            munmap(p + below + bytes, align - below);
            p += below;
        }
    }
    pool->hint = p;
    return p;
}

static void slab_all_fresh(struct stack_slab *slab)
{
    memset(&slab->cold, 0, sizeof(slab->cold));
    for (unsigned i = 0; i < slab->slot_count; i++) {
        set_add(&slab->fresh, i);
    }
}

void weft__stack_slab_shelve(struct stack_slab *slab)
{
    enum stack_place place = STACK_SLAB_PLACES;
    if (set_any(&slab->warm)) {
        place = STACK_SLAB_WARM;
    } else if (set_any(&slab->cold) || set_any(&slab->fresh)) {
        place = STACK_SLAB_BARE;
    }
    if (place != slab->place) {
        list_remove(&slab->shelf);
        if (place != STACK_SLAB_PLACES) {
            list_push_first(&slab->pool->shelf[slab->stack_class][place], &slab->shelf);
        }
        slab->place = place;
    }
}

struct stack_slab *weft__stack_slab_create(struct stack_pool *pool, unsigned stack_class)
{
    struct stack_slab *slab = calloc(1, sizeof(*slab));
    if (slab == NULL) {
        return NULL;
    }
    size_t slot = slot_bytes(pool, stack_class);
    size_t count = SLAB_BYTES / slot;
    count = count > SLAB_SLOTS_MAX ? SLAB_SLOTS_MAX : count == 0 ? 1 : count;
    char *base;
    /* Address space may be limited: take less before giving up. */
    while ((base = slab_mmap_aligned(pool, count * slot, slot)) == NULL && count > 1) {
        count /= 2;
    }
    if (base == NULL) {
        free(slab);
        return NULL;
    }
    slab->pool = pool;
    slab->base = base;
    slab->slot_count = (uint32_t)count;
    slab->slot_shift = (uint8_t)__builtin_ctzll(slot);
    slab->stack_class = (uint8_t)stack_class;
    slab->place = STACK_SLAB_PLACES;
    list_init(&slab->shelf);
    list_init(&slab->aging);
    list_push_back(&pool->slabs, &slab->all);
    pool->slab_count++;
    slab_all_fresh(slab);
    weft__stack_slab_shelve(slab);
    return slab;
}

void weft__stack_slab_destroy(struct stack_slab *slab)
{
    sanitize_unmap(slab->base, slab_bytes(slab));
    munmap(slab->base, slab_bytes(slab));
    guards_uncount(slab->mprotected);
    free(slab);
}

/* Map a slab anew that is wholly idle. */
static void slab_renew(struct stack_slab *slab)
{
    struct stack_pool *pool = slab->pool;
    struct slot_set fresh = slab->fresh;
    struct slot_set used = slab->warm;
    set_unite(&used, &slab->cold);
    slab->warm = slab->old = slab->cold = slab->fresh = (struct slot_set){{0}};
    weft__stack_slab_shelve(slab);
    pthread_mutex_unlock(&pool->lock);

    bool renewed = slab_mmap(slab->base, slab_bytes(slab), MAP_FIXED) != NULL;
    if (!renewed) {
        (void)madvise(slab->base, slab_bytes(slab), MADV_DONTNEED);
    }

    pthread_mutex_lock(&pool->lock);
    slab->epoch++;
    if (renewed) {
        slab_all_fresh(slab);
        guards_uncount(slab->mprotected);
        slab->mprotected = 0;
    } else {
        slab->fresh = fresh;
        slab->cold = used;
    }
    weft__stack_slab_shelve(slab);
}

/* Neighbouring slots. */
struct slot_run {
    unsigned from;
    unsigned to; /* the first one behind */
};

/* Move old slots into runs and out of the slab, as far as the work allowed goes. */
static unsigned slab_take_runs(struct stack_slab *slab, struct slot_run *runs, unsigned *work)
{
    unsigned count = 0;
    for (unsigned i = 0; i < slab->slot_count; i++) {
        if (!set_has(&slab->old, i)) {
            continue;
        }
        bool extends = count > 0 && runs[count - 1].to == i;
        bool costs = !extends || (i - runs[count - 1].from) % RUN_WORK_SLOTS == 0;
        if ((costs && *work == 0) || (!extends && count == RUNS_MAX)) {
            break;
        }
        *work -= costs;
        if (!extends) {
            runs[count++].from = i;
        }
        runs[count - 1].to = i + 1;
        slab->old.word[i / 64] &= ~((uint64_t)1 << (i % 64));
        slab->warm.word[i / 64] &= ~((uint64_t)1 << (i % 64));
    }
    return count;
}

static unsigned slab_release(struct stack_slab *slab, unsigned work)
{
    struct stack_pool *pool = slab->pool;
    struct slot_run runs[RUNS_MAX];
    unsigned count = slab_take_runs(slab, runs, &work);
    weft__stack_slab_shelve(slab);
    pthread_mutex_unlock(&pool->lock);

    for (unsigned r = 0; r < count; r++) {
        char *from = slot_low(slab, runs[r].from);
        (void)madvise(from, (size_t)(slot_low(slab, runs[r].to) - from), MADV_DONTNEED);
    }

    pthread_mutex_lock(&pool->lock);
    slab->epoch++;
    size_t released = 0;
    for (unsigned r = 0; r < count; r++) {
        for (unsigned i = runs[r].from; i < runs[r].to; i++) {
            set_add(&slab->cold, i);
            released++;
        }
    }
    atomic_add_relaxed(&pool->stacks, (size_t)0 - released); /* ORD none: a counter */
    weft__stack_slab_shelve(slab);
    return work;
}

unsigned weft__stack_slab_decay(struct stack_slab *slab, unsigned work)
{
    if (!set_any(&slab->old)) {
        return work;
    }
    struct slot_set idle = slab->old;
    set_unite(&idle, &slab->cold);
    set_unite(&idle, &slab->fresh);
    if (set_count(&idle) != slab->slot_count) {
        return slab_release(slab, work);
    }
    unsigned released = set_count(&slab->old);
    unsigned cost = 1 + released / RUN_WORK_SLOTS;
    slab_renew(slab);
    atomic_add_relaxed(&slab->pool->stacks, (size_t)0 - released); /* ORD none: a counter */
    return work > cost ? work - cost : 0;
}
