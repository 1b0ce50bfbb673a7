/* SPDX-License-Identifier: MIT */
/*
 * The explorer's scopes: actors do what they do under deadlines, behind shields, and end each
 * other's scopes. A wait that fails has a reason, and one scope, or the task, answers for it.
 */
#ifndef WEFT_EXPLORER_SCOPES_H
#define WEFT_EXPLORER_SCOPES_H

#include "world.h"

static int act(struct actor *a);

/* A few actions inside a scope; the error of the last. */
static int act_inside(struct actor *a)
{
    int err = 0;
    for (uint32_t i = 1 + dice(a, 3); i > 0 && err == 0; i--) {
        err = act(a);
    }
    return err;
}

static int act_timeout(struct actor *a)
{
    struct frame frame = {.is_finite = dice(a, 4) != 0};
    frame_push(a, &frame);
    weft_scope_enter(&frame.scope, frame.is_finite ? dice(a, 5) * 100 * WEFT_US : WEFT_FOREVER);
    int err = act_inside(a);
    CHECK(err == 0 || weft_scope_error() < 0);
    frame_pop(a, &frame);
    int result = weft_scope_exit(&frame.scope);
    trace(a, "scope", result, err);
    CHECK(result == 0 || (result == -ETIMEDOUT && frame.is_finite) ||
          (result == -ECANCELED && frame.was_cancelled));
    /* A promise that another has cancelled fails an await, and no scope answers for it. */
    CHECK(result < 0 || err == 0 || weft_scope_error() < 0 || weft_scope_expired(&frame.scope));
    return err < 0 ? weft_scope_error() : 0;
}

/* Nobody can end what happens in a shield but a deadline inside it. */
static int act_shield(struct actor *a)
{
    struct frame shield = {.is_shield = true};
    frame_push(a, &shield);
    weft_shield_enter(&shield.scope);
    CHECK_EQUAL(weft_scope_error(), 0);
    struct frame frame = {.is_finite = true};
    frame_push(a, &frame);
    weft_scope_enter(&frame.scope, dice(a, 5) * 100 * WEFT_US);
    int err = act_inside(a);
    frame_pop(a, &frame);
    int result = weft_scope_exit(&frame.scope);
    CHECK(result < 0 || err == 0 || weft_scope_expired(&frame.scope));
    CHECK_EQUAL(weft_scope_error(), 0);
    frame_pop(a, &shield);
    CHECK_EQUAL(weft_scope_exit(&shield.scope), 0);
    return 0;
}

/* End another actor's scope, or the own one. */
static int act_scope_cancel(struct actor *a)
{
    struct actor *other = &actors[dice(a, (uint32_t)actor_count)];
    struct frame *frame = other->frames;
    if (frame != NULL && !frame->is_shield) {
        frame->was_cancelled = true;
        weft_scope_cancel(&frame->scope);
    }
    return 0;
}

static const struct action scope_actions[] = {
    {"timeout", act_timeout},
    {"timeout", act_timeout},
    {"shield", act_shield},
    {"scope cancel", act_scope_cancel},
};

#endif
