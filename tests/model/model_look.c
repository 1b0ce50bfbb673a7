/* SPDX-License-Identifier: MIT */
/*
 * Look: nobody looks at what is gone, one looks at a time, and who takes it away gets to do so.
 *
 * Two threads look twice each, the owner takes its thing away. The thing and the lookers' notes are
 * announced plain data, which fails as soon as two accesses are not ordered.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_END_RELAXED, /* P2 */
    MUTANT_SAY_RELAXED, /* P1: the owner's word may be seen after it has looked for lookers */
    MUTANT_NO_PASS,     /* the owner does not wait */
    MUTANT_UNASKED,     /* a looker asks what is gone before it begins */
};

static enum mutant mutant;

#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE(p, v, mutant == MUTANT_END_RELAXED ? MODEL_RELAXED : MODEL_RELEASE)

#include "look.c"

static struct look look;
static _Atomic(uint32_t) is_gone;
static int thing;
static int notes;

static void setup(void)
{
    memset(&look, 0, sizeof(look));
    atomic_store_relaxed(&is_gone, 0);
    thing = 0;
    notes = 0;
}

static void looker(void)
{
    for (int i = 0; i < 2; i++) {
        uint32_t was_gone = mutant == MUTANT_UNASKED ? atomic_load_seq_cst(&is_gone) : 0;
        if (!look_begin(&look)) {
            continue;
        }
        model_plain_write(&notes);
        notes++;
        if (mutant != MUTANT_UNASKED) {
            was_gone = atomic_load_seq_cst(&is_gone);
        }
        if (was_gone == 0) {
            model_plain_read(&thing);
            model_assert(thing == 0);
        }
        look_end(&look);
    }
}

static void owner(void)
{
    if (mutant == MUTANT_SAY_RELAXED) {
        atomic_store_relaxed(&is_gone, 1);
    } else {
        atomic_store_seq_cst(&is_gone, 1);
    }
    if (mutant != MUTANT_NO_PASS) {
        weft__look_pass(&look);
    }
    model_plain_write(&thing);
    thing = 1;
}

static void check(void)
{
    model_assert(atomic_load_relaxed(&look.count) % 2 == 0);
    model_assert(thing == 1 && notes >= 2);
}

static struct model_scenario scenario(const char *name)
{
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {owner, looker, looker},
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
    struct model_scenario s = scenario("look: an owner, two lookers");
    int failed = model_run(&s);
    failed += run_mutant(MUTANT_END_RELAXED, "look: end relaxed", "data race");
    failed += run_mutant(MUTANT_SAY_RELAXED, "look: say relaxed", "data race");
    failed += run_mutant(MUTANT_NO_PASS, "look: no pass", "data race");
    failed += run_mutant(MUTANT_UNASKED, "look: asked too early", "data race");
    return failed == 0 ? 0 : 1;
}
