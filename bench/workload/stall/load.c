/* SPDX-License-Identifier: MIT */
/*
 * The load of the stall workload: an open loop that is cheap and on time.
 *
 * Requests are sent when they are due, whatever the server does, and latency counts from then; so
 * a server that stalls has delayed everything that was due meanwhile, and the figures say so.
 *
 * Two cores are all there may be, both of them busy with the server's work, and the load needs some
 * of it too. What makes that fair:
 *   - The load sleeps from burst to burst. It never waits for a reply: the kernel notes when each
 *     arrived (SO_TIMESTAMPNS), and the load reads note and reply with its next burst. So replies
 *     wake nobody, and being read late costs a request nothing.
 *   - It runs with SCHED_FIFO where that is allowed (root), else as nice as it may, on one core: a
 *     burst preempts whatever the server does there, for some tens of microseconds. That is the
 *     same for every server; is_fifo says whether it was so.
 *   - How late it sent, against when that was due, is measured and printed. A run whose 99.9th
 *     percentile of this is above --late-us has its figures printed too, but ends with status 75
 *     and is not to be counted.
 *
 * Replies of one connection that arrive close together may be merged by the kernel, which keeps the
 * time of the last. That concerns requests that wait behind another of their own connection.
 *
 * How many steps of work a millisecond takes is measured at the start, the best of several tries.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "plan.h"
#include "stall.h"

#define STATUS_LATE 75 /* EX_TEMPFAIL: try again */

#define CALIBRATION_STEPS 1000000
#define CALIBRATION_TRIES 9

/* After the last request: how long replies may take. */
#define PATIENCE_NS (10 * FIGURES_SECOND_NS)

#define WORK_SEED UINT64_C(88172645463325252)

struct connection {
    int fd;
    uint32_t expected; /* the request answered next, or PLAN_NONE */
    size_t fill;
    struct stall_message message;
};

struct load {
    const struct plan_options *options;
    struct plan plan;
    struct connection *connections;
    int epoll_fd;
    int64_t base_ns; /* when the run began */
    uint32_t sent;
    uint32_t answered;
    uint32_t unstamped; /* replies whose arrival the kernel did not note */
    uint64_t steps;
    uint64_t value_after; /* what that many steps make of WORK_SEED */
    bool is_fifo;
    int64_t server_cpu_ns[2]; /* when measuring begins, and at the end */
    int64_t own_cpu_ns[2];
};

/* --- preparing -------------------------------------------------------------------------------- */

static void calibrate(struct load *l)
{
    int64_t best_ns = INT64_MAX;
    volatile uint64_t sink;
    for (int i = 0; i < CALIBRATION_TRIES; i++) {
        int64_t start_ns = figures_clock_ns(CLOCK_MONOTONIC);
        sink = stall_work(CALIBRATION_STEPS, WORK_SEED);
        int64_t took_ns = figures_clock_ns(CLOCK_MONOTONIC) - start_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    (void)sink;
    l->steps = (uint64_t)(l->options->stall_ms * 1e6 * CALIBRATION_STEPS / (double)best_ns);
    l->value_after = stall_work(l->steps, WORK_SEED);
}

/* Be where and what the comment on top says. */
static void take_precedence(struct load *l)
{
    struct sched_param first = {.sched_priority = 1};
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (l->options->cpu >= 0) {
        CPU_SET((size_t)l->options->cpu, &cpus);
        if (sched_setaffinity(0, sizeof cpus, &cpus) < 0) {
            err(1, "--cpu %d", l->options->cpu);
        }
    }
    l->is_fifo = sched_setscheduler(0, SCHED_FIFO, &first) == 0;
    if (!l->is_fifo) {
        (void)setpriority(PRIO_PROCESS, 0, -20);
        (void)prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
    }
}

static void connect_all(struct load *l)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(l->options->port)};
    int one = 1;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->connections = calloc(l->options->connections, sizeof *l->connections);
    if (l->epoll_fd < 0 || l->connections == NULL) {
        err(1, "cannot begin");
    }
    for (unsigned i = 0; i < l->options->connections; i++) {
        struct connection *c = &l->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        c->expected = l->plan.first[i];
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ||
            setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0 ||
            fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
            epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) {
            err(1, "cannot connect to 127.0.0.1:%u", l->options->port);
        }
    }
}

/* --- sending ---------------------------------------------------------------------------------- */

static void send_one(struct load *l, uint32_t i)
{
    struct plan_request *r = &l->plan.requests[i];
    struct stall_message m = {.value = WORK_SEED, .number = i};
    m.steps = r->is_stall ? l->steps : 0;
    memset(m.rest, (int)(i & 0xff), sizeof m.rest);
    r->sent_ns = figures_clock_ns(CLOCK_MONOTONIC) - l->base_ns;
    ssize_t n = send(l->connections[r->connection].fd, &m, sizeof m, MSG_NOSIGNAL);
    if (n != (ssize_t)sizeof m) {
        err(1, "a request could not be sent (%zd bytes of it were)", n);
    }
}

static void send_due(struct load *l)
{
    int64_t now_ns = figures_clock_ns(CLOCK_MONOTONIC) - l->base_ns;
    while (l->sent < l->plan.count && l->plan.requests[l->sent].due_ns <= now_ns) {
        if (l->sent == l->plan.measured_from) {
            l->server_cpu_ns[0] = figures_process_cpu_ns(l->options->pid);
            l->own_cpu_ns[0] = figures_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        }
        send_one(l, l->sent++);
    }
}

/* --- receiving -------------------------------------------------------------------------------- */

/*
 * How far the clock of the kernel's notes is ahead of ours. Both can only be read one after the
 * other; the shortest of a few tries had nothing come between.
 */
static int64_t realtime_ahead(void)
{
    int64_t best_ns = INT64_MAX;
    int64_t ahead_ns = 0;
    for (int i = 0; i < 3; i++) {
        int64_t before_ns = figures_clock_ns(CLOCK_MONOTONIC);
        int64_t real_ns = figures_clock_ns(CLOCK_REALTIME);
        int64_t took_ns = figures_clock_ns(CLOCK_MONOTONIC) - before_ns;
        if (took_ns < best_ns) {
            best_ns = took_ns;
            ahead_ns = real_ns - before_ns - took_ns / 2;
        }
    }
    return ahead_ns;
}

/* When the kernel got what was received, on the clock of the run; -1 when it did not say. */
static int64_t arrival_of(const struct load *l, struct msghdr *h, int64_t realtime_ahead_ns)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            int64_t at_ns = (int64_t)t.tv_sec * FIGURES_SECOND_NS + t.tv_nsec;
            return at_ns - realtime_ahead_ns - l->base_ns;
        }
    }
    return -1;
}

/* Check a whole reply, and note when it came. */
static void answered(struct load *l, struct connection *c, int64_t at_ns)
{
    const struct stall_message *m = &c->message;
    if (c->expected == PLAN_NONE || m->number != c->expected) {
        errx(1, "a reply to request %llu came, not to %u", (unsigned long long)m->number,
             c->expected);
    }
    struct plan_request *r = &l->plan.requests[c->expected];
    bool is_right = m->value == (r->is_stall ? l->value_after : WORK_SEED) &&
                    m->steps == (r->is_stall ? l->steps : 0);
    for (size_t i = 0; i < sizeof m->rest; i++) {
        is_right = is_right && m->rest[i] == (char)(c->expected & 0xff);
    }
    if (!is_right) {
        errx(1, "the reply to request %u is wrong", c->expected);
    }
    if (at_ns < 0) {
        l->unstamped++;
        at_ns = figures_clock_ns(CLOCK_MONOTONIC) - l->base_ns;
    }
    r->done_ns = at_ns;
    c->expected = r->next;
    l->answered++;
}

/* Take all replies that a connection has, a message at a time, so that each has its own time. */
static void receive(struct load *l, struct connection *c, int64_t realtime_ahead_ns)
{
    for (;;) {
        char control[CMSG_SPACE(sizeof(struct timespec))];
        struct iovec part = {.iov_base = (char *)&c->message + c->fill,
                             .iov_len = sizeof c->message - c->fill};
        struct msghdr h = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        ssize_t n = recvmsg(c->fd, &h, 0);
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN) {
                err(1, "a connection ended");
            }
            return;
        }
        c->fill += (size_t)n;
        if (c->fill == sizeof c->message) {
            c->fill = 0;
            answered(l, c, arrival_of(l, &h, realtime_ahead_ns));
        }
        /* Nothing else is on its way: save the call that would say so. */
        if (c->expected == PLAN_NONE || c->expected >= l->sent) {
            return;
        }
    }
}

static void receive_all(struct load *l)
{
    struct epoll_event ready[256];
    int64_t ahead_ns = realtime_ahead();
    int n;
    do {
        n = epoll_wait(l->epoll_fd, ready, 256, 0);
        for (int i = 0; i < n; i++) {
            receive(l, ready[i].data.ptr, ahead_ns);
        }
    } while (n == 256);
}

/* --- the run ---------------------------------------------------------------------------------- */

static void sleep_until(int64_t at_ns)
{
    struct timespec t = {.tv_sec = at_ns / FIGURES_SECOND_NS, .tv_nsec = at_ns % FIGURES_SECOND_NS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

static void run(struct load *l)
{
    int64_t burst_ns = (int64_t)((double)l->options->burst * 1e9 / l->options->rate);
    /* Far enough ahead that the first burst is not late already. */
    l->base_ns = figures_clock_ns(CLOCK_MONOTONIC) + FIGURES_SECOND_NS / 100;
    while (l->sent < l->plan.count) {
        sleep_until(l->base_ns + l->plan.requests[l->sent].due_ns);
        send_due(l);
        receive_all(l);
    }
    int64_t last_ns = figures_clock_ns(CLOCK_MONOTONIC);
    while (l->answered < l->plan.count) {
        if (figures_clock_ns(CLOCK_MONOTONIC) - last_ns > PATIENCE_NS) {
            errx(1, "%u requests were never answered", l->plan.count - l->answered);
        }
        sleep_until(figures_clock_ns(CLOCK_MONOTONIC) + burst_ns);
        receive_all(l);
    }
    l->server_cpu_ns[1] = figures_process_cpu_ns(l->options->pid);
    l->own_cpu_ns[1] = figures_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Print the figures. Returns whether the load was late. */
static bool report(const struct load *l)
{
    const struct plan *p = &l->plan;
    uint32_t count = p->count - p->measured_from;
    int64_t window_ns = (int64_t)(l->options->seconds * 1e9);
    int64_t from_ns = p->requests[p->measured_from].due_ns;
    int64_t *late = calloc(count + 1, sizeof *late);
    uint32_t in_window = 0;
    if (late == NULL || count == 0) {
        errx(1, "nothing was measured");
    }
    for (uint32_t i = 0; i < p->count; i++) {
        int64_t done_ns = p->requests[i].done_ns - from_ns;
        in_window += done_ns >= 0 && done_ns < window_ns;
        if (i >= p->measured_from) {
            late[i - p->measured_from] = p->requests[i].sent_ns - p->requests[i].due_ns;
        }
    }
    printf("{");
    plan_print_latencies(p, "others", false);
    printf(", ");
    plan_print_latencies(p, "stalled", true);
    printf(", ");
    figures_print("late", late, count);
    bool is_late = figures_quantile_us(late, count, 0.999) > l->options->late_us;
    printf(", \"throughput\": %.1f, \"cpu_us_per_request\": %.3f, \"load_cores\": %.3f, "
           "\"unstamped\": %u, \"is_fifo\": %s, \"is_late\": %s}\n",
           (double)in_window / l->options->seconds,
           (double)(l->server_cpu_ns[1] - l->server_cpu_ns[0]) / 1e3 / count,
           (double)(l->own_cpu_ns[1] - l->own_cpu_ns[0]) / (double)window_ns, l->unstamped,
           l->is_fifo ? "true" : "false", is_late ? "true" : "false");
    free(late);
    return is_late;
}

int main(int argc, char **argv)
{
    struct plan_options o = plan_defaults();
    plan_parse(&o, argc, argv, "Load of the stall workload; prints a line of JSON.");
    if (o.port == 0) {
        errx(64, "--port is needed");
    }
    if (o.stall_every_ms > 0 && o.connections < 2) {
        errx(64, "--stall-every-ms takes 2 connections at least");
    }
    floor_raise_descriptor_limit();
    struct load l = {.options = &o, .plan = plan_make(&o)};
    take_precedence(&l);
    calibrate(&l);
    connect_all(&l);
    /* All of it is there now; without the right to do this the first touches cost a little. */
    (void)mlockall(MCL_CURRENT);
    run(&l);
    return report(&l) ? STATUS_LATE : 0;
}
