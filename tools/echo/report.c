/* SPDX-License-Identifier: MIT */
/*
 * What --stats shows: a line now and then while the server runs, and two tables: what the
 * connections did, and what the runtime's workers did for it. The tables come at the end and
 * whenever SIGUSR1 asks for them.
 */
#include "echo.h"

void *echo_report_lines(void *arg)
{
    const struct echo_server *s = arg;
    struct echo_totals before;
    echo_totals_read(&before);
    int64_t before_ns = weft_now();
    while (weft_sleep(s->options->stats_every_ns) == 0) {
        struct echo_totals t;
        echo_totals_read(&t);
        int64_t now_ns = weft_now();
        double seconds = (double)(now_ns - before_ns) / 1e9;
        printf("open %llu  accepted %llu  failed %llu  reads/s %.0f  MB/s %.2f\n",
               (unsigned long long)(t.accepted - t.closed), (unsigned long long)t.accepted,
               (unsigned long long)t.failed, (double)(t.reads - before.reads) / seconds,
               (double)(t.bytes - before.bytes) / seconds / 1e6);
        fflush(stdout);
        before = t;
        before_ns = now_ns;
    }
    return NULL;
}

static void row(const char *name, uint64_t n, const char *meaning)
{
    printf("  %-16s %14llu  %s\n", name, (unsigned long long)n, meaning);
}

static void connections_table(const struct echo_totals *t)
{
    printf("connections\n");
    row("accepted", t->accepted, "");
    row("open", t->accepted - t->closed, "");
    row("failed", t->failed, "ended by a reset or another error");
    row("reads", t->reads, "each sent back before the next");
    row("bytes", t->bytes, "");
    row("accept pauses", t->pauses, "for want of descriptors or memory");
}

static void workers_table(const struct weft_metrics *m)
{
    printf("workers\n");
    row("workers", m->workers, "");
    row("tasks spawned", m->tasks_spawned, "");
    row("tasks live", m->tasks_live, "");
    row("switches", m->switches, "from one stack to another");
    row("nested", m->nested, "tasks that ran on their waiter's stack");
    row("polls", m->polls, "turns that looked at the ring, or epoll");
    row("steals", m->steals, "tasks taken from another worker");
    row("parks", m->parks, "a worker went to sleep");
    row("wakes", m->wakes, "a worker woken by another thread");
    row("ring enters", m->ring_enters, "system calls for input and output");
    row("operations", m->sqes, "handed to the kernel");
    row("completions", m->cqes, "");
    row("stacks", m->stacks, "in existence, idle ones included");
}

void echo_report_tables(weft_runtime *rt)
{
    struct echo_totals t;
    struct weft_metrics m;
    echo_totals_read(&t);
    connections_table(&t);
    if (weft_metrics(rt, &m) == 0) {
        workers_table(&m);
        if (t.reads > 0) {
            printf("  %-16s %14.3f  a read\n", "ring enters",
                   (double)m.ring_enters / (double)t.reads);
        }
    }
    fflush(stdout);
}
