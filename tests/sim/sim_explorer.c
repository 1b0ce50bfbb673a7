/* SPDX-License-Identifier: MIT */
/*
 * Goal: nothing is lost or doubled, whatever tasks do and in whatever order: no task, wake-up,
 * item, outcome or callback.
 *
 * Method: programs that are made up, in a simulation. A few actors (explorer/world.h) each do a few
 * random things, among them spawning others and cancelling them. When all is quiet everybody who
 * waits must have a reason to; then all are cancelled until they have ended, and everything is
 * counted. The seed decides on both the program and the order. WEFT_SEED=<n> runs one, and
 * WEFT_SIM_TRACE=1 tells what it does.
 */
#include "explorer/channels.h"
#include "explorer/combine.h"
#include "explorer/conditions.h"
#include "explorer/futures.h"
#include "explorer/groups.h"
#include "explorer/scopes.h"
#include "explorer/sync.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* All sleeps and timers are shorter by far. */
#define QUIET_NS (10 * WEFT_SECOND)

/* Each actor acknowledges a few cancels. */
#define ROUNDS_MAX 40

/* What an actor may do: the first kinds are likelier. */
static const struct {
    const struct action *first;
    uint32_t count;
} kinds[] = {
    {future_actions, COUNT_OF(future_actions)},
    {future_actions, COUNT_OF(future_actions)},
    {channel_actions, COUNT_OF(channel_actions)},
    {channel_actions, COUNT_OF(channel_actions)},
    {combine_actions, COUNT_OF(combine_actions)},
    {scope_actions, COUNT_OF(scope_actions)},
    {sync_actions, COUNT_OF(sync_actions)},
    {sync_actions, COUNT_OF(sync_actions)},
    {condition_actions, COUNT_OF(condition_actions)},
    {group_actions, COUNT_OF(group_actions)},
};

static int act(struct actor *a)
{
    uint32_t kind = dice(a, COUNT_OF(kinds));
    return kinds[kind].first[dice(a, kinds[kind].count)].run(a);
}

/* Cancelled: go on all the same? */
static bool endure(struct actor *a)
{
    CHECK(weft_cancelling() > 0);
    if (a->patience == 0 || dice(a, 2) == 0) {
        return false;
    }
    a->patience--;
    while (weft_uncancel() > 0) {
        /* all of them */
    }
    a->is_asked = false;
    return true;
}

static void *actor_main(void *arg)
{
    struct actor *a = arg;
    CHECK(!a->has_started);
    a->has_started = true;
    int steps = 2 + (int)dice(a, 12);
    int err = 0;
    for (int i = 0; i < steps && err == 0; i++) {
        err = act(a);
        CHECK(err == 0 || err == -ECANCELED);
        err = err < 0 && endure(a) ? 0 : err;
    }
    CHECK(!a->has_ended);
    a->has_ended = true;
    trace(a, "end", 0, err);
    return err < 0 ? weft_fail(err) : a;
}

static bool all_have_ended(void)
{
    bool have = true;
    for (int i = 0; i < actor_count; i++) {
        have = have && weft_done(actors[i].task);
    }
    return have;
}

static void end_all(void)
{
    for (int round = 0; !all_have_ended(); round++) {
        CHECK(round < ROUNDS_MAX);
        for (int i = 0; i < actor_count; i++) {
            struct actor *one = &actors[i];
            if (one->task != NULL) { /* else its spawn has not returned yet: in the next round */
                one->is_asked = true;
                (void)weft_cancel(one->task);
            }
        }
        CHECK_EQUAL(weft_sleep(WEFT_SECOND), 0);
        world_check_quiet();
    }
}

static void never(void *arg)
{
    (void)arg;
    dprintf(STDERR_FILENO, "the program does not come to its end\n");
    abort();
}

static void *play(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    weft_timer *watchdog;
    CHECK_EQUAL(weft_timer_create(&watchdog, weft_runtime_current(), never, NULL), 0);
    CHECK_EQUAL(weft_timer_start(watchdog, 1000 * WEFT_SECOND), 0);
    futures_begin();
    channels_begin();
    sync_begin();
    conditions_begin();
    groups_begin();
    for (int i = 0; i < ACTORS_FIRST; i++) {
        struct actor *a = actor_new(test_random(&seed));
        a->task = weft_spawn(actor_main, a);
        CHECK(a->task != NULL);
    }
    CHECK_EQUAL(weft_sleep(QUIET_NS), 0);
    world_check_quiet();
    end_all();
    channels_end();
    sync_end();
    conditions_end();
    groups_end();
    futures_end();
    weft_timer_destroy(watchdog);
    return NULL;
}

static void explore(uint64_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t seed = first + i;
        assert_true(sim_run(seed, play, &seed));
    }
}

static void known_seeds(void **state)
{
    (void)state;
    if (sim_is_repeated()) {
        explore(strtoull(getenv("WEFT_SEED"), NULL, 10), 1);
        return;
    }
    explore(1, test_scaled(1500, 150));
}

static void other_seeds(void **state)
{
    (void)state;
    if (!sim_is_repeated()) {
        explore(test_seed() & 0xffffffffffff, test_scaled(1500, 150));
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_seeds),
        cmocka_unit_test(other_seeds),
    };
    sim_begin(argv[0]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
