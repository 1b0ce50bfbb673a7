/* SPDX-License-Identifier: MIT */
/*
 * The model explorer: does it find what is wrong and pass what is right?
 *
 * Small programs with a known answer, a wrong and a right version of each.
 */
#include "explorer/model.h"

#include "atomic.h"
#include "barrier.h"
#include "check.h"

static _Atomic(int) x;
static _Atomic(int) y;
static _Atomic(int) z;
static int data;
static int seen[MODEL_THREADS_MAX];

static void setup(void)
{
    atomic_store_relaxed(&x, 0);
    atomic_store_relaxed(&y, 0);
    atomic_store_relaxed(&z, 0);
    data = 0;
    memset(seen, 0, sizeof(seen));
}

/* ---- store buffers: each stores its flag and looks at the other's ---- */

static void check_one_saw(void)
{
    model_assert(seen[0] == 1 || seen[1] == 1);
}

static void dekker_plain_x(void)
{
    atomic_store_release(&x, 1);
    seen[0] = atomic_load_seq_cst(&y);
}

static void dekker_plain_y(void)
{
    atomic_store_release(&y, 1);
    seen[1] = atomic_load_seq_cst(&x);
}

static void dekker_seq_cst_x(void)
{
    atomic_store_seq_cst(&x, 1);
    seen[0] = atomic_load_seq_cst(&y);
}

static void dekker_seq_cst_y(void)
{
    atomic_store_seq_cst(&y, 1);
    seen[1] = atomic_load_seq_cst(&x);
}

static void dekker_acq_rel_x(void)
{
    atomic_exchange_acq_rel(&x, 1);
    seen[0] = atomic_load_seq_cst(&y);
}

static void dekker_light_x(void)
{
    atomic_store_release(&x, 1);
    barrier_light();
    seen[0] = atomic_load_relaxed(&y);
}

static void dekker_light_y(void)
{
    atomic_store_relaxed(&y, 1);
    barrier_light();
    seen[1] = atomic_load_relaxed(&x);
}

static void dekker_heavy_y(void)
{
    atomic_store_relaxed(&y, 1);
    model_barrier_heavy();
    seen[1] = atomic_load_relaxed(&x);
}

/* A third thread's barrier does not help the second. */
static void heavy_elsewhere(void)
{
    model_barrier_heavy();
}

static struct model_scenario dekker(const char *name, void (*a)(void), void (*b)(void))
{
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {a, b}, .check = check_one_saw};
}

static int test_dekker(void)
{
    struct model_scenario plain = dekker("dekker, release", dekker_plain_x, dekker_plain_y);
    struct model_scenario right = dekker("dekker, seq_cst", dekker_seq_cst_x, dekker_seq_cst_y);
    struct model_scenario half = dekker("dekker, one side", dekker_seq_cst_x, dekker_plain_y);
    struct model_scenario rmw = dekker("dekker, acq_rel RMW", dekker_acq_rel_x, dekker_seq_cst_y);
    struct model_scenario heavy = dekker("dekker, heavy", dekker_light_x, dekker_heavy_y);
    struct model_scenario light = dekker("dekker, light", dekker_light_x, dekker_light_y);
    struct model_scenario elsewhere =
        dekker("dekker, heavy elsewhere", dekker_light_x, dekker_light_y);
    elsewhere.threads[2] = heavy_elsewhere;
    int failures = model_finds(&plain, "seen[0]") + model_run(&right);
    failures += model_finds(&half, "seen[0]") + model_finds(&rmw, "seen[0]");
    failures += model_run(&heavy) + model_finds(&light, "seen[0]");
    failures += model_finds(&elsewhere, "seen[0]");
    plain.memory = MODEL_TSO;
    failures += model_finds(&plain, "seen[0]");
    rmw.memory = MODEL_TSO; /* on x86 every RMW is a full barrier */
    failures += model_run(&rmw);
    heavy.memory = MODEL_TSO;
    failures += model_run(&heavy);
    plain.memory = MODEL_SC;
    failures += model_run(&plain);
    return failures;
}

/* ---- message passing ---- */

static void check_message(void)
{
    model_assert(seen[1] != 1 || seen[2] == 42);
}

static void send_relaxed(void)
{
    atomic_store_relaxed(&x, 42);
    atomic_store_relaxed(&y, 1);
}

static void send_release(void)
{
    atomic_store_relaxed(&x, 42);
    atomic_store_release(&y, 1);
}

static void receive(void)
{
    seen[1] = atomic_load_acquire(&y);
    seen[2] = atomic_load_relaxed(&x);
}

static void send_plain(void)
{
    model_plain_write(&data);
    data = 42;
    atomic_store_release(&y, 1);
}

static void receive_plain_acquire(void)
{
    if (atomic_load_acquire(&y) == 1) {
        model_plain_read(&data);
        model_assert(data == 42);
    }
}

static void receive_plain_relaxed(void)
{
    if (atomic_load_relaxed(&y) == 1) {
        model_plain_read(&data);
    }
}

/* A relaxed RMW in between carries the release on; a relaxed store breaks it. */
static void pass_on_rmw(void)
{
    atomic_add_relaxed(&y, 2);
}

static void pass_on_store(void)
{
    if (atomic_load_relaxed(&y) == 1) {
        atomic_store_relaxed(&y, 3);
    }
}

static void receive_plain_third(void)
{
    if (atomic_load_acquire(&y) == 3) {
        model_plain_read(&data);
    }
}

static int test_message(void)
{
    struct model_scenario missing = {.name = "message, relaxed",
                                     .setup = setup,
                                     .threads = {send_relaxed, receive},
                                     .check = check_message};
    struct model_scenario right = {.name = "message, release",
                                   .setup = setup,
                                   .threads = {send_release, receive},
                                   .check = check_message};
    struct model_scenario plain = {
        .name = "message, plain", .setup = setup, .threads = {send_plain, receive_plain_acquire}};
    struct model_scenario race = {.name = "message, no acquire",
                                  .setup = setup,
                                  .threads = {send_plain, receive_plain_relaxed}};
    struct model_scenario carried = {.name = "message, RMW between",
                                     .setup = setup,
                                     .threads = {send_plain, pass_on_rmw, receive_plain_third}};
    struct model_scenario broken = {.name = "message, store between",
                                    .setup = setup,
                                    .threads = {send_plain, pass_on_store, receive_plain_third}};
    int failures = model_finds(&missing, "seen[2]") + model_run(&right) + model_run(&plain) +
                   model_finds(&race, "data race") + model_run(&carried) +
                   model_finds(&broken, "data race");
    missing.memory = MODEL_TSO; /* x86 keeps the order of stores */
    failures += model_run(&missing);
    return failures;
}

/* ---- updates, locks, waiting ---- */

static void check_two(void)
{
    model_assert(atomic_load_relaxed(&x) == 2);
}

static void add_badly(void)
{
    atomic_store_seq_cst(&x, atomic_load_seq_cst(&x) + 1);
}

static void add_well(void)
{
    atomic_add_relaxed(&x, 1);
}

static void add_by_cas(void)
{
    int was = atomic_load_relaxed(&x);
    while (!atomic_cas_relaxed(&x, &was, was + 1)) {
    }
}

static void lock(_Atomic(int) *word)
{
    while (atomic_exchange_acquire(word, 1) != 0) {
        cpu_relax();
    }
}

static void add_locked(void)
{
    lock(&y);
    model_plain_write(&data);
    data++;
    atomic_store_release(&y, 0);
}

static void add_locked_badly(void)
{
    lock(&y);
    model_plain_write(&data);
    data++;
    atomic_store_relaxed(&y, 0);
}

static void check_data(void)
{
    model_assert(data == 2);
}

static void lock_x_y(void)
{
    lock(&x);
    lock(&y);
    atomic_store_release(&y, 0);
    atomic_store_release(&x, 0);
}

static void lock_y_x(void)
{
    lock(&y);
    lock(&x);
    atomic_store_release(&x, 0);
    atomic_store_release(&y, 0);
}

/* The sleeper looks, then says that it sleeps; the waker looks only once: a lost wake-up. */
static void sleep_badly(void)
{
    if (atomic_load_seq_cst(&x) == 0) {
        atomic_store_seq_cst(&y, 1);
        model_wait_until(atomic_load_acquire(&z) != 0);
    }
}

static void sleep_well(void)
{
    atomic_store_seq_cst(&y, 1);
    if (atomic_load_seq_cst(&x) == 0) {
        model_wait_until(atomic_load_acquire(&z) != 0);
    }
}

static void wake(void)
{
    atomic_store_seq_cst(&x, 1);
    if (atomic_load_seq_cst(&y) != 0) {
        atomic_store_release(&z, 1);
    }
}

/* Goes on where nobody cares. What the sleeper read before its wait has changed by then; the search
 * must not take the wait's first turn, which that ends, for one that leads back to where it was. */
static void wake_and_go_on(void)
{
    wake();
    for (int i = 0; i < 2; i++) {
        seen[i] = atomic_load_relaxed(&x);
    }
}

static void give_up(void)
{
    for (int i = 0; i < 3 && atomic_load_relaxed(&x) == 0; i++) {
        cpu_relax();
    }
}

static void spin_without_relax(void)
{
    while (atomic_load_relaxed(&x) == 0) {
    }
}

static int test_waiting(void)
{
    struct model_scenario lost = {.name = "lost update",
                                  .setup = setup,
                                  .threads = {add_badly, add_badly},
                                  .check = check_two};
    struct model_scenario added = {
        .name = "update", .setup = setup, .threads = {add_well, add_by_cas}, .check = check_two};
    struct model_scenario locked = {
        .name = "lock", .setup = setup, .threads = {add_locked, add_locked}, .check = check_data};
    struct model_scenario unlocked_badly = {.name = "lock, relaxed unlock",
                                            .setup = setup,
                                            .threads = {add_locked_badly, add_locked_badly}};
    struct model_scenario deadlock = {
        .name = "deadlock", .setup = setup, .threads = {lock_x_y, lock_y_x}};
    struct model_scenario ordered = {
        .name = "locks in order", .setup = setup, .threads = {lock_x_y, lock_x_y}};
    struct model_scenario slept = {
        .name = "lost wake-up", .setup = setup, .threads = {sleep_badly, wake}};
    struct model_scenario unnoticed = {.name = "lost wake-up, unnoticed",
                                       .setup = setup,
                                       .threads = {sleep_badly, wake_and_go_on}};
    struct model_scenario woken = {
        .name = "wake-up", .setup = setup, .threads = {sleep_well, wake}};
    struct model_scenario starved = {
        .name = "bounded spin, no spins", .setup = setup, .threads = {give_up, NULL}};
    struct model_scenario bounded = {
        .name = "bounded spin", .setup = setup, .threads = {give_up, NULL}, .spins = 3};
    struct model_scenario endless = {
        .name = "endless loop", .setup = setup, .threads = {spin_without_relax, NULL}};
    int failures = model_finds(&lost, "&x") + model_run(&added) + model_run(&locked);
    failures += model_finds(&unlocked_badly, "data race") + model_finds(&deadlock, "deadlock");
    failures += model_run(&ordered) + model_finds(&slept, "deadlock") + model_run(&woken);
    failures += model_finds(&unnoticed, "deadlock");
    unnoticed.memory = MODEL_SC;
    failures += model_finds(&unnoticed, "deadlock");
    failures += model_finds(&starved, "deadlock") + model_run(&bounded);
    return failures + model_finds(&endless, "no end");
}

/* ---- memory that goes away ---- */

struct object {
    _Atomic(int) users;
    _Atomic(int) word;
};

static _Atomic(struct object *) object;

static void create(void)
{
    struct object *o = malloc(sizeof(*o));
    model_assert((uintptr_t)o % 16 == 0);
    atomic_store_relaxed(&o->users, 2);
    atomic_store_relaxed(&o->word, 0);
    atomic_store_release(&object, o);
}

static void setup_object(void)
{
    setup();
    create();
}

static void put(void)
{
    struct object *o = atomic_load_acquire(&object);
    atomic_store_relaxed(&o->word, 1);
    if (atomic_sub_acq_rel(&o->users, 1) == 1) {
        free(o);
    }
}

static void put_late(void)
{
    struct object *o = atomic_load_acquire(&object);
    if (atomic_sub_acq_rel(&o->users, 1) == 1) {
        free(o);
    } else {
        (void)atomic_load_relaxed(&o->word);
    }
}

/* The word is on the waiter's stack, and gone when the waiter returns. */
static _Atomic(_Atomic(int) *) waiter;

static void setup_waiter(void)
{
    setup();
    atomic_store_relaxed(&waiter, NULL);
}

static void waiter_wait(void)
{
    _Atomic(int) word;
    atomic_store_relaxed(&word, 0);
    atomic_store_release(&waiter, &word);
    model_wait_until(atomic_load_acquire(&word) != 0);
    model_retire(&word, sizeof(word));
}

static void waiter_wake(void)
{
    _Atomic(int) *word = NULL;
    model_wait_until((word = atomic_load_acquire(&waiter)) != NULL);
    atomic_store_release(word, 1);
}

static void waiter_wake_late(void)
{
    _Atomic(int) *word = NULL;
    model_wait_until((word = atomic_load_acquire(&waiter)) != NULL);
    atomic_store_release(word, 1);
    (void)atomic_load_relaxed(word);
    atomic_store_release(word, 1);
}

static int test_freed(void)
{
    struct model_scenario right = {
        .name = "last one frees", .setup = setup_object, .threads = {put, put}};
    struct model_scenario late = {
        .name = "use after put", .setup = setup_object, .threads = {put, put_late}};
    struct model_scenario woken = {
        .name = "stack word", .setup = setup_waiter, .threads = {waiter_wait, waiter_wake}};
    struct model_scenario touched = {.name = "stack word touched late",
                                     .setup = setup_waiter,
                                     .threads = {waiter_wait, waiter_wake_late}};
    return model_run(&right) + model_finds(&late, "use after free") + model_run(&woken) +
           model_finds(&touched, "use after free");
}

/* ---- widths and operations ---- */

static void widths(void)
{
    static _Atomic(int8_t) small;
    static _Atomic(uint16_t) half;
    static _Atomic(bool) flag;
    static _Atomic(int64_t) wide;
    static _Atomic(const char *) text;
    atomic_store_relaxed(&small, -3);
    atomic_store_relaxed(&half, 65535);
    atomic_store_relaxed(&flag, true);
    atomic_store_relaxed(&wide, -1);
    atomic_store_relaxed(&text, NULL);
    model_assert(atomic_load_relaxed(&small) == -3);
    model_assert(atomic_add_acq_rel(&half, 2) == 65535 && atomic_load_relaxed(&half) == 1);
    model_assert(atomic_exchange_release(&flag, false) && !atomic_load_acquire(&flag));
    model_assert(atomic_sub_seq_cst(&wide, 1) == -1 && atomic_load_seq_cst(&wide) == -2);
    model_assert(atomic_or_acq_rel(&wide, 1) == -2 && atomic_and_seq_cst(&wide, 6) == -1);
    model_assert(atomic_load_relaxed(&wide) == 6);
    const char *was = "";
    model_assert(!atomic_cas_acq_rel(&text, &was, "b") && was == NULL);
    model_assert(atomic_cas_seq_cst(&text, &was, "b") && atomic_load_relaxed(&text)[0] == 'b');
    model_assert(atomic_sub_acq_rel(&small, 126) == -3 && atomic_load_relaxed(&small) == 127);
}

static void asserts(void)
{
    WEFT_ASSERT(atomic_load_relaxed(&x) == 1);
}

static int test_operations(void)
{
    struct model_scenario right = {.name = "widths", .threads = {widths, NULL}, .check = widths};
    struct model_scenario broken = {.name = "assert", .setup = setup, .threads = {asserts, NULL}};
    return model_run(&right) + model_finds(&broken, "== 1");
}

/* ---- forgetting ---- */

static bool forgets;

static void count_up(void)
{
    for (int i = 0; i < 4; i++) {
        atomic_add_seq_cst(&x, 1);
    }
}

/* Whether it has ever seen 2 is all it remembers. */
static void look_for_two(void)
{
    for (int i = 0; i < 4; i++) {
        seen[0] |= atomic_load_seq_cst(&x) == 2;
        if (forgets) {
            model_forget((uint64_t)i << 1 | (uint64_t)seen[0]);
        }
    }
}

static void check_never_two(void)
{
    model_assert(seen[0] == 0);
}

static int test_forgetting(void)
{
    struct model_scenario s = {.name = "forgetting",
                               .setup = setup,
                               .threads = {count_up, look_for_two},
                               .value_states = true};
    forgets = false;
    uint64_t states = model_explore(&s).states;
    forgets = true;
    bool has_fewer = model_explore(&s).states < states;
    if (!has_fewer) {
        printf("FAILED: nothing was forgotten\n");
    }
    s.check = check_never_two;
    return !has_fewer + model_finds(&s, "seen[0] == 0");
}

int main(void)
{
    int failures = test_dekker() + test_message() + test_waiting() + test_freed() +
                   test_operations() + test_forgetting();
    return failures == 0 ? 0 : 1;
}
