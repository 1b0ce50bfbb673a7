/* SPDX-License-Identifier: MIT */
/*
 * Sleeps that can be ended early by a key, one or all. To be ended so is no error; a cancel of the
 * task that sleeps is one, as everywhere.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

enum { SLEEPS_MAX = 8 };

struct sleep {
    const char *key;
    struct weft_event ended;
};

/* A mutex guards the list: tasks on all workers use it. */
struct sleeper {
    struct weft_mutex mutex;
    struct sleep *sleeps[SLEEPS_MAX];
};

/* Where a key is, or, for NULL, a free place; -1: nowhere. The mutex is locked. */
static int sleeper_find(const struct sleeper *s, const char *key)
{
    for (int i = 0; i < SLEEPS_MAX; i++) {
        const struct sleep *at = s->sleeps[i];
        if (key == NULL ? at == NULL : at != NULL && strcmp(at->key, key) == 0) {
            return i;
        }
    }
    return -1;
}

/* 0 and whether it was ended early; -EEXIST: somebody sleeps under that key; or why it failed. */
static int sleeper_sleep(struct sleeper *s, const char *key, int64_t ns, bool *was_ended)
{
    struct sleep own = {.key = key, .ended = WEFT_EVENT_INIT};
    int err = weft_mutex_lock(&s->mutex);
    if (err < 0) {
        return err;
    }
    int at = sleeper_find(s, key) >= 0 ? -1 : sleeper_find(s, NULL);
    if (at >= 0) {
        s->sleeps[at] = &own;
    }
    weft_mutex_unlock(&s->mutex);
    if (at < 0) {
        return -EEXIST;
    }
    struct weft_scope limit;
    weft_scope_enter(&limit, ns);
    err = weft_event_wait(&own.ended);
    int expired = weft_scope_exit(&limit);
    /* Also when cancelled: `own` must not stay in the list. */
    (void)!weft_mutex_lock_shielded(&s->mutex);
    s->sleeps[at] = NULL;
    weft_mutex_unlock(&s->mutex);
    *was_ended = err == 0;
    return expired == -ETIMEDOUT ? 0 : err;
}

/* End the sleep of that key; NULL: all. */
static int sleeper_end(struct sleeper *s, const char *key)
{
    int err = weft_mutex_lock(&s->mutex);
    for (int i = 0; err == 0 && i < SLEEPS_MAX; i++) {
        struct sleep *at = s->sleeps[i];
        if (at != NULL && (key == NULL || strcmp(at->key, key) == 0)) {
            weft_event_set(&at->ended);
        }
    }
    if (err == 0) {
        weft_mutex_unlock(&s->mutex);
    }
    return err;
}

static struct sleeper sleeper;

static void *sleep_under(void *key)
{
    bool was_ended = false;
    int64_t ns = strcmp(key, "short") == 0 ? WEFT_SECOND : 60 * WEFT_MINUTE;
    int err = sleeper_sleep(&sleeper, key, ns, &was_ended);
    const char *what = err == -EEXIST ? "is taken" : err < 0 ? "failed" : "has slept";
    printf("%s %s\n", (char *)key, was_ended ? "was ended" : what);
    return NULL;
}

static void *start(void *arg)
{
    static char *keys[] = {"short", "first", "second"};
    struct weft_group g;
    weft_group_enter(&g);
    for (int i = 0; i < 3; i++) {
        (void)weft_group_go(&g, sleep_under, keys[i]);
    }
    (void)weft_sleep(2 * WEFT_SECOND);
    (void)sleep_under("first"); /* somebody sleeps under it */
    (void)sleeper_end(&sleeper, "second");
    (void)weft_sleep(WEFT_SECOND);
    (void)sleeper_end(&sleeper, NULL);
    int err = weft_group_exit(&g);
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    /* On a clock that jumps: nobody has to wait for what is only slept. */
    struct weft_options options = {.simulation = true, .seed = 1};
    return weft_run_with(&options, start, NULL, NULL) < 0;
}
