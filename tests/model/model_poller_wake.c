/* SPDX-License-Identifier: MIT */
/*
 * Wakes of a poller: no message stays in the inbox of a worker that sleeps, though helpers deliver
 * messages for it, and take wakes off that are meant for it.
 *
 * idle.c, guard.c and mpsc.h as they are, in the sequences of worker.c (sleep_in_poller,
 * sleep_watching), ready.c (worker_send, pinned_deliver), rescue.c (help) and of the pollers (wait,
 * harvest, wake). The kernel's part is a word: an eventfd, watched edge by edge, has been written
 * to. Each message is delivered once; a pinned one by its worker, to which a helper sends it again.
 * A wake that is lost is a deadlock.
 *
 * Then the protocol without each of its parts, which has to be found.
 */
#include "explorer/model.h"

#include "guard.c"
#include "idle.c"

#include "mpsc.h"

enum { WORKER = 0, MESSAGES = 2 };

enum mutant {
    MUTANT_NONE,
    MUTANT_NO_NOTE,     /* a helper does not say that it has taken a wake off */
    MUTANT_NO_LOOK,     /* a wait does not look whether one was */
    MUTANT_NO_INBOX,    /* the worker does not look at its inbox before it sleeps */
    MUTANT_INBOX_FIRST, /* or before it has said that it is about to */
    MUTANT_WATCH_ON,    /* who wakes now and then does not look whether it was woken */
    MUTANT_NO_CLAIM,    /* a helper does not claim the poller */
    MUTANT_CLEAR_LATE,  /* a wait takes its note back when it has left */
    MUTANT_KEEP_PINNED, /* a helper leaves a pinned message in the inbox, and wakes nobody */
};

static enum mutant mutant;
static bool is_pinned;  /* the first message */
static bool is_watcher; /* the worker sleeps with a limit once */

static struct idle idle;
static struct guard guard;
static struct mpsc inbox;
static struct mpsc_node node[MESSAGES];
static _Atomic(uint32_t) edge;  /* the kernel's */
static _Atomic(uint32_t) taken; /* messages that have been delivered */
static int is_woken;            /* struct io_poller.is_woken */

/* All that a thread knows at this point. */
#define FORGET(one, other) model_forget((unsigned)(one) << 1 | (unsigned)(other))

static void setup(void)
{
    idle_init(&idle, 2);
    memset(&guard, 0, sizeof(guard));
    mpsc_init(&inbox);
    atomic_store_relaxed(&edge, 0);
    atomic_store_relaxed(&taken, 0);
    is_woken = 0;
}

static bool all_taken(void)
{
    return atomic_load_seq_cst(&taken) == MESSAGES;
}

/* ---- ready.c ---- */

static void send_message(struct mpsc_node *n)
{
    mpsc_push(&inbox, n);
    if (mutant == MUTANT_KEEP_PINNED && model_self() != 1) {
        return;
    }
    if (weft__idle_claim_one(&idle, WORKER)) {
        atomic_store_seq_cst(&edge, 1); /* poller_ops.wake */
    }
}

static void deliver(bool is_helper)
{
    struct mpsc_node *n = mpsc_take_all(&inbox);
    while (n != NULL) {
        struct mpsc_node *next = n->next;
        if (is_helper && is_pinned && n == &node[0]) {
            send_message(n);
        } else {
            (void)atomic_add_seq_cst(&taken, 1);
        }
        n = next;
    }
}

/* ---- a poller ---- */

static void note_wake(void)
{
    if (atomic_exchange_seq_cst(&edge, 0) != 0 && mutant != MUTANT_NO_NOTE) {
        model_plain_write(&is_woken);
        is_woken = 1;
    }
}

static void poller_wait(bool sleeps)
{
    guard_enter(&guard);
    FORGET(sleeps, is_watcher);
    model_plain_read(&is_woken);
    if (sleeps && (is_woken == 0 || mutant == MUTANT_NO_LOOK)) {
        model_wait_until(all_taken() || atomic_load_seq_cst(&edge) != 0);
    }
    note_wake();
    if (mutant == MUTANT_CLEAR_LATE) {
        guard_leave(&guard);
    }
    model_plain_write(&is_woken);
    is_woken = 0;
    if (mutant != MUTANT_CLEAR_LATE) {
        guard_leave(&guard);
    }
}

/* ---- worker.c ---- */

/* Whether there is something that the worker is to see to before it sleeps on. */
static bool is_awaited(void)
{
    return !mpsc_empty(&inbox);
}

static void worker(void)
{
    bool is_searching = false;
    bool watches = is_watcher;
    while (!all_taken()) {
        FORGET(is_searching, watches);
        deliver(false);
        FORGET(is_searching, watches);
        bool was_awaited = mutant == MUTANT_INBOX_FIRST && is_awaited();
        (void)weft__idle_park(&idle, WORKER, is_searching);
        bool now_awaited = mutant == MUTANT_INBOX_FIRST ? was_awaited
                           : mutant == MUTANT_NO_INBOX  ? false
                                                        : is_awaited();
        if (watches && !now_awaited) {
            watches = false;
            poller_wait(false); /* its limit is over at once */
            now_awaited = mutant != MUTANT_WATCH_ON && !idle_is_parked(&idle, WORKER);
            now_awaited = now_awaited || is_awaited();
        }
        FORGET(now_awaited, watches);
        poller_wait(!now_awaited);
        FORGET(0, watches);
        is_searching = weft__idle_unpark(&idle, WORKER, false);
    }
}

/* ---- others ---- */

static void sender(void)
{
    for (int i = 0; i < MESSAGES; i++) {
        send_message(&node[i]);
        FORGET(0, 0);
    }
}

/* rescue.c: help */
static void helper(void)
{
    if (mutant == MUTANT_NO_CLAIM || weft__guard_claim(&guard)) {
        FORGET(0, 0);
        deliver(true);
        FORGET(0, 0);
        note_wake();
        guard_unclaim(&guard);
    }
}

static void check(void)
{
    model_assert(mpsc_empty(&inbox));
    model_assert(atomic_load_relaxed(&taken) == MESSAGES);
}

static struct model_scenario scenario(const char *name, bool pinned, bool watches)
{
    is_pinned = pinned;
    is_watcher = watches;
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {worker, sender, helper},
        .value_states = true,
    };
}

static int run(const char *name, bool pinned, bool watches)
{
    struct model_scenario s = scenario(name, pinned, watches);
    return model_run(&s);
}

static int run_mutant(enum mutant which, const char *name, const char *rule)
{
    mutant = which;
    struct model_scenario s =
        scenario(name, which == MUTANT_KEEP_PINNED, which == MUTANT_WATCH_ON);
    return model_finds(&s, rule);
}

int main(void)
{
    int failed = run("poller wake: a helper", false, false);
    failed += run("poller wake: a pinned message", true, false);
    failed += run("poller wake: a watcher", false, true);
    failed += run_mutant(MUTANT_NO_NOTE, "poller wake: not noted", "deadlock");
    failed += run_mutant(MUTANT_NO_LOOK, "poller wake: not looked at", "deadlock");
    failed += run_mutant(MUTANT_NO_INBOX, "poller wake: no look at the inbox", "deadlock");
    failed += run_mutant(MUTANT_INBOX_FIRST, "poller wake: the inbox first", "deadlock");
    failed += run_mutant(MUTANT_WATCH_ON, "poller wake: a watcher sleeps on", "deadlock");
    failed += run_mutant(MUTANT_NO_CLAIM, "poller wake: no claim", "data race");
    failed += run_mutant(MUTANT_CLEAR_LATE, "poller wake: cleared outside", "data race");
    failed += run_mutant(MUTANT_KEEP_PINNED, "poller wake: pinned, no wake", "deadlock");
    return failed == 0 ? 0 : 1;
}
