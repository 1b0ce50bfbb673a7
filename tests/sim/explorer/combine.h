/* SPDX-License-Identifier: MIT */
/*
 * The explorer's waits for several futures at once. Conserved: each outcome is told once, in its
 * place, and it is that of the future.
 */
#ifndef WEFT_EXPLORER_COMBINE_H
#define WEFT_EXPLORER_COMBINE_H

#include "futures.h"

#define CHOICE_MAX 4

/* Futures that an actor waits for; on its stack. */
struct choice {
    size_t n;
    weft_future *f[CHOICE_MAX];
    void *value[CHOICE_MAX]; /* what each ends with, unless it is cancelled */
    bool was_told[CHOICE_MAX];
};

/* Some of the promises and of those that came later, each once. May be empty. */
static struct choice choose(struct actor *a)
{
    struct choice c = {.n = 0};
    for (int i = 0; i < CHOICE_MAX; i++) {
        uint32_t p = dice(a, PROMISES);
        struct actor *other = later_actor(a);
        bool is_promise = dice(a, 3) == 0;
        weft_future *f = is_promise ? promises[p] : other == NULL ? NULL : other->task;
        bool is_new = f != NULL;
        for (size_t k = 0; k < c.n; k++) {
            is_new = is_new && c.f[k] != f;
        }
        if (is_new) {
            c.f[c.n] = f;
            c.value[c.n++] = is_promise ? (void *)&promises[p] : other;
        }
    }
    return c;
}

static size_t count_done(const struct choice *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->n; i++) {
        count += weft_done(c->f[i]);
    }
    return count;
}

static bool all_are_done(void *on)
{
    const struct choice *c = on;
    return count_done(c) == c->n;
}

static bool one_is_done(void *on)
{
    return count_done(on) > 0;
}

static bool one_is_untold(void *on)
{
    const struct choice *c = on;
    size_t told = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (weft_done(c->f[i]) && !c->was_told[i]) {
            return true;
        }
        told += c->was_told[i];
    }
    return told == c->n;
}

static int act_gather(struct actor *a)
{
    struct choice c = choose(a);
    void *results[CHOICE_MAX] = {NULL};
    int errors[CHOICE_MAX] = {0};
    bool wants_all = dice(a, 2) == 0;
    wait_begin(a, "gather", all_are_done, &c);
    a->is_firm = true;
    int err = wait_end(a, weft_gather(c.n, c.f, results, wants_all ? errors : NULL));
    CHECK(err == 0 || err == -ECANCELED || weft_scope_error() < 0);
    CHECK(all_are_done(&c) || (err < 0 && !wants_all));
    for (size_t i = 0; i < c.n && (err == 0 || wants_all); i++) {
        CHECK(errors[i] == 0 ? results[i] == c.value[i] : errors[i] == -ECANCELED);
        CHECK_EQUAL(weft_result(c.f[i], NULL), errors[i]);
    }
    return 0;
}

static int act_wait(struct actor *a)
{
    struct choice c = choose(a);
    if (c.n == 0) {
        return 0;
    }
    bool wants_all = dice(a, 2) == 0;
    wait_begin(a, "wait", wants_all ? all_are_done : one_is_done, &c);
    int n = wait_end(a, weft_wait(c.n, c.f, wants_all ? WEFT_ALL_COMPLETED : WEFT_FIRST_COMPLETED));
    CHECK(n < 0 || n >= (wants_all ? (int)c.n : 1) || weft_scope_error() < 0);
    return n < 0 ? wait_failed(n) : 0;
}

/* Note that f was handed out. */
static void choice_tell(struct choice *c, const weft_future *f)
{
    size_t i = 0;
    while (i < c->n && c->f[i] != f) {
        i++;
    }
    CHECK(i < c->n && !c->was_told[i] && weft_done(f));
    c->was_told[i] = true;
}

static int act_as_completed(struct actor *a)
{
    struct choice c = choose(a);
    struct weft_as_completed it;
    for (size_t i = 0; i < c.n; i++) {
        (void)weft_get(c.f[i]);
    }
    CHECK_EQUAL(weft_as_completed_init(&it, c.n, c.f), 0);
    int err = 0;
    while (err == 0 && dice(a, 8) != 0) {
        weft_future *f = NULL;
        wait_begin(a, "as_completed", one_is_untold, &c);
        err = wait_end(a, weft_as_completed_next(&it, &f));
        if (err == 0) {
            choice_tell(&c, f);
        }
    }
    weft_as_completed_fini(&it);
    for (size_t i = 0; i < c.n; i++) {
        CHECK(c.was_told[i] || err != -ENODATA);
        weft_put(c.f[i]);
    }
    return err == -ENODATA || err == 0 ? 0 : wait_failed(err);
}

static const struct action combine_actions[] = {
    {"gather", act_gather},
    {"wait", act_wait},
    {"as_completed", act_as_completed},
};

#endif
