/* SPDX-License-Identifier: MIT */
/* Resident: the list; see resident.h. */
#include "resident.h"

#include <errno.h>

#include "runtime_object.h"

void weft__residents_init(struct residents *all)
{
    pthread_mutex_init(&all->lock, NULL);
    list_init(&all->list);
}

void weft__residents_fini(struct residents *all)
{
    pthread_mutex_destroy(&all->lock);
}

void weft__residents_end(struct residents *all)
{
    pthread_mutex_lock(&all->lock);
    for (struct list *l = all->list.next; l != &all->list; l = l->next) {
        struct resident *r = WEFT_CONTAINER(l, struct resident, link);
        r->end(r);
    }
    pthread_mutex_unlock(&all->lock);
}

bool weft__residents_have(weft_runtime *rt, void (*end)(struct resident *self),
                          bool (*is)(struct resident *r, void *arg), void *arg)
{
    struct residents *all = &rt->residents;
    bool has = false;
    pthread_mutex_lock(&all->lock);
    for (struct list *l = all->list.next; l != &all->list && !has; l = l->next) {
        struct resident *r = WEFT_CONTAINER(l, struct resident, link);
        has = r->end == end && is(r, arg);
    }
    pthread_mutex_unlock(&all->lock);
    return has;
}

int weft__resident_enter(weft_runtime *rt, struct resident *r)
{
    struct residents *all = &rt->residents;
    pthread_mutex_lock(&all->lock);
    bool is_refused = runtime_is_closing(rt);
    if (!is_refused) {
        list_push_back(&all->list, &r->link);
        (void)atomic_add_relaxed(&all->count, 1); /* ORD none: who enters it is live itself */
    }
    pthread_mutex_unlock(&all->lock);
    return is_refused ? -ESHUTDOWN : 0;
}

void weft__resident_leave(weft_runtime *rt, struct resident *r)
{
    struct residents *all = &rt->residents;
    pthread_mutex_lock(&all->lock);
    list_remove(&r->link);
    (void)atomic_sub_release(&all->count, 1); /* ORD P1: what it has begun */
    pthread_mutex_unlock(&all->lock);
}
