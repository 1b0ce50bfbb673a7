/* SPDX-License-Identifier: MIT */
/*
 * The conductor: one task that leads the run through its stages.
 *
 *   open the idle connections    each proves that it is served by one echo
 *   open the others              at least one must come about
 *   warm up, measure             clients run; figures are differences between two snapshots
 *   stop                         clients send no more; replies due may still come, for a while
 *   look after the idle ones     each must still answer
 *   close everything             and see that the server gave back what it took
 *
 * Every stage is bounded in time, whatever the server does: a stage that takes too long is ended by
 * cancelling its tasks. SIGINT ends the current stage and goes on with the rest, so that a run that
 * was cut short still reports what it has seen.
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client.h"

/* How long the stages besides the load itself may take. */
#define OPEN_FOR_NS (30 * WEFT_SECOND)
#define CLOSE_FOR_NS (10 * WEFT_SECOND)
#define REPLIES_FOR_NS (5 * WEFT_SECOND)
#define GIVE_BACK_FOR_NS (5 * WEFT_SECOND)

/* How often the conductor looks whether it was interrupted, or a stage is over. */
#define LOOK_NS (50 * WEFT_MS)
#define LOOK_SHORT_NS (2 * WEFT_MS)

static bool is_interrupted(const struct load_run *run)
{
    /* ORD none: looked at again soon. */
    return atomic_load_explicit(&run->is_interrupted, memory_order_relaxed);
}

static void *watch_signals(void *arg)
{
    struct load_run *run = arg;
    for (unsigned seen = 0;; seen++) {
        struct signalfd_siginfo info;
        if (weft_read(run->signal_fd, &info, sizeof info) < 0) {
            return NULL;
        }
        if (seen > 0) {
            _exit(130); /* twice: the user wants no report */
        }
        /* ORD none: the conductor looks at it again and again. */
        atomic_store_explicit(&run->is_interrupted, true, memory_order_relaxed);
    }
}

/* --- stages ----------------------------------------------------------------------------------- */

static int open_idle(struct load_run *run, unsigned index)
{
    struct load_link *link = &run->idle_links[index];
    int err = load_connect(run, index, link);
    if (err == 0) {
        err = load_echo_once(run, link, index);
        if (err < 0) {
            load_disconnect(link);
        }
    }
    return err;
}

static int ask_idle(struct load_run *run, unsigned index)
{
    const struct load_link *link = &run->idle_links[index];
    return link->fd < 0 ? -ENOTCONN : load_echo_once(run, link, index);
}

static int close_idle(struct load_run *run, unsigned index)
{
    load_disconnect(&run->idle_links[index]);
    return 0;
}

static int open_client(struct load_run *run, unsigned index)
{
    return load_connect(run, run->options->idle + index, &run->clients[index].link);
}

/* Name the error that was counted most; "" when there is none. */
static const char *worst_error(void)
{
    uint64_t most = 0;
    const char *name = "";
    for (unsigned stage = 0; stage < LOAD_STAGES; stage++) {
        for (unsigned err = 0; err < LOAD_ERRNO_MAX; err++) {
            uint64_t n = load_error_count(stage, err);
            if (n > most) {
                most = n;
                name = err > 0 ? cli_error_text((int)err) : load_stage_name(stage);
            }
        }
    }
    return name;
}

/* Open everything. Returns false when there is nothing to go on with; it has said why. */
static bool stage_open(struct load_run *run)
{
    const struct load_options *o = run->options;
    if (o->idle > 0) {
        run->idle_opened = load_for_each(run, open_idle, o->idle, OPEN_FOR_NS, "idle connections");
        if (o->pid > 0) {
            /* Gives the server the moment it takes to be idle again. */
            (void)!weft_sleep(LOOK_NS);
            (void)load_observe(o->pid, &run->server_with_idle);
        }
    }
    run->connected =
        load_for_each(run, open_client, o->connections, OPEN_FOR_NS, "opening connections");
    if (run->connected + run->idle_opened > 0) {
        return true;
    }
    char name[CLI_ADDRESS_TEXT];
    cli_address_text(&o->targets[0], name);
    const char *why = worst_error();
    const char *more = load_tls_refused();
    snprintf(run->failure, sizeof run->failure, "no connection to %s: %s%s%s", name,
             *why != '\0' ? why : "no answer in time", *more != '\0' ? ": " : "", more);
    return false;
}

/* Start the clients. Returns false when memory is short. */
static bool stage_start(struct load_run *run)
{
    unsigned count = run->options->connections;
    run->base_ns = weft_now() + LOOK_SHORT_NS;
    for (unsigned i = 0; i < count; i++) {
        struct load_client *c = &run->clients[i];
        /* ORD none: a count; its reader has nothing else to see. */
        atomic_fetch_add_explicit(&run->live, 1, memory_order_relaxed);
        c->task = weft_spawn(load_client_run, c);
        if (c->task == NULL) {
            /* ORD none: as above. */
            atomic_fetch_sub_explicit(&run->live, 1, memory_order_relaxed);
            snprintf(run->failure, sizeof run->failure, "no memory for %u tasks", count);
            return false;
        }
    }
    return true;
}

static void snapshot(const struct load_run *run, struct load_snapshot *s)
{
    s->at_ns = weft_now();
    load_totals_read(&s->totals);
    s->own_cpu_ns = load_observe_cpu(getpid());
    s->server_cpu_ns = run->options->pid > 0 ? load_observe_cpu(run->options->pid) : -1;
}

/* One line: the rate since the last one, and the latencies so far. */
static void say_progress(const struct load_run *run, int64_t *line_ns, struct load_totals *before)
{
    struct load_totals now;
    int64_t now_ns = weft_now();
    load_totals_read(&now);
    double seconds = (double)(now_ns - run->base_ns) / 1e9;
    double rate = (double)(now.done - before->done) * 1e9 / (double)(now_ns - *line_ns);
    unsigned long long errors = load_errors();
    struct histogram *h = load_latencies();
    if (h != NULL && histogram_count(h) > 0) {
        load_progress(run, "%5.1f s  %9.0f requests/s  p50 %.1f us  p99 %.1f us  errors %llu",
                      seconds, rate, (double)histogram_percentile(h, 50) / 1e3,
                      (double)histogram_percentile(h, 99) / 1e3, errors);
    } else {
        load_progress(run, "%5.1f s  %9.0f requests/s  warming up  errors %llu", seconds, rate,
                      errors);
    }
    free(h);
    *before = now;
    *line_ns = now_ns;
}

/* Let the clients work until a point in time, or until the user has had enough. */
static void stage_run(const struct load_run *run, int64_t until_ns)
{
    struct load_totals before;
    int64_t line_ns = weft_now();
    load_totals_read(&before);
    while (!is_interrupted(run)) {
        int64_t now_ns = weft_now();
        int64_t look_ns = now_ns + LOOK_NS;
        if (now_ns >= until_ns || weft_sleep_until(look_ns < until_ns ? look_ns : until_ns) < 0) {
            return;
        }
        if (run->options->progress && weft_now() - line_ns >= WEFT_SECOND / 2) {
            say_progress(run, &line_ns, &before);
        }
    }
}

static void set_phase(struct load_run *run, enum load_phase phase)
{
    /* ORD none: a notice; clients look at it after each reply. */
    atomic_store_explicit(&run->phase, (int)phase, memory_order_relaxed);
}

/* Let the last replies come, then end all clients. */
static void stage_stop(struct load_run *run)
{
    int64_t stop_ns = weft_now();
    set_phase(run, LOAD_STOP);
    /* ORD none: tells when to stop waiting; the joins order the rest. */
    while (atomic_load_explicit(&run->live, memory_order_relaxed) > 0 &&
           weft_now() < stop_ns + REPLIES_FOR_NS) {
        if (weft_sleep(LOOK_SHORT_NS) < 0) {
            break;
        }
    }
    for (unsigned i = 0; i < run->options->connections; i++) {
        weft_cancel(run->clients[i].task);
    }
    for (unsigned i = 0; i < run->options->connections; i++) {
        struct load_client *c = &run->clients[i];
        (void)!weft_join(c->task, NULL);
        c->task = NULL;
        run->unanswered += c->lost;
        run->unsent += load_client_unscheduled(c, stop_ns);
    }
}

/*
 * Whether the server has given back what the idle connections took: its descriptors all, and if
 * that is to be reported its memory but for a tenth, which an allocator may keep for the next.
 */
static bool has_given_back(const struct load_run *run)
{
    const struct load_observation *a = &run->server_before;
    const struct load_observation *b = &run->server_with_idle;
    const struct load_observation *now = &run->server_after;
    uint64_t taken = b->rss_bytes > a->rss_bytes ? b->rss_bytes - a->rss_bytes : 0;
    return now->descriptors <= a->descriptors &&
           (!run->options->idle_report || now->rss_bytes <= a->rss_bytes + taken / 10);
}

/* Close what is left, and wait for the server to give back what it took. */
static void stage_close(struct load_run *run)
{
    const struct load_options *o = run->options;
    for (unsigned i = 0; i < o->connections; i++) {
        load_disconnect(&run->clients[i].link);
    }
    if (o->idle > 0) {
        (void)load_for_each(run, close_idle, o->idle, CLOSE_FOR_NS, "closing");
    }
    int64_t until_ns = weft_now() + GIVE_BACK_FOR_NS;
    while (o->idle > 0 && o->pid > 0 && load_observe(o->pid, &run->server_after) == 0 &&
           !has_given_back(run) && weft_now() < until_ns && weft_sleep(LOOK_NS) == 0) {
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static void conduct(struct load_run *run)
{
    const struct load_options *o = run->options;
    if (o->pid > 0) {
        int err = load_observe(o->pid, &run->server_before);
        if (err < 0) {
            snprintf(run->failure, sizeof run->failure, "--pid %d: %s", (int)o->pid,
                     cli_error_text(err));
            return;
        }
    }
    if (stage_open(run) && stage_start(run)) {
        stage_run(run, run->base_ns + o->warmup_ns);
        snapshot(run, &run->begin);
        set_phase(run, LOAD_MEASURE);
        stage_run(run, run->begin.at_ns + o->duration_ns);
        snapshot(run, &run->end);
    }
    stage_stop(run);
    if (o->idle > 0) {
        run->idle_alive = load_for_each(run, ask_idle, o->idle, CLOSE_FOR_NS, "asking idle ones");
    }
    stage_close(run);
    load_progress_end(run);
}

void *load_conduct(void *arg)
{
    struct load_run *run = arg;
    run->has_begun = true;
    weft_task *signals = weft_spawn(watch_signals, run);
    conduct(run);
    (void)weft_cancel_and_join(signals, NULL);
    return NULL;
}
