/* SPDX-License-Identifier: MIT */
/*
 * The pool behind stack.h: handing out, taking back, and when memory is given back.
 *
 * The pool knows its idle stacks as bits of their slabs (stack_slab.h). A cache that is empty takes
 * a batch out of one slab: warm stacks if the pool has any, half a cache full; else unused ones,
 * and of those one, then two, then four, because each touches a page. A cache that is too full
 * gives the half back that it used longest ago. The lock is held for the bits, not over madvise;
 * over the mmap of a new slab it is.
 *
 * Decay. A slab that gets a warm slot joins the list `aging`, due at once. The first worker to park
 * looks at it: warm slots become old ones, and the slab is due a period later. What is still old
 * then is given back. So a stack goes back after one to two periods without use, and after a burst
 * one timed wake-up is enough. One worker, the keeper, has the duty to wake; the others sleep
 * without a deadline. While the keeper is busy, any other that parks past the due time does the
 * work. What a parking worker has in its cache above a few goes to the pool, once a period; if that
 * is not due yet, the worker too wakes once.
 *
 * A call does a bounded amount of work and then asks to be called again, so that a worker that
 * gives back a burst of a million keeps looking at its queue and its ring.
 *
 * Pairs: none. decay_due_ns, stacks and keeper are hints; the lock orders all else.
 *
 * Tested in tests/unit/test_stack.c.
 */
#include "stack_slab.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* How late a burst may come back and still find its stacks, which cost 2 us each to take again: as
 * long as allocators keep memory. */
#define DECAY_NS ((int64_t)10 * 1000 * 1000 * 1000)

/* What a worker keeps to itself: 64 stacks of the default class, so the lock is taken every 32;
 * fewer of larger ones, 4 MiB of promises together, two at least. Asleep it keeps an eighth. */
#define CACHE_MAX 64u
#define CACHE_MIN 2u
#define CACHE_BYTES ((size_t)4 * 1024 * 1024)
#define CACHE_KEEP_SHARE 8

/* A call of decay looks at so many slabs at most, 20 us, and gives back so much, in units of about
 * 5 us: 32 stacks with a page each, or a call. Deeply used stacks may take it to some
 * milliseconds. */
#define DECAY_LOOKS 256u
#define DECAY_WORK 64u

int weft__stack_class(size_t stack_bytes)
{
    if (stack_bytes == 0) {
        return -EINVAL;
    }
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        if (stack_bytes <= stack_promise_bytes(c)) {
            return (int)c;
        }
    }
    return -EINVAL;
}

int weft__stack_pool_init(struct stack_pool *pool, const struct stack_options *options)
{
    memset(pool, 0, sizeof(*pool));
    if (options != NULL) {
        pool->options = *options;
    }
    if (pool->options.decay_ns == 0) {
        pool->options.decay_ns = DECAY_NS;
    }
    pool->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        for (unsigned p = 0; p < STACK_SLAB_PLACES; p++) {
            list_init(&pool->shelf[c][p]);
        }
    }
    list_init(&pool->slabs);
    list_init(&pool->aging);
    atomic_store_relaxed(&pool->decay_due_ns, STACK_NEVER); /* ORD none: not shared yet */
    return -pthread_mutex_init(&pool->lock, NULL);
}

void weft__stack_pool_fini(struct stack_pool *pool)
{
    struct list *node;
    while ((node = list_pop_front(&pool->slabs)) != NULL) {
        weft__stack_slab_destroy(WEFT_CONTAINER(node, struct stack_slab, all));
    }
    pthread_mutex_destroy(&pool->lock);
}

/* The lowest `want` slots of a set, taken out of it. */
static struct slot_set set_take(struct slot_set *set, unsigned want)
{
    struct slot_set taken = {{0}};
    while (want-- > 0 && set_any(set)) {
        set_add(&taken, set_pop(set));
    }
    return taken;
}

/* Slots taken out of a slab under the lock, to be worked on without it. */
struct claim {
    struct stack_slab *slab;
    struct slot_set slots;
    uint32_t epoch;
    bool is_warm;
    bool is_fresh;
};

/* Take slots of one kind out of one slab: warm ones if there are any, `max`; else `want` unused. */
static bool pool_claim(struct stack_pool *pool, unsigned stack_class, unsigned max, unsigned want,
                       struct claim *claim)
{
    struct list *shelves = pool->shelf[stack_class];
    struct stack_slab *slab;
    if (!list_empty(&shelves[STACK_SLAB_WARM])) {
        slab = WEFT_CONTAINER(shelves[STACK_SLAB_WARM].next, struct stack_slab, shelf);
        claim->is_warm = true;
        claim->slots = set_take(&slab->warm, max);
        set_subtract(&slab->old, &claim->slots);
    } else {
        slab = list_empty(&shelves[STACK_SLAB_BARE])
                   ? weft__stack_slab_create(pool, stack_class)
                   : WEFT_CONTAINER(shelves[STACK_SLAB_BARE].next, struct stack_slab, shelf);
        if (slab == NULL) {
            return false;
        }
        claim->is_fresh = !set_any(&slab->cold);
        claim->slots = set_take(claim->is_fresh ? &slab->fresh : &slab->cold, want);
        /* ORD none: a counter. */
        atomic_add_relaxed(&pool->stacks, set_count(&claim->slots));
    }
    claim->slab = slab;
    claim->epoch = slab->epoch;
    weft__stack_slab_shelve(slab);
    return true;
}

/* Install the guards of fresh slots; those that got none go back. */
static void claim_guard(struct stack_pool *pool, struct claim *claim)
{
    struct stack_slab *slab = claim->slab;
    if (set_count(&claim->slots) > 1 && weft__stack_slab_guard_all(slab, &claim->slots)) {
        return;
    }
    struct slot_set todo = claim->slots;
    struct slot_set failed = {{0}};
    size_t mprotected = 0;
    while (set_any(&todo)) {
        unsigned i = set_pop(&todo);
        int how = weft__stack_slab_guard(slab, i);
        if (how < 0) {
            set_add(&failed, i);
            break;
        }
        mprotected += (size_t)how;
    }
    set_unite(&failed, &todo);
    set_subtract(&claim->slots, &failed);
    if (mprotected == 0 && !set_any(&failed)) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    slab->mprotected += mprotected;
    set_unite(&slab->fresh, &failed);
    atomic_add_relaxed(&pool->stacks, (size_t)0 - set_count(&failed)); /* ORD none: a counter */
    weft__stack_slab_shelve(slab);
    pthread_mutex_unlock(&pool->lock);
}

/*
 * Fetch what will be used first of each stack: all headers and first frames of a batch come from
 * memory side by side then, and not line after line when each is switched to.
 */
static void claim_fetch(const struct claim *claim)
{
    struct slot_set slots = claim->slots;
    while (set_any(&slots)) {
        const char *s = (const char *)slot_header(claim->slab, set_pop(&slots));
        for (size_t i = 0; i < STACK_FETCH_LINES + STACK_HEADER_LINES; i++) {
            __builtin_prefetch(s + (STACK_HEADER_LINES - 1 - i) * WEFT_CACHE_LINE, 1);
        }
    }
}

void weft__stack_cache_init(struct stack_cache *cache, struct stack_pool *pool)
{
    memset(cache, 0, sizeof(*cache));
    cache->pool = pool;
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        size_t max = CACHE_BYTES / stack_promise_bytes(c);
        max = max > CACHE_MAX ? CACHE_MAX : max < CACHE_MIN ? CACHE_MIN : max;
        cache->bin[c].max = (uint16_t)max;
        cache->bin[c].keep = (uint16_t)(max / CACHE_KEEP_SHARE);
        cache->bin[c].want = 1;
    }
}

struct stack *weft__stack_cache_refill(struct stack_cache *cache, unsigned stack_class)
{
    WEFT_ASSERT(stack_class < WEFT_STACK_CLASSES);
    struct stack_pool *pool = cache->pool;
    struct stack_bin *bin = &cache->bin[stack_class];
    unsigned max = bin->max / 2u;
    struct claim claim = {0};
    pthread_mutex_lock(&pool->lock);
    bool found = pool_claim(pool, stack_class, max, bin->want, &claim);
    pthread_mutex_unlock(&pool->lock);
    if (!found) {
        return NULL;
    }
    if (claim.is_fresh) {
        claim_guard(pool, &claim);
    }
    if (!claim.is_warm) {
        /* A header touches its page: a worker that needs one stack should not pay for 32. */
        bin->want = (uint16_t)(bin->want * 2u > max ? max : bin->want * 2u);
    }
    if (claim.is_warm) {
        claim_fetch(&claim);
    } else if (set_count(&claim.slots) > 1) {
        weft__stack_slab_populate(claim.slab, &claim.slots);
    }
    struct stack *first = NULL;
    while (set_any(&claim.slots)) {
        unsigned i = set_pop(&claim.slots);
        struct stack *s = slot_header(claim.slab, i);
        if (!claim.is_warm) {
            s->low = slot_low(claim.slab, i) + guard_bytes(claim.slab);
            s->slab = claim.slab;
            s->epoch = claim.epoch;
            s->stack_class = (uint8_t)stack_class;
        }
        WEFT_ASSERT(s->slab == claim.slab && s->stack_class == stack_class);
        if (first == NULL) {
            first = s;
        } else {
            s->next = bin->head;
            bin->head = s;
            bin->count++;
        }
    }
    return first;
}

void weft__stack_cache_spill(struct stack_cache *cache, unsigned stack_class, unsigned keep)
{
    struct stack_pool *pool = cache->pool;
    struct stack_bin *bin = &cache->bin[stack_class];
    if (bin->count <= keep) {
        return;
    }
    /* Those used last stay. */
    struct stack **tail = &bin->head;
    for (unsigned i = 0; i < keep; i++) {
        tail = &(*tail)->next;
    }
    struct stack *s = *tail;
    *tail = NULL;
    bin->count = (uint16_t)keep;
    bin->want = 1;

    pthread_mutex_lock(&pool->lock);
    for (; s != NULL; s = s->next) {
        struct stack_slab *slab = s->slab;
        unsigned i = slot_index(s);
        WEFT_ASSERT(!set_has(&slab->warm, i));
        set_add(&slab->warm, i);
        weft__stack_slab_shelve(slab);
        if (list_empty(&slab->aging)) {
            slab->check_ns = INT64_MIN;
            list_push_first(&pool->aging, &slab->aging);
            /* ORD none: a worker sees its own store when it parks; others may look a turn later. */
            atomic_store_relaxed(&pool->decay_due_ns, INT64_MIN);
        }
    }
    pthread_mutex_unlock(&pool->lock);
}

void weft__stack_cache_fini(struct stack_cache *cache)
{
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        weft__stack_cache_spill(cache, c, 0);
    }
    struct stack_cache *keeper = cache;
    /* ORD none: a hint. */
    atomic_cas_relaxed(&cache->pool->keeper, &keeper, NULL);
}

/* After a look at a slab: when to look again. A spill may have put it back on the list
 * meanwhile. */
static void slab_age(struct stack_slab *slab, int64_t now_ns)
{
    struct stack_pool *pool = slab->pool;
    if (!set_any(&slab->warm) || !list_empty(&slab->aging)) {
        return;
    }
    if (set_any(&slab->old)) {
        slab->check_ns = INT64_MIN; /* more work than was allowed */
        list_push_first(&pool->aging, &slab->aging);
    } else {
        slab->check_ns = now_ns + pool->options.decay_ns;
        slab->old = slab->warm;
        list_push_back(&pool->aging, &slab->aging);
    }
}

int64_t weft__stack_pool_decay(struct stack_pool *pool, int64_t now_ns, bool everything)
{
    int64_t period = pool->options.decay_ns;
    int64_t due = STACK_NEVER;
    pthread_mutex_lock(&pool->lock);
    size_t looks = everything ? 2 * pool->slab_count : DECAY_LOOKS;
    unsigned work = DECAY_WORK;
    while (!list_empty(&pool->aging)) {
        struct stack_slab *slab = WEFT_CONTAINER(pool->aging.next, struct stack_slab, aging);
        due = slab->check_ns;
        if ((!everything && due > now_ns) || looks == 0 || work == 0) {
            break;
        }
        looks--;
        list_remove(&slab->aging);
        if (everything) {
            slab->old = slab->warm;
        }
        work = weft__stack_slab_decay(slab, work);
        if (everything) {
            work = DECAY_WORK;
        }
        slab_age(slab, now_ns);
        due = STACK_NEVER;
    }
    if (period < 0) {
        due = STACK_NEVER;
    }
    atomic_store_relaxed(&pool->decay_due_ns, due); /* ORD none: a hint, see spill */
    pthread_mutex_unlock(&pool->lock);
    return due;
}

/* Hand what is above `keep` to the pool. Returns when that is due, or STACK_NEVER. */
static int64_t cache_trim(struct stack_cache *cache, int64_t now_ns)
{
    bool surplus = false;
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        surplus |= cache->bin[c].count > cache->bin[c].keep;
    }
    if (!surplus) {
        return STACK_NEVER;
    }
    if (now_ns < cache->trim_due_ns) {
        return cache->trim_due_ns;
    }
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        weft__stack_cache_spill(cache, c, cache->bin[c].keep);
    }
    cache->trim_due_ns = now_ns + cache->pool->options.decay_ns;
    return STACK_NEVER;
}

/* One worker wakes for the due time: whether it is this one. The duty ends with the last slot. */
static bool keeper_is(struct stack_cache *cache, int64_t due_ns)
{
    struct stack_pool *pool = cache->pool;
    /* ORD none: a hint, here and below; two keepers, or none until the next park, do no harm. */
    struct stack_cache *keeper = atomic_load_relaxed(&pool->keeper);
    if (due_ns != STACK_NEVER && keeper == NULL) {
        return atomic_cas_relaxed(&pool->keeper, &keeper, cache); /* ORD none: as above */
    }
    if (due_ns == STACK_NEVER && keeper == cache) {
        atomic_store_relaxed(&pool->keeper, NULL); /* ORD none: as above */
    }
    return keeper == cache;
}

int64_t weft__stack_cache_decay(struct stack_cache *cache, int64_t now_ns)
{
    struct stack_pool *pool = cache->pool;
    if (pool->options.decay_ns < 0) {
        return STACK_NEVER;
    }
    int64_t trim_ns = cache_trim(cache, now_ns);
    int64_t due = atomic_load_relaxed(&pool->decay_due_ns); /* ORD none: a hint, see spill */
    if (due <= now_ns) {
        due = weft__stack_pool_decay(pool, now_ns, false);
    }
    if (due > now_ns && !keeper_is(cache, due)) {
        due = STACK_NEVER;
    }
    return due < trim_ns ? due : trim_ns;
}

/* Where a stack's slot ends. */
static const char *slot_end(const struct stack *s)
{
    return slot_low(s->slab, slot_index(s) + 1);
}

size_t weft__stack_reserved_bytes(const struct stack *s)
{
    return (size_t)(slot_end(s) - s->low);
}

size_t weft__stack_high_water(const struct stack *s)
{
    unsigned char resident[256];
    size_t page = s->slab->pool->page_bytes;
    const char *end = slot_end(s);
    for (const char *at = s->low; at < end; at += sizeof(resident) * page) {
        size_t pages = (size_t)(end - at) / page;
        pages = pages > sizeof(resident) ? sizeof(resident) : pages;
        if (mincore((void *)(uintptr_t)at, pages * page, resident) != 0) {
            return 0;
        }
        for (size_t i = 0; i < pages; i++) {
            if (resident[i] & 1) {
                return (size_t)(end - (at + i * page));
            }
        }
    }
    return 0;
}
