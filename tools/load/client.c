/* SPDX-License-Identifier: MIT */
/*
 * One connection under load.
 *
 * Requests are messages of a fixed size, cut from one pattern that all connections share: the
 * stream of a connection is the pattern from some place on, round and round. So nothing is copied
 * for sending, and a reply is checked by comparing it with the place where the stream stands.
 *
 * Closed loop: `pipeline` requests are kept in flight; a reply makes room for the next request.
 *
 * Fixed rate: request number j of connection i is due at base + (i + j * connections) / rate,
 * whatever the server does, and its latency counts from then. A server that stalls for a second has
 * thereby delayed every request that was due in that second, and the histogram says so; measuring
 * from the actual sending would hide it ("coordinated omission"). How late the generator itself
 * was, with a place free in flight, is recorded apart: it tells whether the figures can be
 * believed.
 *
 * Waiting for two things, a reply and the time of the next request, is done with a timer whose
 * callback cancels the task: the receive ends with -ECANCELED, the task acknowledges. A reply that
 * arrived at the same time is returned by the receive, not lost. Only a fixed rate with more than
 * one request in flight needs it: with one, either a reply or the time is waited for.
 *
 * Messages that could fill the sockets' buffers both ways would stop us and the server in send for
 * good. So where more than SAFE_BYTES can be in flight, send must not wait; when it would,
 * whichever comes first is waited for, room or a reply.
 *
 * A stream (--streams, --tls) keeps what the server has not taken, and sends it when we wait for a
 * reply. So writing never waits, and the above is for descriptors only.
 *
 * With --protocol the connection calls back, and the task waits for its end: see protocol.c.
 *
 * A connection that fails is counted and made anew, with a pause that grows. Requests in flight on
 * it are lost; those of a fixed rate that become due meanwhile are sent late, which is how their
 * users would feel it.
 */
#include <stdatomic.h>

#include "client.h"

/* Half of the smallest send buffer Linux gives a socket by default. */
#define SAFE_BYTES ((size_t)8 * 1024)

#define RETRY_SHORT_NS (10 * WEFT_MS)
#define RETRY_LONG_NS (500 * WEFT_MS)

enum load_phase load_phase_of(const struct load_run *run)
{
    /* ORD none: a notice that is looked at again after the next reply. */
    return (enum load_phase)atomic_load_explicit(&run->phase, memory_order_relaxed);
}

static bool is_paced(const struct load_client *c)
{
    return c->run->options->rate > 0;
}

/* When request number j of this client is due. */
static int64_t due_of(const struct load_client *c, uint64_t j)
{
    const struct load_options *o = c->run->options;
    double position = (double)c->index + (double)j * (double)o->connections;
    return c->run->base_ns + (int64_t)(position * 1e9 / o->rate);
}

uint64_t load_client_unscheduled(const struct load_client *c, int64_t now_ns)
{
    const struct load_options *o = c->run->options;
    if (!is_paced(c) || now_ns <= c->run->base_ns) {
        return 0;
    }
    double position = (double)(now_ns - c->run->base_ns) * o->rate / 1e9 - (double)c->index;
    double due = position > 0 ? position / (double)o->connections : 0;
    return due > (double)c->scheduled ? (uint64_t)due - c->scheduled : 0;
}

static void wake_for_due(void *arg)
{
    const struct load_client *c = arg;
    weft_cancel(c->self);
}

int load_client_init(struct load_client *c, struct load_run *run, unsigned index)
{
    const struct load_options *o = run->options;
    size_t flight = o->size_bytes * o->pipeline;
    *c = (struct load_client){.run = run, .index = index, .link.fd = -1};
    c->buffer_bytes = flight < LOAD_CHUNK_BYTES ? flight : LOAD_CHUNK_BYTES;
    c->buffer = malloc(c->buffer_bytes);
    c->due_ns = calloc(o->pipeline, sizeof *c->due_ns);
    if (c->buffer == NULL || c->due_ns == NULL) {
        load_client_fini(c);
        return -ENOMEM;
    }
    return 0;
}

void load_client_fini(struct load_client *c)
{
    free(c->buffer);
    free(c->due_ns);
    c->buffer = NULL;
    c->due_ns = NULL;
}

/* Forget what was in flight: the stream begins anew, at a place that differs by connection. */
static void client_reset(struct load_client *c)
{
    c->in_flight = 0;
    c->unsent_bytes = 0;
    c->answered_bytes = 0;
    c->send_phase = c->index * 61 % LOAD_PATTERN_PERIOD;
    c->receive_phase = c->send_phase;
    c->free_ns = weft_now();
    c->is_proven = false;
}

static void client_push(struct load_client *c, int64_t due_ns)
{
    unsigned slot = c->oldest + c->in_flight;
    unsigned pipeline = c->run->options->pipeline;
    c->due_ns[slot < pipeline ? slot : slot - pipeline] = due_ns;
    c->in_flight++;
    c->unsent_bytes += c->run->options->size_bytes;
}

void load_client_queue(struct load_client *c, int64_t now_ns, bool is_measured)
{
    unsigned before = c->in_flight;
    if (!is_paced(c)) {
        while (c->in_flight < c->run->options->pipeline) {
            client_push(c, now_ns);
        }
    }
    while (is_paced(c) && c->in_flight < c->run->options->pipeline) {
        int64_t due_ns = due_of(c, c->scheduled);
        if (due_ns > now_ns) {
            break;
        }
        if (is_measured) {
            load_count_late(now_ns - (due_ns > c->free_ns ? due_ns : c->free_ns));
        }
        client_push(c, due_ns);
        c->scheduled++;
    }
    if (c->in_flight > before) {
        load_count_sent(c->in_flight - before);
    }
}

/* Count the replies that n more bytes complete. */
static void client_answered(struct load_client *c, size_t n)
{
    const struct load_options *o = c->run->options;
    int64_t now_ns = weft_now();
    bool is_measured = load_phase_of(c->run) == LOAD_MEASURE;
    if (c->in_flight == o->pipeline) {
        c->free_ns = now_ns;
    }
    c->answered_bytes += n;
    while (c->answered_bytes >= o->size_bytes && c->in_flight > 0) {
        load_count_done(now_ns - c->due_ns[c->oldest], is_measured);
        c->answered_bytes -= o->size_bytes;
        c->oldest = c->oldest + 1 < o->pipeline ? c->oldest + 1 : 0;
        c->in_flight--;
        c->is_proven = true;
    }
}

int load_client_take(struct load_client *c, const char *data, size_t n)
{
    size_t owed = c->in_flight * c->run->options->size_bytes - c->answered_bytes - c->unsent_bytes;
    if (n > owed || (c->run->options->verify &&
                     memcmp(data, c->run->pattern + c->receive_phase, n) != 0)) {
        load_count_error(LOAD_WRONG, 0);
        return -EBADMSG;
    }
    c->receive_phase = (unsigned)((c->receive_phase + n) % LOAD_PATTERN_PERIOD);
    client_answered(c, n);
    return 0;
}

/* Receive once. Returns 0, or the error, counted; -EAGAIN and -ECANCELED are none. */
static int client_receive(struct load_client *c, int flags)
{
    ssize_t n = c->link.stream == NULL
                    ? weft_recv(c->link.fd, c->buffer, c->buffer_bytes, flags)
                    : weft_stream_read(c->link.stream, c->buffer, c->buffer_bytes);
    if (n == 0) {
        load_count_error(LOAD_EOF, 0);
        return -ECONNRESET;
    }
    if (n < 0) {
        if (n != -EAGAIN && n != -ECANCELED) {
            load_count_error(LOAD_RECEIVE, (int)n);
        }
        return (int)n;
    }
    return load_client_take(c, c->buffer, (size_t)n);
}

/* Send waits for room in vain when the server waits for us: take replies meanwhile. */
static int client_wait_room(struct load_client *c)
{
    int ready = weft_wait_fd(c->link.fd, POLLIN | POLLOUT);
    if (ready < 0) {
        return ready;
    }
    int err = (ready & ~POLLOUT) != 0 ? client_receive(c, MSG_DONTWAIT) : 0;
    return err == -EAGAIN ? 0 : err;
}

/* Send a piece of what is queued. Returns how much went, or the error, as weft_send. */
static ssize_t client_send_some(struct load_client *c, int flags)
{
    size_t n = c->unsent_bytes < LOAD_CHUNK_BYTES ? c->unsent_bytes : LOAD_CHUNK_BYTES;
    const char *from = c->run->pattern + c->send_phase;
    return c->link.stream == NULL ? weft_send(c->link.fd, from, n, flags)
                                  : weft_stream_write(c->link.stream, from, n);
}

/* Send all that is queued. Returns 0 or the error, counted. */
static int client_send(struct load_client *c)
{
    const struct load_options *o = c->run->options;
    int flags = o->size_bytes * o->pipeline > SAFE_BYTES ? MSG_DONTWAIT : MSG_WAITALL;
    while (c->unsent_bytes > 0) {
        ssize_t sent = client_send_some(c, flags);
        if (sent == -EAGAIN) {
            int err = client_wait_room(c);
            if (err < 0) {
                return err;
            }
            continue;
        }
        if (sent < 0) {
            if (sent != -ECANCELED) {
                load_count_error(LOAD_SEND, (int)sent);
            }
            return (int)sent;
        }
        c->send_phase = (unsigned)((c->send_phase + (size_t)sent) % LOAD_PATTERN_PERIOD);
        c->unsent_bytes -= (size_t)sent;
    }
    return 0;
}

/* Receive, but not beyond the time of the next request; at that time 0, else as client_receive. */
static int client_receive_until(struct load_client *c, int64_t due_ns)
{
    int err = weft_timer_start(c->timer, due_ns - weft_now());
    if (err < 0) {
        return err;
    }
    err = client_receive(c, 0);
    if (weft_timer_stop_and_wait(c->timer)) {
        return err;
    }
    /* The timer has cancelled us, once. If somebody else has as well the next wait fails. */
    weft_uncancel();
    return err == -ECANCELED ? 0 : err;
}

/* Wait for what comes next: a reply, or the time of the next request. */
static int client_wait(struct load_client *c, bool is_stopping)
{
    if (c->in_flight == 0) {
        return weft_sleep_until(due_of(c, c->scheduled));
    }
    if (c->timer != NULL && c->in_flight < c->run->options->pipeline && !is_stopping) {
        return client_receive_until(c, due_of(c, c->scheduled));
    }
    return client_receive(c, 0);
}

/* Load one connection. Returns 0 when the run is over, or the error that ended the connection. */
static int client_serve(struct load_client *c)
{
    for (;;) {
        enum load_phase phase = load_phase_of(c->run);
        if (phase == LOAD_STOP) {
            if (c->in_flight == 0) {
                return 0;
            }
        } else {
            load_client_queue(c, weft_now(), phase == LOAD_MEASURE);
        }
        int err = client_send(c);
        if (err == 0 && (c->in_flight > 0 || is_paced(c))) {
            err = client_wait(c, phase == LOAD_STOP);
        }
        if (err < 0) {
            return err;
        }
    }
}

/* Keep a connection and load it, until the run is over or the task is cancelled. */
static void client_live(struct load_client *c)
{
    int64_t pause_ns = RETRY_SHORT_NS;
    while (load_phase_of(c->run) != LOAD_STOP) {
        int err = c->link.fd >= 0 ? 0 : load_connect(c->run, c->index, &c->link);
        if (err == 0) {
            client_reset(c);
            err = c->run->options->protocol ? load_protocol_serve(c) : client_serve(c);
            load_disconnect(&c->link);
            c->lost += c->in_flight;
            pause_ns = c->is_proven ? RETRY_SHORT_NS : pause_ns;
        }
        if (err == 0 || err == -ECANCELED || weft_sleep(pause_ns) < 0) {
            return;
        }
        pause_ns = pause_ns * 2 < RETRY_LONG_NS ? pause_ns * 2 : RETRY_LONG_NS;
    }
}

void *load_client_run(void *arg)
{
    struct load_client *c = arg;
    const struct load_options *o = c->run->options;
    int err = 0;
    c->self = weft_self();
    if (o->rate > 0 && o->pipeline > 1) {
        err = weft_timer_create(&c->timer, weft_runtime_current(), wake_for_due, c);
    }
    if (err == 0) {
        client_live(c);
    } else {
        load_count_error(LOAD_CONNECT, err);
    }
    load_disconnect(&c->link);
    weft_timer_destroy(c->timer);
    c->timer = NULL;
    /* ORD none: tells the conductor when to join, which is what orders the rest. */
    atomic_fetch_sub_explicit(&c->run->live, 1, memory_order_relaxed);
    return NULL;
}
