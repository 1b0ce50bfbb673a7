/* SPDX-License-Identifier: MIT */
/*
 * The guard: the owner and the claimers are never inside together, each sees what those before did,
 * and the owner always gets in.
 *
 * The owner enters twice, two claimers try. What the guard protects is announced plain data, which
 * fails as soon as two accesses are not ordered.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_NO_HEAVY,        /* P1 */
    MUTANT_LEAVE_RELAXED,   /* P2 */
    MUTANT_UNCLAIM_RELAXED, /* P3 */
    MUTANT_CLAIM_UNCHECKED, /* a claim does not look whether the owner is inside */
    MUTANT_KEEP_CLAIM,      /* a claimer that gives way leaves its claim behind */
};

static enum mutant mutant;

#include "barrier.h"
#undef weft__barrier_heavy
#define weft__barrier_heavy() (mutant == MUTANT_NO_HEAVY ? (void)0 : model_barrier_heavy())

#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE(p, v, \
                mutant == (strcmp(__func__, "guard_leave") == 0 ? MUTANT_LEAVE_RELAXED \
                                                                : MUTANT_UNCLAIM_RELAXED) \
                    ? MODEL_RELAXED \
                    : MODEL_RELEASE)

#include "guard.c"

static struct guard guard;
static int guarded;

static void setup(void)
{
    memset(&guard, 0, sizeof(guard));
    guarded = 0;
}

static void use(void)
{
    model_plain_write(&guarded);
    guarded++;
}

static void owner(void)
{
    for (int i = 0; i < 2; i++) {
        guard_enter(&guard);
        use();
        guard_leave(&guard);
    }
}

static void claimer(void)
{
    bool is_in;
    if (mutant == MUTANT_CLAIM_UNCHECKED) {
        uint32_t nobody = 0;
        is_in = atomic_cas_acquire(&guard.is_claimed, &nobody, 1);
    } else {
        is_in = weft__guard_claim(&guard);
    }
    if (is_in) {
        use();
        guard_unclaim(&guard);
    } else if (mutant == MUTANT_KEEP_CLAIM) {
        atomic_store_relaxed(&guard.is_claimed, 1);
    }
}

static void check(void)
{
    model_assert(atomic_load_relaxed(&guard.is_inside) == 0);
    model_assert(atomic_load_relaxed(&guard.is_claimed) == 0);
    model_assert(guarded >= 2);
}

static struct model_scenario scenario(const char *name)
{
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {owner, claimer, claimer},
    };
}

static int run_mutant(enum mutant which, const char *name, const char *rule)
{
    mutant = which;
    struct model_scenario s = scenario(name);
    return model_finds(&s, rule);
}

int main(void)
{
    struct model_scenario s = scenario("guard: an owner, two claimers");
    int failed = model_run(&s);
    failed += run_mutant(MUTANT_NO_HEAVY, "guard: no heavy barrier", "data race");
    failed += run_mutant(MUTANT_LEAVE_RELAXED, "guard: leave relaxed", "data race");
    failed += run_mutant(MUTANT_UNCLAIM_RELAXED, "guard: unclaim relaxed", "data race");
    failed += run_mutant(MUTANT_CLAIM_UNCHECKED, "guard: claim without a look", "data race");
    failed += run_mutant(MUTANT_KEEP_CLAIM, "guard: keep the claim", "is_claimed");
    return failed == 0 ? 0 : 1;
}
