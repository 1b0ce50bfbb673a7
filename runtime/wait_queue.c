/* SPDX-License-Identifier: MIT */
/* Wait queue: claiming; see wait_queue.h. */
#include "wait_queue.h"

#include "park.h"
#include "simulation.h"

bool weft__wait_queue_take(struct wait_queue *q, struct wait_node *n)
{
    (void)wait_queue_remove(q, n);
    return weft__wait_claim(n->fiber, n->ticket);
}

struct wait_node *weft__wait_queue_claim(struct wait_queue *q)
{
    struct wait_node *n;
    while ((n = q->first) != NULL && !weft__wait_queue_take(q, n)) {
        /* passed over */
    }
    return n;
}

void weft__wait_queue_resume(struct wait_node *n)
{
    bool has_point = simulation_is_on(n->fiber->top->rt);
    weft__fiber_ready(n->fiber);
    simulation_point_where(has_point);
}
