/* SPDX-License-Identifier: MIT */
/*
 * Signal hub: who in a runtime wants to know of which signals; made when the first does.
 *
 *      handler (any thread)        worker                              tasks, callbacks
 *      arrived |= bit
 *      was it empty? message  -->  bits = arrived, 0
 *                                  lock; for each bit:
 *                                    registrations: queue the callback
 *                                    waiters that want it: claim
 *                                    none, but it was waited for: kept |= bit
 *                                  unlock; let the claimed go on  -->
 *
 * A callback is in a queue, or runs, once at a time: what comes while it is queued is the same
 * call; what comes while it runs has it queued anew when it returns. One that is removed meanwhile
 * is freed by the worker that runs it, or would have.
 *
 * A signal belongs to nothing live, as an expiring timer does not: so the delivery visits the
 * runtime (visit.c) as long as callbacks can be queued, and does nothing after that. The hub is out
 * of the handler's reach before the workers are stopped, and goes with the runtime's memory: a
 * message may be under way till they have ended.
 *
 * Invariants
 *   I1  a signal is wanted of the sink once for each registration, and once if it is in `held`.
 *   I2  kept is within held.
 *
 * Lock order: hub, then that of the actions.
 * Pairs
 *   P1  arrive: arrived, acq_rel    -> deliver: arrived, acq_rel     the message is used once
 *   P2  create: signals, release    -> find: signals, acquire        the hub
 *
 * Tested: tests/unit/test_rt_signal.c.
 */
#ifndef WEFT_SIGNAL_HUB_H
#define WEFT_SIGNAL_HUB_H

#include "runtime_object.h"

/* All wishes of a runtime's are taken back; no callback of it is live. Context: who closes. */
void weft__signal_hub_close(weft_runtime *rt);

/* Free the memory. Context: as weft__runtime_free. */
void weft__signal_hub_free(weft_runtime *rt);

#endif
