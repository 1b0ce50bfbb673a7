/* SPDX-License-Identifier: MIT */
/*
 * Arrivals: no connection that the kernel has accepted is lost, the task is never left asleep, and
 * once it has seen the end nobody touches the queue any more: it frees it.
 *
 * One thread is the task, which takes until it is cancelled, then ends the operation and takes what
 * is left; one is the kernel, whose completions come inside the guard of the poller; one is the
 * home worker, which gets the message that asks for the end; and one cancels the task. The kernel
 * ends the operation when it is asked to, or by itself, by an error.
 */
#include "explorer/model.h"

#include "atomic.h"

#include "sync_fibers.h"

#include <weft/sync.h>

#include "event.c"

#include "server_arrivals.h"

enum { TASK, KERNEL, HOME, CANCELLER };

enum { HERE = 0, ELSEWHERE = 1 }; /* workers */

enum mutant {
    MUTANT_NONE,
    MUTANT_SET_LATE,     /* the event is set when the lock has been let go of */
    MUTANT_DELIVER_LATE, /* the same for the message */
    MUTANT_NO_TELLING,   /* the task does not wait for the message */
    MUTANT_CLEAR_LATE,   /* the event is cleared after the look at the queue */
    MUTANT_NO_NEWS,      /* a connection does not set the event */
};

static enum mutant mutant;

/* ---- server_arrivals.c, with some of its calls led through here ---- */

static struct weft_event *late_set[MODEL_THREADS_MAX];

static bool is_in(const char *function, const char *name)
{
    return strcmp(function, name) == 0;
}

static void model_set(struct weft_event *e, const char *function)
{
    bool is_event = is_in(function, "arrivals_event");
    if ((mutant == MUTANT_SET_LATE && is_event) || (mutant == MUTANT_DELIVER_LATE && !is_event)) {
        late_set[model_self()] = e;
    } else if (mutant != MUTANT_NO_NEWS || !is_event) {
        weft_event_set(e);
    }
}

static void model_unlock(_Atomic(uint64_t) *lock, const char *function)
{
    struct weft_event *late = late_set[model_self()];
    if (mutant == MUTANT_NO_TELLING && is_in(function, "arrivals_ask_end")) {
        WEFT_CONTAINER(lock, struct arrivals, lock)->is_telling = false;
    }
    sync_unlock(lock, 0);
    if (late != NULL) {
        weft_event_set(late);
    }
    late_set[model_self()] = NULL;
}

static void model_clear(struct weft_event *e)
{
    if (mutant != MUTANT_CLEAR_LATE) {
        weft_event_clear(e);
    }
}

static int model_wait(struct weft_event *e)
{
    if (mutant == MUTANT_CLEAR_LATE) {
        weft_event_clear(e);
    }
    return weft_event_wait(e);
}

#define weft_event_set(e) model_set(e, __func__)
#define weft_event_clear(e) model_clear(e)
#define weft_event_wait(e) model_wait(e)
#define sync_unlock(lock, value) model_unlock(lock, __func__)

#include "server_arrivals.c"

#undef weft_event_set
#undef weft_event_clear
#undef weft_event_wait
#undef sync_unlock

/* ---- what it calls ---- */

static _Atomic(uint32_t) guard; /* of the poller */
static _Atomic(uint32_t) is_begun;
static _Atomic(uint32_t) is_asked; /* to end */
static _Atomic(struct message *) sent;
static _Atomic(uint32_t) is_task_done; /* nobody sends any more */
static _Atomic(uint32_t) cancelling; /* a lock */
static bool is_shielded;
static op_event_fn op_event;
static unsigned here;
static unsigned home;
static int entered;

static void lock(_Atomic(uint32_t) *word)
{
    while (atomic_exchange_acquire(word, 1) != 0) {
        cpu_relax();
    }
}

int weft__op_enter_all(const struct op_request *requests, unsigned count)
{
    (void)requests;
    entered += (int)count;
    return 0;
}

void weft__op_leave_all(const struct op_request *requests, unsigned count)
{
    (void)requests;
    entered -= (int)count;
}

int weft__op_begin(struct op *op, const struct op_request *request, op_event_fn event)
{
    model_assert(request->repeats && request->code == OP_ACCEPT);
    lock(&guard);
    op->is_done = false;
    op_event = event;
    atomic_store_release(&guard, 0);
    atomic_store_release(&is_begun, 1);
    here = HERE; /* the task goes on there */
    return 0;
}

void weft__op_end(struct poller *p, struct op *op)
{
    (void)p;
    lock(&guard);
    if (!op->is_done) {
        atomic_store_release(&is_asked, 1);
    }
    atomic_store_release(&guard, 0);
}

unsigned weft__worker_here(void)
{
    return here;
}

struct poller *weft__poller_current(void)
{
    return NULL;
}

struct poller *weft__poller_of(const struct worker *w)
{
    (void)w;
    return NULL;
}

void weft__send_to_worker(unsigned index, struct message *m)
{
    model_assert(index == ELSEWHERE && atomic_load_relaxed(&sent) == NULL);
    atomic_store_release(&sent, m);
}

/* From here on no cancel is felt. */
void weft_shield_enter(struct weft_scope *s)
{
    (void)s;
    lock(&cancelling);
    is_shielded = true;
    atomic_store_seq_cst(&fibers[TASK].task.cancel, 0);
    atomic_store_release(&cancelling, 0);
}

void weft_scope_enter(struct weft_scope *s, int64_t for_ns)
{
    (void)s;
    (void)for_ns;
}

void weft_scope_drop(struct weft_scope *s)
{
    (void)s;
}

int weft_scope_exit(struct weft_scope *s)
{
    (void)s;
    return 0;
}

/* ---- the scenario ---- */

enum { LISTENER = 3, FIRST_FD = 100, ERROR = -EMFILE };

static struct arrivals *arrivals;
static int accepted; /* by the kernel */
static int errors;   /* that the task was told */
static int taken;
static bool ends_itself;

static void setup(void)
{
    fibers_setup();
    arrivals = calloc(1, sizeof *arrivals);
    arrivals->fds = malloc(16 * sizeof *arrivals->fds);
    arrivals->capacity = 16;
    memset(late_set, 0, sizeof late_set);
    atomic_store_relaxed(&guard, 0);
    atomic_store_relaxed(&is_begun, 0);
    atomic_store_relaxed(&is_asked, 0);
    atomic_store_relaxed(&sent, NULL);
    atomic_store_relaxed(&is_task_done, 0);
    atomic_store_relaxed(&cancelling, 0);
    is_shielded = false;
    here = home;
    entered = 0;
    accepted = 0;
    errors = 0;
    taken = 0;
}

/* What is left comes in the order in which it was accepted. */
static int take(bool may_wait)
{
    int fd = weft__arrivals_next(arrivals, LISTENER, may_wait);
    if (fd >= 0) {
        model_assert(fd == FIRST_FD + taken);
        taken++;
    }
    return fd;
}

static void task(void)
{
    int err;
    while ((err = take(true)) >= 0) {
    }
    model_assert(err == -ECANCELED || (ends_itself && err == ERROR));
    errors += err == ERROR;
    weft__arrivals_end(arrivals, LISTENER);
    while (take(false) >= 0) {
    }
    weft__arrivals_drop(arrivals);
    free(arrivals);
    model_assert(entered == 0);
    atomic_store_release(&is_task_done, 1);
}

static void complete(int result, bool is_over)
{
    struct op *op = &arrivals->op;
    lock(&guard);
    op->is_done = is_over;
    accepted += result >= 0;
    op_event(op, result, is_over);
    atomic_store_release(&guard, 0);
}

static void kernel(void)
{
    model_wait_until(atomic_load_acquire(&is_begun) != 0 ||
                     atomic_load_acquire(&is_task_done) != 0);
    if (atomic_load_acquire(&is_begun) == 0) {
        return; /* it was cancelled before */
    }
    complete(FIRST_FD, false);
    if (ends_itself) {
        complete(ERROR, true);
        return;
    }
    model_wait_until(atomic_load_acquire(&is_asked) != 0);
    complete(-ECANCELED, true);
}

static void home_worker(void)
{
    model_wait_until(atomic_load_acquire(&sent) != NULL ||
                     atomic_load_acquire(&is_task_done) != 0);
    struct message *m = atomic_load_acquire(&sent);
    if (m != NULL) {
        m->deliver(m, NULL);
    }
}

static void nobody(void)
{
}

static void canceller(void)
{
    lock(&cancelling);
    if (!is_shielded) {
        fiber_cancel(TASK);
    }
    atomic_store_release(&cancelling, 0);
}

static void check(void)
{
    model_assert(taken == accepted);
    model_assert(errors <= 1);
}

static struct model_scenario scenario(const char *name, unsigned at, bool by_itself)
{
    mutant = MUTANT_NONE;
    home = at;
    ends_itself = by_itself;
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .memory = MODEL_SC,
        .preemptions_max = 2,
        .threads = {[TASK] = task,
                    [KERNEL] = kernel,
                    [HOME] = at == ELSEWHERE ? home_worker : nobody,
                    [CANCELLER] = canceller},
    };
}

static int find(enum mutant which, const char *name, const char *rule)
{
    struct model_scenario s = scenario(name, ELSEWHERE, false);
    mutant = which;
    return model_finds(&s, rule);
}

int main(void)
{
    int failures = 0;
    struct model_scenario s = scenario("arrivals: ended at home", HERE, false);
    failures += model_run(&s);
    s = scenario("arrivals: ended from elsewhere", ELSEWHERE, false);
    failures += model_run(&s);
    s = scenario("arrivals: an error at home", HERE, true);
    failures += model_run(&s);
    s = scenario("arrivals: an error meets the end from elsewhere", ELSEWHERE, true);
    failures += model_run(&s);
    failures += find(MUTANT_SET_LATE, "arrivals: set after unlocking", "free");
    failures += find(MUTANT_DELIVER_LATE, "arrivals: delivered after unlocking", "free");
    failures += find(MUTANT_NO_TELLING, "arrivals: the message is not waited for", "free");
    failures += find(MUTANT_CLEAR_LATE, "arrivals: cleared late", "deadlock");
    failures += find(MUTANT_NO_NEWS, "arrivals: no news", "deadlock");
    return failures == 0 ? 0 : 1;
}
