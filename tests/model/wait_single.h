/* SPDX-License-Identifier: MIT */
/* For model_wait.c: the waits of a runtime with one worker, where a wait begins with a plain store
 * (fiber.h P6). Those who end it are on other threads. */
#ifndef WEFT_WAIT_SINGLE_H
#define WEFT_WAIT_SINGLE_H

static struct model_scenario single(struct model_scenario s)
{
    is_single = true;
    return s;
}

static int test_single(void)
{
    struct model_scenario s = single(scenario("single: cancelled", WAIT_CLAIMABLE, 1));
    int failures = model_run(&s);
    s = single(with(scenario("single: woken or cancelled", WAIT_CLAIMABLE, 1), waker, NULL));
    failures += model_run(&s);
    s = single(with(scenario("single: two waits, woken or cancelled", WAIT_CLAIMABLE, 2), waker,
                    NULL));
    s.memory = MODEL_SC;
    failures += model_run(&s);
    s = single(with(scenario("single: an operation, cancelled", WAIT_OPERATION, 1), kernel, NULL));
    failures += model_run(&s);
    s = single(nested("single: of a nested task, the one under it is cancelled"));
    s.threads[2] = NULL;
    failures += model_run(&s);
    s = single(started("single: of a task that starts"));
    failures += model_run(&s);
    s = single(awaiting("single: for a task, cancelled"));
    failures += model_run(&s);
    s = single(scope_cancelled("single: in a scope that is cancelled"));
    failures += model_run(&s);
    mutant = MUTANT_SETTLE_LIGHT;
    s.name = "single, mutant: a scope's canceller passes no barrier";
    failures += model_finds(&s, "deadlock");
    s = single(scenario("single, mutant: a canceller passes no barrier", WAIT_CLAIMABLE, 1));
    mutant = MUTANT_SETTLE_LIGHT;
    failures += model_finds(&s, "deadlock");
    s = single(started("single, mutant: the same, of a task that starts"));
    mutant = MUTANT_SETTLE_LIGHT;
    return failures + model_finds(&s, "deadlock");
}

#endif
