/* SPDX-License-Identifier: MIT */
/*
 * Slabs of task descriptors: a pool for a runtime, a cache for each worker.
 *
 * A worker takes and gives at its own cache, a last-in first-out list without locks; a batch moves
 * between cache and pool under the pool's lock. A descriptor may be given back by any thread, to
 * the cache of the worker it is on or to the pool; it has no home.
 *
 * Descriptors are never unmapped while the runtime lives, though the memory of free ones may be
 * given back, and an unused one reads as word == 0. So anybody may walk over all of them
 * (weft__slab_walk) and look at the word.
 *
 * Handles may outlive their runtime. When it is destroyed, the pool counts what is still out; the
 * one who gives the last one back frees the pool.
 */
#ifndef WEFT_SLAB_H
#define WEFT_SLAB_H

#include "future.h"

struct slab_pool;

/* Owner: one worker. Zeroed memory is an empty cache without a pool. */
struct slab_cache {
    struct slab_pool *pool;
    struct runnable *free; /* linked by run.next */
    unsigned count;
};

/* A pool for rt (NULL: for none), whose object's memory it holds as long as a descriptor is out.
 * NULL: no memory. */
struct slab_pool *weft__slab_pool_create(weft_runtime *rt);

/*
 * The pool for futures that are made on threads without a runtime; NULL: no memory. It stays for as
 * long as the process lives, and keeps the memory of its busiest moment.
 */
struct slab_pool *weft__slab_pool_of_threads(void);

/* The runtime is gone: free the pool, or leave that to the last descriptor. */
void weft__slab_pool_orphan(struct slab_pool *pool);

/* A batch from the pool into an empty cache; the first one of it, or NULL: no memory. */
weft_task *weft__slab_refill(struct slab_cache *cache);

/*
 * Give back the memory of slabs that have been wholly free for ten seconds. For a worker about to
 * sleep. Returns when it is worth calling again; INT64_MAX: not before more descriptors come back.
 */
int64_t weft__slab_trim(struct slab_pool *pool, int64_t now_ns);

/* Half of a full cache to the pool; `keep` descriptors stay. */
void weft__slab_spill(struct slab_cache *cache, unsigned keep);

/* Take and give without a cache. Context: any thread. */
weft_task *weft__slab_get(struct slab_pool *pool);
void weft__slab_put(struct slab_pool *pool, weft_task *t);

/* The pool a descriptor came from. Valid as long as the descriptor is out. */
struct slab_pool *weft__slab_pool_of(const weft_task *t);

/* Fetch the fiber of the task so many places from t, if there is one in the same slab: it may be
 * next when tasks that were spawned in a row are looked at. Context: while t's pool is there. */
void weft__task_fetch_neighbour(const weft_task *t, int places);

/*
 * Whether a future was made in this process. One that a child of fork has inherited belongs to
 * workers that are not there: it never ends, and nobody must be told of it.
 * Context: any thread, holding a reference.
 */
bool weft__slab_is_ours(const weft_task *t);

/*
 * Call fn for each descriptor that ever was in use, until it returns false.
 * Context: any thread, while the pool is not orphaned.
 */
void weft__slab_walk(struct slab_pool *pool, bool (*fn)(weft_task *t, void *arg), void *arg);

/* How many a worker keeps to itself: more would hide a burst's memory, fewer would take the lock
 * every few spawns of a tree. 512 are 64 KiB. */
#define SLAB_CACHE_MAX 512
#define SLAB_CACHE_KEEP 64 /* what a worker keeps when it goes to sleep after a burst */

/* Context: owner of the cache. */
static inline weft_task *slab_take(struct slab_cache *cache)
{
    struct runnable *r = cache->free;
    if (WEFT_UNLIKELY(r == NULL)) {
        return weft__slab_refill(cache);
    }
    cache->free = r->next;
    cache->count--;
    return task_of(r);
}

/* Context: owner of the cache. */
static inline void slab_give(struct slab_cache *cache, weft_task *t)
{
    t->run.next = cache->free;
    cache->free = &t->run;
    if (WEFT_UNLIKELY(++cache->count > SLAB_CACHE_MAX)) {
        weft__slab_spill(cache, SLAB_CACHE_MAX / 2);
    }
}

#endif
