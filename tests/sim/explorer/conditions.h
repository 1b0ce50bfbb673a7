/* SPDX-License-Identifier: MIT */
/*
 * The explorer's conditions, reader-writer locks and barriers. Conserved: goods that were made are
 * taken once, and nobody waits beside them; who writes is alone; the parties of a round of a
 * barrier get different numbers.
 */
#ifndef WEFT_EXPLORER_CONDITIONS_H
#define WEFT_EXPLORER_CONDITIONS_H

#include "sync.h"

static struct weft_mutex store;
static struct weft_cond has_goods;
static const struct actor *storekeeper; /* has locked the store */
static int goods;
static struct weft_rwlock book;
static int book_readers;
static int book_writers;
static struct weft_barrier barrier; /* of two */
static int barrier_numbers[2];
static int barrier_resets;

static bool goods_are_there(void *on)
{
    (void)on;
    return goods > 0 && storekeeper == NULL;
}

static bool store_is_open(void *on)
{
    (void)on;
    return storekeeper == NULL;
}

static int store_enter(struct actor *a)
{
    wait_begin(a, "store", store_is_open, NULL);
    int err = wait_end(a, weft_mutex_lock(&store));
    if (err == 0) {
        CHECK(storekeeper == NULL);
        storekeeper = a;
    }
    return err;
}

static void store_leave(struct actor *a)
{
    CHECK(storekeeper == a);
    storekeeper = NULL;
    CHECK_EQUAL(weft_mutex_unlock(&store), 0);
}

static int act_make(struct actor *a)
{
    int err = store_enter(a);
    if (err < 0) {
        return wait_failed(err);
    }
    linger(a);
    goods++;
    CHECK_EQUAL(weft_cond_notify(&has_goods, 1), 0);
    linger(a);
    store_leave(a);
    return 0;
}

static bool predicate(void *arg)
{
    (void)arg;
    return goods > 0;
}

static int act_take(struct actor *a)
{
    int err = store_enter(a);
    bool by_predicate = dice(a, 2) == 0;
    while (err == 0 && goods == 0) {
        storekeeper = NULL;
        wait_begin(a, "goods", goods_are_there, NULL);
        err = wait_end(a, by_predicate
                              ? weft_cond_wait_for(&has_goods, &store, predicate, NULL)
                              : weft_cond_wait(&has_goods, &store));
        CHECK(storekeeper == NULL);
        storekeeper = a; /* locked again, also when the wait failed */
        CHECK(err < 0 || !by_predicate || goods > 0);
    }
    if (err == 0) {
        goods--;
    }
    if (storekeeper == a) {
        store_leave(a);
    }
    return err < 0 ? wait_failed(err) : 0;
}

static int act_book(struct actor *a)
{
    bool writes = dice(a, 3) == 0;
    int err;
    if (dice(a, 4) == 0) {
        err = writes ? weft_rwlock_trywrlock(&book) : weft_rwlock_tryrdlock(&book);
    } else {
        wait_begin(a, "book", always, NULL); /* it is given back soon */
        err = wait_end(a, writes ? weft_rwlock_wrlock(&book) : weft_rwlock_rdlock(&book));
    }
    if (err < 0) {
        return err == -EAGAIN ? 0 : wait_failed(err);
    }
    *(writes ? &book_writers : &book_readers) += 1;
    for (int i = 0; i < 2; i++) {
        CHECK(book_writers == writes && (!writes || book_readers == 0));
        linger(a);
    }
    *(writes ? &book_writers : &book_readers) -= 1;
    CHECK_EQUAL(weft_rwlock_unlock(&book), 0);
    return 0;
}

static bool party_is_there(void *on)
{
    for (int i = 0; i < actor_count; i++) {
        if (actors[i].is_there == party_is_there && actors[i].on != on) {
            return true;
        }
    }
    return false;
}

static int act_barrier(struct actor *a)
{
    int resets = barrier_resets;
    wait_begin(a, "barrier", party_is_there, a);
    int number = wait_end(a, weft_barrier_wait(&barrier));
    if (number == -EPIPE) {
        CHECK(barrier_resets > resets);
        return 0;
    }
    if (number < 0) {
        return wait_failed(number);
    }
    CHECK(number < 2);
    barrier_numbers[number]++;
    return 0;
}

/* Those who wait get -EPIPE; those who were let go have their numbers. */
static int act_reset(struct actor *a)
{
    (void)a;
    barrier_resets++;
    weft_barrier_reset(&barrier);
    CHECK(!weft_barrier_is_broken(&barrier));
    return 0;
}

static const struct action condition_actions[] = {
    {"make", act_make}, {"make", act_make}, {"take", act_take},
    {"take", act_take}, {"book", act_book}, {"barrier", act_barrier},
    {"barrier", act_barrier}, {"reset", act_reset},
};

static void conditions_begin(void)
{
    memset(&store, 0, sizeof store);
    memset(&has_goods, 0, sizeof has_goods);
    memset(&book, 0, sizeof book);
    memset(barrier_numbers, 0, sizeof barrier_numbers);
    storekeeper = NULL;
    goods = 0;
    book_readers = 0;
    book_writers = 0;
    CHECK_EQUAL(weft_barrier_init(&barrier, 2), 0);
}

static void conditions_end(void)
{
    CHECK(goods >= 0 && storekeeper == NULL);
    CHECK_EQUAL(weft_mutex_trylock(&store), 0);
    CHECK_EQUAL(weft_mutex_unlock(&store), 0);
    CHECK_EQUAL(weft_rwlock_trywrlock(&book), 0);
    CHECK_EQUAL(weft_rwlock_unlock(&book), 0);
    CHECK_EQUAL(barrier_numbers[0], barrier_numbers[1]);
    CHECK_EQUAL(weft_barrier_waiting(&barrier), 0);
}

#endif
