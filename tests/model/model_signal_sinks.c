/* SPDX-License-Identifier: MIT */
/*
 * The list of signal sinks: a handler that walks it never uses a sink that was taken out, finds one
 * that is linked whole, and finds those that stay.
 *
 * Two handlers walk while one thread links a sink, takes it out and frees it, as the last of three
 * or as the first. What a sink has is announced plain data.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_NO_WAIT,       /* P1 */
    MUTANT_COUNT_LATE,    /* P1: the walker counts itself after its first look */
    MUTANT_LEAVE_RELAXED, /* P2 */
    MUTANT_LINK_RELAXED,  /* P3 */
};

static enum mutant mutant;

#undef atomic_sub_release
#define atomic_sub_release(p, v) \
    MODEL_MODIFY(p, v, MODEL_SUB, mutant == MUTANT_LEAVE_RELAXED ? MODEL_RELAXED : MODEL_RELEASE)
#undef atomic_store_seq_cst
#define atomic_store_seq_cst(p, v) \
    MODEL_STORE(p, v, \
                mutant == MUTANT_LINK_RELAXED && strcmp(__func__, "signal_sinks_link") == 0 \
                    ? MODEL_RELAXED \
                    : MODEL_SEQ_CST)

#include "signal_sinks.h"

struct test_sink {
    struct signal_sink sink;
    int told;
};

static struct signal_sinks list;
static struct signal_sink stays;
static _Atomic(uint32_t) told;
static _Atomic(uint32_t) told_stays;
static bool is_first;
static struct test_sink goes;

static void arrive_stays(struct signal_sink *s, int signo)
{
    (void)s;
    (void)signo;
    (void)atomic_add_relaxed(&told_stays, 1);
}

static void arrive_goes(struct signal_sink *s, int signo)
{
    (void)signo;
    model_plain_read(&((struct test_sink *)(void *)s)->told);
}

static void setup(void)
{
    memset(&list, 0, sizeof list);
    memset(&stays, 0, sizeof stays);
    memset(&goes, 0, sizeof goes);
    stays.arrive = arrive_stays;
    atomic_store_relaxed(&stays.wanted, signal_bit(1));
    atomic_store_relaxed(&told_stays, 0);
    atomic_store_relaxed(&told, 0);
    goes.sink.arrive = arrive_goes;
    atomic_store_relaxed(&goes.sink.wanted, signal_bit(1));
    if (is_first) {
        signal_sinks_link(&list, &stays);
    }
}

static void handler(void)
{
    struct signal_sink *early = NULL;
    if (mutant == MUTANT_COUNT_LATE) {
        early = atomic_load_seq_cst(&list.first);
        signal_sinks_enter(&list);
        if (early != NULL) {
            early->arrive(early, 1);
        }
        signal_sinks_leave(&list);
        return;
    }
    signal_sinks_enter(&list);
    bool is_wanted = signal_sinks_tell(&list, 1);
    signal_sinks_leave(&list);
    model_assert(is_wanted || !is_first);
}

static void changer(void)
{
    model_plain_write(&goes.told);
    signal_sinks_link(&list, &goes.sink);
    if (!is_first) {
        signal_sinks_link(&list, &stays);
    }
    signal_sinks_unlink(&list, &goes.sink);
    while (mutant != MUTANT_NO_WAIT && signal_sinks_is_walked(&list)) {
        cpu_relax();
    }
    model_plain_write(&goes.told); /* its memory is the owner's again */
}

static void check(void)
{
    model_assert(atomic_load_relaxed(&list.walkers) == 0);
    model_assert(atomic_load_relaxed(&list.first) == &stays);
    model_assert(!is_first || mutant != MUTANT_NONE || atomic_load_relaxed(&told_stays) == 2);
}

static struct model_scenario scenario(const char *name)
{
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {changer, handler, handler},
    };
}

static int run_mutant(enum mutant which, const char *name)
{
    mutant = which;
    struct model_scenario s = scenario(name);
    return model_finds(&s, "data race");
}

int main(void)
{
    is_first = false;
    struct model_scenario s = scenario("sinks: one goes from behind another");
    int failed = model_run(&s);
    is_first = true;
    s = scenario("sinks: one goes from before another");
    failed += model_run(&s);
    failed += run_mutant(MUTANT_NO_WAIT, "sinks: nobody waits for walkers");
    failed += run_mutant(MUTANT_COUNT_LATE, "sinks: a walker counts itself late");
    failed += run_mutant(MUTANT_LEAVE_RELAXED, "sinks: leave relaxed");
    failed += run_mutant(MUTANT_LINK_RELAXED, "sinks: link relaxed");
    return failed == 0 ? 0 : 1;
}
