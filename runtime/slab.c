/* SPDX-License-Identifier: MIT */
/*
 * Slabs of task descriptors; see slab.h.
 *
 * A slab is a mapping of its own, aligned to its size, so that a descriptor finds its slab, and the
 * pool, by masking its address. The header takes the place of the first descriptors. Each slab has
 * the free list of its own descriptors, so that one that is wholly free is noticed at once; after
 * it has been so for a while, its memory is given back and reads as zeros.
 *
 *   BARE --carve--> PARTIAL <--> (all out: on no shelf)
 *    ^                |^
 *    '----trim----- FREE (every descriptor that was carved is back)
 *
 * Pairs (all else is under the pool's lock)
 *   P1  new slab: slabs, release       -> walk: slabs, acquire     the header
 *   P2  given out: used, release       -> walk: used, acquire      zeros, or a task
 *   P3  made: of_threads, acq_rel      -> of_threads, acquire      the pool of no runtime
 */
#include "slab.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fork.h"
#include "list.h"
#include "runtime_object.h"

/* 256 KiB: 2046 descriptors, one system call each time that many are needed at once. */
#define SLAB_BYTES ((size_t)256 * 1024)
#define SLAB_BATCH 64
#define SLAB_FIRST 2 /* descriptors whose place the header takes */
#define SLAB_COUNT ((unsigned)(SLAB_BYTES / sizeof(struct weft_future)))

/* How long a slab stays free before its memory goes: a burst that comes back within it is warm, and
 * what a server needs at its peaks is not mapped and unmapped at every lull. */
#define SLAB_TRIM_NS (10 * WEFT_SECOND)

struct slab {
    struct slab_pool *pool; /* immutable */
    struct slab *next;      /* immutable once published */
    _Atomic(unsigned) used; /* descriptors from SLAB_FIRST up to here have been given out */
    /* under the pool's lock */
    unsigned free_count;
    struct runnable *free;
    struct list shelf;
    int64_t free_since_ns;
};

_Static_assert(sizeof(struct slab) <= SLAB_FIRST * sizeof(struct weft_future), "header fits");

struct slab_pool {
    weft_runtime *rt;          /* immutable; NULL: of none */
    uint64_t fork_generation;  /* immutable */
    struct slab_pool *parents; /* immutable; in a child of fork, what it replaced */
    pthread_mutex_t lock;
    struct list partial; /* lock; slabs with something free, or room to carve */
    struct list free;    /* lock; wholly free, longest first */
    struct list bare;    /* lock; memory given back */
    size_t out;          /* lock; descriptors in caches or in use */
    bool is_orphan;      /* lock */
    _Atomic(int64_t) trim_due_ns; /* lock; read by anybody: when the first of `free` is due */
    _Atomic(struct slab *) slabs;
};

struct slab_pool *weft__slab_pool_create(weft_runtime *rt)
{
    struct slab_pool *pool = calloc(1, sizeof *pool);
    if (pool != NULL) {
        if (rt != NULL) {
            weft__runtime_hold(rt);
        }
        pool->rt = rt;
        pool->fork_generation = weft__fork_generation();
        pthread_mutex_init(&pool->lock, NULL);
        list_init(&pool->partial);
        list_init(&pool->free);
        list_init(&pool->bare);
        atomic_store_relaxed(&pool->trim_due_ns, INT64_MAX); /* ORD none: not shared yet */
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
    if (pool->rt != NULL) {
        weft__runtime_release(pool->rt);
    }
    free(pool);
}

struct slab_pool *weft__slab_pool_of_threads(void)
{
    static _Atomic(struct slab_pool *) of_threads;
    /* ORD P3: what it is made of. */
    struct slab_pool *pool = atomic_load_acquire(&of_threads);
    if (pool != NULL && pool->fork_generation == weft__fork_generation()) {
        return pool;
    }
    weft__fork_watch();
    struct slab_pool *made = weft__slab_pool_create(NULL);
    if (made == NULL) {
        return NULL;
    }
    made->parents = pool; /* of no use in this child, and not lost */
    /* ORD P3: what it is made of. */
    if (atomic_cas_acq_rel(&of_threads, &pool, made)) {
        return made;
    }
    slab_pool_free(made); /* another thread was first; pool is what it made */
    return pool;
}

void weft__slab_pool_orphan(struct slab_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_orphan = true;
    bool is_last = pool->out == 0;
    pthread_mutex_unlock(&pool->lock);
    if (is_last) {
        slab_pool_free(pool);
    }
}

static struct slab *slab_of(const struct weft_future *t)
{
    return (struct slab *)((uintptr_t)t & ~(uintptr_t)(SLAB_BYTES - 1));
}

struct slab_pool *weft__slab_pool_of(const weft_task *t)
{
    return slab_of(t)->pool;
}

void weft__task_fetch_neighbour(const weft_task *t, int places)
{
    struct slab *s = slab_of(t);
    struct weft_future *all = (struct weft_future *)(void *)s;
    int64_t at = (t - all) + places;
    if (at >= SLAB_FIRST && at < (int64_t)SLAB_COUNT) {
        /* ORD none: whatever it is, it is only fetched. */
        fiber_fetch_header(atomic_load_relaxed(&all[at].fiber));
    }
}

bool weft__slab_is_ours(const weft_task *t)
{
    return weft__slab_pool_of(t)->fork_generation == weft__fork_generation();
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

/* A slab with something to give, on the shelf `partial`; NULL: no memory. Caller holds the lock. */
static struct slab *slab_pool_source(struct slab_pool *pool)
{
    struct list *l = pool->partial.next;
    if (l != &pool->partial) {
        return WEFT_CONTAINER(l, struct slab, shelf);
    }
    /* The one that was free for the shortest time is the warmest. */
    struct list *warm = !list_empty(&pool->free) ? pool->free.prev : pool->bare.next;
    l = warm == &pool->bare ? NULL : warm;
    struct slab *s;
    if (l != NULL) {
        s = WEFT_CONTAINER(l, struct slab, shelf);
        list_remove(&s->shelf);
    } else {
        s = slab_map();
        if (s == NULL) {
            return NULL;
        }
        list_init(&s->shelf);
        s->pool = pool;
        /* ORD none: written under the lock, which we hold. */
        s->next = atomic_load_relaxed(&pool->slabs);
        atomic_store_relaxed(&s->used, SLAB_FIRST); /* ORD none: published by slabs */
        /* ORD P1: a walker that sees the slab sees its header. */
        atomic_store_release(&pool->slabs, s);
    }
    list_push_back(&pool->partial, &s->shelf);
    return s;
}

/* One descriptor of a slab, from its free list or never used before; NULL: all are out. */
static struct runnable *slab_take_one(struct slab *s)
{
    struct runnable *r = s->free;
    if (r != NULL) {
        s->free = r->next;
        s->free_count--;
        return r;
    }
    unsigned used = atomic_load_relaxed(&s->used); /* ORD none: written under the lock */
    if (used == SLAB_COUNT) {
        return NULL;
    }
    /* ORD P2: the descriptor reads as zeros, which a walker passes over. */
    atomic_store_release(&s->used, used + 1);
    return &((struct weft_future *)(void *)s)[used].run;
}

/* Up to max descriptors as a list, newest first. Caller holds the lock. */
static struct runnable *slab_pool_batch(struct slab_pool *pool, unsigned max, unsigned *count)
{
    struct runnable *first = NULL;
    unsigned n = 0;
    while (n < max) {
        struct slab *s = slab_pool_source(pool);
        if (s == NULL) {
            break;
        }
        struct runnable *r = slab_take_one(s);
        if (r == NULL) {
            list_remove(&s->shelf);
            continue;
        }
        r->next = first;
        first = r;
        n++;
    }
    pool->out += n;
    *count = n;
    return first;
}

/* A descriptor comes back. Caller holds the lock. */
static void slab_put_one(struct slab_pool *pool, struct runnable *r)
{
    struct slab *s = slab_of(task_of(r));
    unsigned used = atomic_load_relaxed(&s->used); /* ORD none: written under the lock */
    r->next = s->free;
    s->free = r;
    s->free_count++;
    pool->out--;
    if (s->free_count == used - SLAB_FIRST) {
        list_remove(&s->shelf);
        s->free_since_ns = INT64_MAX; /* the next trim notes the time: here is no clock */
        list_push_back(&pool->free, &s->shelf);
        atomic_store_relaxed(&pool->trim_due_ns, 0); /* ORD none: a hint for who has a clock */
    } else if (list_empty(&s->shelf)) {
        list_push_back(&pool->partial, &s->shelf);
    }
}

/* Give the memory of a wholly free slab back, but for the page of the header. */
static void slab_strip(struct slab_pool *pool, struct slab *s)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    s->free = NULL;
    s->free_count = 0;
    /* ORD none: every word in it is 0, and a walker that looks on finds zeros. */
    atomic_store_relaxed(&s->used, SLAB_FIRST);
    list_remove(&s->shelf);
    list_push_back(&pool->bare, &s->shelf);
    (void)madvise((char *)s + page, SLAB_BYTES - page, MADV_DONTNEED);
}

int64_t weft__slab_trim(struct slab_pool *pool, int64_t now_ns)
{
    /* ORD none: a hint; the lock decides. */
    int64_t due_ns = atomic_load_relaxed(&pool->trim_due_ns);
    if (due_ns > now_ns) {
        return due_ns;
    }
    due_ns = INT64_MAX;
    pthread_mutex_lock(&pool->lock);
    struct list *l = pool->free.next;
    while (l != &pool->free) {
        struct slab *s = WEFT_CONTAINER(l, struct slab, shelf);
        l = l->next;
        s->free_since_ns = s->free_since_ns == INT64_MAX ? now_ns : s->free_since_ns;
        if (now_ns - s->free_since_ns >= SLAB_TRIM_NS) {
            slab_strip(pool, s);
        } else if (s->free_since_ns + SLAB_TRIM_NS < due_ns) {
            due_ns = s->free_since_ns + SLAB_TRIM_NS;
        }
    }
    atomic_store_relaxed(&pool->trim_due_ns, due_ns); /* ORD none: as above */
    pthread_mutex_unlock(&pool->lock);
    return due_ns;
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
    pthread_mutex_lock(&cache->pool->lock);
    while (cache->count > keep) {
        struct runnable *r = cache->free;
        cache->free = r->next;
        cache->count--;
        slab_put_one(cache->pool, r);
    }
    pthread_mutex_unlock(&cache->pool->lock);
}

weft_task *weft__slab_get(struct slab_pool *pool)
{
    unsigned n;
    pthread_mutex_lock(&pool->lock);
    struct runnable *r = slab_pool_batch(pool, 1, &n);
    pthread_mutex_unlock(&pool->lock);
    return r == NULL ? NULL : task_of(r);
}

void weft__slab_put(struct slab_pool *pool, weft_task *t)
{
    if (!weft__slab_is_ours(t)) {
        return; /* one of the parent's threads may have held the lock */
    }
    pthread_mutex_lock(&pool->lock);
    slab_put_one(pool, &t->run);
    bool is_last = pool->is_orphan && pool->out == 0;
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
