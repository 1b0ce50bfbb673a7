/* SPDX-License-Identifier: MIT */
/* Signal hub: registrations, waits, delivery; see signal_hub.h. */
#include "signal_hub.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <weft/signal.h>

#include "locals.h"
#include "signal_action.h"
#include "simulation.h"
#include "sync_word.h"

struct signal_registration {
    struct callback callback;
    struct signal_hub *hub;  /* immutable, as the next three */
    int signo;
    weft_signal_fn fn;
    void *arg;
    struct local_set *locals; /* of who registered it; the call's while it runs */
    /* under the hub's lock */
    struct signal_registration *next;
    bool is_queued;
    bool is_running;
    bool is_again; /* it has come since the call began */
    bool is_removed;
};

/* A task that waits; on its stack. */
struct signal_wait {
    struct wait_node node;
    uint64_t wanted;
    int signo; /* what came; written by the one who claimed it */
};

struct signal_hub {
    struct signal_sink sink;
    weft_runtime *rt;
    struct message message; /* to a worker; P1 */
    _Atomic(uint64_t) arrived;
    pthread_mutex_t lock;
    /* under lock */
    struct signal_registration *first;
    struct wait_queue waits;
    uint64_t held; /* was waited for, and not released */
    uint64_t kept; /* came while nobody waited */
};

static void signal_invoke(struct callback *c);

/* Queue the callback, if it is not. Lock held; the runtime stays. */
static void registration_tell(struct signal_registration *r)
{
    if (r->is_running) {
        r->is_again = true;
    } else if (!r->is_queued) {
        r->is_queued = true;
        weft__callback_queue(r->hub->rt, &r->callback);
    }
}

static void registration_free(struct signal_registration *r)
{
    weft__locals_drop(r->locals);
    free(r);
}

static void registration_call(struct signal_registration *r)
{
    struct callback_frame frame;
    callback_begin(&frame, r->locals, (uintptr_t)r->fn);
    /* For the next call; without memory for a copy that has none. */
    (void)locals_capture(frame.worker, &r->locals);
    r->fn(r->signo, r->arg);
    callback_end(&frame);
}

static void signal_invoke(struct callback *c)
{
    struct signal_registration *r = WEFT_CONTAINER(c, struct signal_registration, callback);
    struct signal_hub *hub = r->hub;
    pthread_mutex_lock(&hub->lock);
    r->is_queued = false;
    r->is_running = !r->is_removed;
    bool is_wanted = r->is_running;
    pthread_mutex_unlock(&hub->lock);
    if (is_wanted) {
        registration_call(r);
    }
    pthread_mutex_lock(&hub->lock);
    bool is_over = r->is_removed;
    r->is_running = false;
    if (!is_over && r->is_again) {
        r->is_again = false;
        registration_tell(r);
    }
    pthread_mutex_unlock(&hub->lock);
    if (is_over) {
        registration_free(r);
    }
}

/* Claim all that wait for it. Lock held. Returns whether there was any. */
static bool waits_claim(struct signal_hub *hub, int signo, struct wait_chain *claimed)
{
    struct wait_queue *q = &hub->waits;
    bool is_any = false;
    struct wait_node *last = q->first == NULL ? NULL : q->first->prev;
    struct wait_node *n = q->first;
    while (n != NULL) {
        struct wait_node *next = n == last ? NULL : n->next;
        struct signal_wait *w = WEFT_CONTAINER(n, struct signal_wait, node);
        if ((w->wanted & signal_bit(signo)) != 0 && weft__wait_queue_take(q, n)) {
            w->signo = signo;
            wait_chain_add(claimed, n);
            is_any = true;
        }
        n = next;
    }
    return is_any;
}

/* Lock held; the runtime stays. */
static void hub_tell(struct signal_hub *hub, int signo, struct wait_chain *claimed)
{
    for (struct signal_registration *r = hub->first; r != NULL; r = r->next) {
        if (r->signo == signo) {
            registration_tell(r);
        }
    }
    if (!waits_claim(hub, signo, claimed)) {
        hub->kept |= hub->held & signal_bit(signo); /* I2 */
    }
}

static void hub_deliver(struct message *m, struct worker *w)
{
    struct signal_hub *hub = WEFT_CONTAINER(m, struct signal_hub, message);
    (void)w;
    uint64_t bits = atomic_exchange_acq_rel(&hub->arrived, 0); /* ORD P1: from here on anew */
    if (weft__runtime_enter_unkept(hub->rt, RUNTIME_STOPPING) < 0) {
        return;
    }
    struct wait_chain claimed = {NULL, NULL};
    simulation_touch(hub->rt);
    pthread_mutex_lock(&hub->lock);
    for (; bits != 0; bits &= bits - 1) {
        hub_tell(hub, __builtin_ctzll(bits) + 1, &claimed);
    }
    pthread_mutex_unlock(&hub->lock);
    weft__wait_chain_resume(&claimed);
    runtime_leave(hub->rt);
}

/* Context: async-signal. */
static void hub_arrive(struct signal_sink *s, int signo)
{
    struct signal_hub *hub = WEFT_CONTAINER(s, struct signal_hub, sink);
    /* ORD P1: who finds it empty has the message, which was delivered; else it is under way. */
    if (atomic_or_acq_rel(&hub->arrived, signal_bit(signo)) == 0) {
        hub->message.deliver = hub_deliver;
        weft__worker_send(&hub->rt->workers[0], &hub->message);
    }
}

static struct signal_hub *hub_find(weft_runtime *rt)
{
    return atomic_load_acquire(&rt->signals); /* ORD P2: the hub */
}

/* The runtime's, made if there is none. NULL: no memory. Context: one of its workers. */
static struct signal_hub *hub_get(weft_runtime *rt)
{
    struct signal_hub *hub = hub_find(rt);
    if (hub != NULL) {
        return hub;
    }
    struct signal_hub *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->sink.arrive = hub_arrive;
    made->rt = rt;
    pthread_mutex_init(&made->lock, NULL);
    /* ORD P2: whole. */
    if (atomic_cas_acq_rel(&rt->signals, &hub, made)) {
        return made;
    }
    pthread_mutex_destroy(&made->lock);
    free(made);
    return hub;
}

int weft_on_signal(int signo, weft_signal_fn fn, void *arg)
{
    struct worker *w = weft__worker_current();
    if (w == NULL) {
        return -EPERM;
    }
    if (fn == NULL) {
        return -EINVAL;
    }
    struct signal_hub *hub = hub_get(w->rt);
    struct signal_registration *r = hub == NULL ? NULL : calloc(1, sizeof *r);
    if (r == NULL || locals_capture(w, &r->locals) < 0) {
        free(r);
        return -ENOMEM;
    }
    r->callback.invoke = signal_invoke;
    r->hub = hub;
    r->signo = signo;
    r->fn = fn;
    r->arg = arg;
    pthread_mutex_lock(&hub->lock);
    int err = weft__signal_want(&hub->sink, signo);
    if (err == 0) {
        struct signal_registration **last = &hub->first;
        while (*last != NULL) {
            last = &(*last)->next;
        }
        *last = r;
    }
    pthread_mutex_unlock(&hub->lock);
    if (err < 0) {
        registration_free(r);
    }
    return err;
}

int weft_on_signal_remove(int signo, weft_signal_fn fn, void *arg)
{
    struct worker *w = weft__worker_current();
    if (w == NULL) {
        return -EPERM;
    }
    struct signal_hub *hub = hub_find(w->rt);
    if (hub == NULL) {
        return 0;
    }
    struct signal_registration *removed = NULL;
    int count = 0;
    pthread_mutex_lock(&hub->lock);
    struct signal_registration **link = &hub->first;
    while (*link != NULL) {
        struct signal_registration *r = *link;
        if (r->signo != signo || r->fn != fn || r->arg != arg) {
            link = &r->next;
            continue;
        }
        *link = r->next;
        weft__signal_unwant(&hub->sink, signo);
        count++;
        r->is_removed = true;
        if (!r->is_queued && !r->is_running) {
            r->next = removed;
            removed = r;
        }
    }
    pthread_mutex_unlock(&hub->lock);
    while (removed != NULL) {
        struct signal_registration *next = removed->next;
        registration_free(removed);
        removed = next;
    }
    return count;
}

static uint64_t bits_of(const sigset_t *set)
{
    uint64_t bits = 0;
    for (int signo = 1; signo <= SIGNAL_NUMBERS; signo++) {
        bits |= sigismember(set, signo) == 1 ? signal_bit(signo) : 0;
    }
    return bits;
}

/* Give back what of held is in bits. Lock held. */
static void hub_release(struct signal_hub *hub, uint64_t bits)
{
    for (bits &= hub->held; bits != 0; bits &= bits - 1) {
        weft__signal_unwant(&hub->sink, __builtin_ctzll(bits) + 1);
        hub->held &= ~(bits & -bits);
    }
    hub->kept &= hub->held;
}

/* Take what of bits is not held. Lock held. 0; or an error, and nothing was taken. */
static int hub_hold(struct signal_hub *hub, uint64_t bits)
{
    uint64_t taken = 0;
    for (bits &= ~hub->held; bits != 0; bits &= bits - 1) {
        int err = weft__signal_want(&hub->sink, __builtin_ctzll(bits) + 1);
        if (err < 0) {
            hub_release(hub, taken);
            return err;
        }
        taken |= bits & -bits;
        hub->held |= bits & -bits;
    }
    return 0;
}

/* One that was kept; 0: none. Lock held. */
static int hub_take_kept(struct signal_hub *hub, uint64_t bits)
{
    bits &= hub->kept;
    if (bits == 0) {
        return 0;
    }
    hub->kept &= ~(bits & -bits);
    return __builtin_ctzll(bits) + 1;
}

/* The wait, with the lock, which it lets go of. */
static int hub_wait(struct signal_hub *hub, struct fiber *f, uint64_t bits)
{
    struct signal_wait wait = {.wanted = bits};
    pthread_mutex_lock(&hub->lock);
    int got = hub_hold(hub, bits);
    got = got < 0 ? got : hub_take_kept(hub, bits);
    if (got != 0) {
        pthread_mutex_unlock(&hub->lock);
        return got;
    }
    f->wait_for = WAIT_FOR_SIGNAL;
    int err = weft__sync_wait_begin(&wait.node, f, WAIT_CLAIMABLE, hub);
    if (err < 0) {
        pthread_mutex_unlock(&hub->lock);
        return weft__sync_wait_refused(&wait.node, err);
    }
    wait_queue_push(&hub->waits, &wait.node);
    pthread_mutex_unlock(&hub->lock);
    weft__park(f);
    err = f->outcome;
    if (err < 0) {
        pthread_mutex_lock(&hub->lock);
        (void)wait_queue_remove(&hub->waits, &wait.node);
        pthread_mutex_unlock(&hub->lock);
        return err;
    }
    return wait.signo;
}

int weft_signal_wait(const sigset_t *set)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL) {
        return -EPERM;
    }
    uint64_t bits = set == NULL ? 0 : bits_of(set);
    if (bits == 0) {
        return -EINVAL;
    }
    struct signal_hub *hub = hub_get(weft__worker_current()->rt);
    return hub == NULL ? -ENOMEM : hub_wait(hub, f, bits);
}

/* Whether a task waits for one of them. Lock held. */
static bool is_waited_for(const struct signal_hub *hub, uint64_t bits)
{
    struct wait_node *first = hub->waits.first;
    struct wait_node *n = first;
    while (n != NULL) {
        if ((WEFT_CONTAINER(n, struct signal_wait, node)->wanted & bits) != 0) {
            return true;
        }
        n = n->next == first ? NULL : n->next;
    }
    return false;
}

int weft_signal_release(const sigset_t *set)
{
    struct worker *w = weft__worker_current();
    if (w == NULL) {
        return -EPERM;
    }
    struct signal_hub *hub = hub_find(w->rt);
    uint64_t bits = set == NULL ? 0 : bits_of(set);
    if (hub == NULL || bits == 0) {
        return 0;
    }
    pthread_mutex_lock(&hub->lock);
    int err = is_waited_for(hub, bits) ? -EBUSY : 0;
    if (err == 0) {
        hub_release(hub, bits);
    }
    pthread_mutex_unlock(&hub->lock);
    return err;
}

void weft__signal_hub_close(weft_runtime *rt)
{
    struct signal_hub *hub = hub_find(rt);
    if (hub == NULL) {
        return;
    }
    weft__signal_sink_remove(&hub->sink);
    while (hub->first != NULL) {
        struct signal_registration *r = hub->first;
        hub->first = r->next;
        registration_free(r);
    }
}

void weft__signal_hub_free(weft_runtime *rt)
{
    struct signal_hub *hub = hub_find(rt);
    if (hub != NULL) {
        pthread_mutex_destroy(&hub->lock);
        free(hub);
    }
}
