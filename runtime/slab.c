/* SPDX-License-Identifier: MIT */
/*
 * Slabs of task descriptors; see slab.h.
 *
 * A slab is a mapping of its own, aligned to its size, so that a descriptor finds its slab, and the
 * pool, by masking its address. The header takes the place of the first descriptors.
 */
#include "slab.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

/* 256 KiB: 2046 descriptors, one system call each time that many are needed at once. */
#define SLAB_BYTES ((size_t)256 * 1024)
#define SLAB_BATCH 64
#define SLAB_FIRST 2 /* descriptors whose place the header takes */
#define SLAB_COUNT ((unsigned)(SLAB_BYTES / sizeof(struct weft_future)))

struct slab {
    struct slab_pool *pool; /* immutable */
    struct slab *next;      /* immutable once published */
    _Atomic(unsigned) used; /* descriptors from SLAB_FIRST up to here have been given out */
};

_Static_assert(sizeof(struct slab) <= SLAB_FIRST * sizeof(struct weft_future), "header fits");

struct slab_pool {
    pthread_mutex_t lock;
    struct runnable *free; /* lock */
    size_t free_count;     /* lock */
    size_t total;          /* lock; descriptors given out at least once */
    size_t outstanding;    /* lock; after the orphaning: not given back yet */
    bool is_orphan;        /* lock */
    _Atomic(struct slab *) slabs;
};

/*
 * Pairs
 *   P1  new slab: slabs, release       -> walk: slabs, acquire     the header
 *   P2  given out: used, release       -> walk: used, acquire      zeros, or a task
 */

struct slab_pool *weft__slab_pool_create(void)
{
    struct slab_pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL) {
        pthread_mutex_init(&pool->lock, NULL);
    }
    return pool;
}

static void slab_pool_free(struct slab_pool *pool)
{
    /* ORD none: nobody else is left. */
    struct slab *s = atomic_load_relaxed(&pool->slabs);
    while (s != NULL) {
        struct slab *next = s->next;
        munmap(s, SLAB_BYTES);
        s = next;
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

void weft__slab_pool_orphan(struct slab_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_orphan = true;
    pool->outstanding = pool->total - pool->free_count;
    bool is_last = pool->outstanding == 0;
    pthread_mutex_unlock(&pool->lock);
    if (is_last) {
        slab_pool_free(pool);
    }
}

struct slab_pool *weft__slab_pool_of(const weft_task *t)
{
    const struct slab *s = (const struct slab *)((uintptr_t)t & ~(uintptr_t)(SLAB_BYTES - 1));
    return s->pool;
}

/* A mapping aligned to its size: map twice as much and give back what is over. */
static struct slab *slab_map(void)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    char *p = mmap(NULL, 2 * SLAB_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    size_t before = (SLAB_BYTES - ((uintptr_t)p & (SLAB_BYTES - 1))) & (SLAB_BYTES - 1);
    if (before > 0) {
        munmap(p, before);
    }
    if (before < SLAB_BYTES) {
        munmap(p + before + SLAB_BYTES, SLAB_BYTES - before);
    }
    return (struct slab *)(void *)(p + before);
}

/* Up to SLAB_BATCH descriptors that were never used, as a list. Caller holds the lock. */
static struct runnable *slab_pool_carve(struct slab_pool *pool, unsigned *count)
{
    /* ORD none: written under the lock, which we hold. */
    struct slab *s = atomic_load_relaxed(&pool->slabs);
    /* ORD none: written under the lock, which we hold. */
    unsigned used = s == NULL ? SLAB_COUNT : atomic_load_relaxed(&s->used);
    if (used == SLAB_COUNT) {
        struct slab *fresh = slab_map();
        if (fresh == NULL) {
            *count = 0;
            return NULL;
        }
        fresh->pool = pool;
        fresh->next = s;
        used = SLAB_FIRST;
        atomic_store_relaxed(&fresh->used, used); /* ORD none: published by slabs */
        /* ORD P1: a walker that sees the slab sees its header. */
        atomic_store_release(&pool->slabs, fresh);
        s = fresh;
    }
    unsigned n = SLAB_COUNT - used < SLAB_BATCH ? SLAB_COUNT - used : SLAB_BATCH;
    struct weft_future *first = (struct weft_future *)(void *)s + used;
    for (unsigned i = 0; i < n; i++) {
        first[i].run.next = i + 1 < n ? &first[i + 1].run : NULL;
    }
    /* ORD P2: the mapping reads as zeros, which a walker passes over. */
    atomic_store_release(&s->used, used + n);
    pool->total += n;
    *count = n;
    return &first->run;
}

/* A batch from the free list or from a slab. Caller holds the lock. */
static struct runnable *slab_pool_batch(struct slab_pool *pool, unsigned max, unsigned *count)
{
    if (pool->free == NULL) {
        return slab_pool_carve(pool, count);
    }
    struct runnable *first = pool->free;
    struct runnable *last = first;
    unsigned n = 1;
    while (n < max && last->next != NULL) {
        last = last->next;
        n++;
    }
    pool->free = last->next;
    pool->free_count -= n;
    last->next = NULL;
    *count = n;
    return first;
}

weft_task *weft__slab_refill(struct slab_cache *cache)
{
    unsigned n;
    pthread_mutex_lock(&cache->pool->lock);
    struct runnable *r = slab_pool_batch(cache->pool, SLAB_BATCH, &n);
    pthread_mutex_unlock(&cache->pool->lock);
    if (r == NULL) {
        return NULL;
    }
    cache->free = r->next;
    cache->count = n - 1;
    return task_of(r);
}

void weft__slab_spill(struct slab_cache *cache, unsigned keep)
{
    if (cache->count <= keep) {
        return;
    }
    unsigned n = cache->count - keep;
    struct runnable *first = cache->free;
    struct runnable *last = first;
    for (unsigned i = 1; i < n; i++) {
        last = last->next;
    }
    cache->free = last->next;
    cache->count = keep;
    pthread_mutex_lock(&cache->pool->lock);
    last->next = cache->pool->free;
    cache->pool->free = first;
    cache->pool->free_count += n;
    pthread_mutex_unlock(&cache->pool->lock);
}

weft_task *weft__slab_get(struct slab_pool *pool)
{
    unsigned n;
    pthread_mutex_lock(&pool->lock);
    struct runnable *r = slab_pool_batch(pool, 1, &n);
    if (r != NULL && r->next != NULL) {
        pool->free = r->next; /* a whole batch was carved, and the free list was empty */
        pool->free_count = n - 1;
    }
    pthread_mutex_unlock(&pool->lock);
    return r == NULL ? NULL : task_of(r);
}

void weft__slab_put(struct slab_pool *pool, weft_task *t)
{
    pthread_mutex_lock(&pool->lock);
    t->run.next = pool->free;
    pool->free = &t->run;
    pool->free_count++;
    bool is_last = pool->is_orphan && --pool->outstanding == 0;
    pthread_mutex_unlock(&pool->lock);
    if (is_last) {
        slab_pool_free(pool);
    }
}

void weft__slab_walk(struct slab_pool *pool, bool (*fn)(weft_task *t, void *arg), void *arg)
{
    /* ORD P1: the header of each slab in the list. */
    for (struct slab *s = atomic_load_acquire(&pool->slabs); s != NULL; s = s->next) {
        unsigned used = atomic_load_acquire(&s->used); /* ORD P2: zeros or tasks */
        struct weft_future *all = (struct weft_future *)(void *)s;
        for (unsigned i = SLAB_FIRST; i < used; i++) {
            if (!fn(&all[i], arg)) {
                return;
            }
        }
    }
}
