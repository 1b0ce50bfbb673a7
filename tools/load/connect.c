/* SPDX-License-Identifier: MIT */
/*
 * Connecting, once and in masses.
 *
 * A connection is told from others by its four numbers, so one source address has about 28,000
 * ports to one target (net.ipv4.ip_local_port_range). Several sources, such as 127.0.0.2,
 * 127.0.0.3, multiply that. IP_BIND_ADDRESS_NO_PORT leaves the choice of the port to connect, which
 * knows the target; without it bind would take a port away from all targets at once.
 *
 * With --streams and --tls a connection is a stream, on which writing has to wait for nobody: the
 * server may wait for us to read. So its high-water mark is above all that can be in flight, twice:
 * what an operation under way has sent counts as held back until it is through with all it has.
 *
 * Masses are opened by a crew of tasks that take one index after the other: few enough that the
 * server's backlog never fills (an overflow costs a second, the retry of a lost SYN), enough that
 * the round trips overlap.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>

#include "load.h"

#define CREW_MAX 64

/* How often the conductor looks at a crew, and so the least time that one takes. */
#define CREW_LOOK_NS (2 * WEFT_MS)

/* Count an error, unless it is that of a crew that was called off. Returns it. */
static int counted(enum load_stage stage, int err)
{
    if (err != -ECANCELED) {
        load_count_error(stage, err);
    }
    return err;
}

/* Take a socket's address. Returns 0 or the error. */
static int bind_source(int fd, const struct cli_address *source)
{
    int one = 1;
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) < 0) {
        return -errno;
    }
    return weft_bind(fd, (const struct sockaddr *)&source->storage, source->bytes);
}

/* Which target a connection goes to. */
static unsigned target_of(const struct load_options *o, unsigned index)
{
    unsigned sources = o->source_count > 0 ? o->source_count : 1;
    return index / sources % o->target_count;
}

/* Connect. Returns the descriptor, or the error. */
static int connect_socket(const struct load_options *o, unsigned index)
{
    const struct cli_address *target = &o->targets[target_of(o, index)];
    bool is_unix = target->storage.ss_family == AF_UNIX;
    int one = 1;
    int fd = weft_socket(target->storage.ss_family, SOCK_STREAM, 0);
    int err = fd < 0 ? fd : 0;
    if (err == 0 && !is_unix && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) {
        err = -errno;
    }
    if (err == 0 && o->source_count > 0) {
        err = bind_source(fd, &o->sources[index % o->source_count]);
    }
    if (err == 0) {
        err = weft_connect(fd, (const struct sockaddr *)&target->storage, target->bytes);
    }
    if (err < 0 && fd >= 0) {
        (void)weft_close(fd);
    }
    return err < 0 ? err : fd;
}

/* Make a stream of a descriptor, over TLS if that is asked for. Returns 0, or the error, counted;
 * then the descriptor is closed. */
static int make_stream(const struct load_run *run, unsigned index, struct load_link *link)
{
    const struct load_options *o = run->options;
    size_t most = 2 * o->size_bytes * o->pipeline;
    struct weft_stream_options options = {
        .high_water = most > WEFT_STREAM_HIGH_WATER_DEFAULT ? most : 0};
    int err = weft_stream_open(link->fd, &options, &link->stream);
    if (err < 0) {
        (void)weft_close(link->fd);
        link->stream = NULL;
        load_count_error(LOAD_CONNECT, err);
    } else if (run->tls != NULL) {
        err = load_tls_start(run, link->stream, target_of(o, index));
        err = err < 0 ? counted(LOAD_HANDSHAKE, err) : 0;
    }
    if (err < 0) {
        (void)weft_stream_close(link->stream);
        *link = (struct load_link){.fd = -1};
    }
    return err;
}

int load_connect(const struct load_run *run, unsigned index, struct load_link *link)
{
    int fd = connect_socket(run->options, index);
    *link = (struct load_link){.fd = fd < 0 ? -1 : fd};
    if (fd < 0) {
        return counted(LOAD_CONNECT, fd);
    }
    return run->options->streams ? make_stream(run, index, link) : 0;
}

void load_disconnect(struct load_link *link)
{
    if (link->stream != NULL) {
        (void)weft_stream_close(link->stream);
    } else if (link->fd >= 0) {
        (void)weft_close(link->fd);
    }
    *link = (struct load_link){.fd = -1};
}

static int send_full(const struct load_link *link, const char *data, size_t n)
{
    if (link->stream == NULL) {
        size_t done;
        return weft_write_full(link->fd, data, n, &done);
    }
    /* Below the mark: all of it is taken, or nothing. */
    ssize_t put = weft_stream_write(link->stream, data, n);
    return put < 0 ? (int)put : 0;
}

static int receive_full(const struct load_link *link, char *buffer, size_t n)
{
    if (link->stream == NULL) {
        size_t done;
        return weft_read_full(link->fd, buffer, n, &done);
    }
    ssize_t got = weft_stream_read_exactly(link->stream, buffer, n);
    return got < 0 ? (int)got : 0;
}

int load_echo_once(const struct load_run *run, const struct load_link *link, unsigned index)
{
    char buffer[512];
    size_t n = run->options->size_bytes < sizeof buffer ? run->options->size_bytes : sizeof buffer;
    const char *message = run->pattern + index % LOAD_PATTERN_PERIOD;
    int err = send_full(link, message, n);
    if (err < 0) {
        return counted(LOAD_SEND, err);
    }
    err = receive_full(link, buffer, n);
    if (err == -ENODATA) {
        load_count_error(LOAD_EOF, 0);
        return err;
    }
    if (err < 0) {
        return counted(LOAD_RECEIVE, err);
    }
    if (run->options->verify && memcmp(buffer, message, n) != 0) {
        load_count_error(LOAD_WRONG, 0);
        return -EBADMSG;
    }
    return 0;
}

/* Tasks that share the indexes from 0 to count - 1. */
struct crew {
    struct load_run *run;
    load_each_fn fn;
    unsigned count;
    _Atomic(unsigned) next;
    _Atomic(unsigned) succeeded;
    _Atomic(unsigned) working; /* tasks that have not ended */
};

static void *crew_task(void *arg)
{
    struct crew *crew = arg;
    for (;;) {
        /* ORD none: hands out an index; the joins order the rest. */
        unsigned index = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed);
        if (index >= crew->count) {
            break;
        }
        int err = crew->fn(crew->run, index);
        if (err == -ECANCELED) {
            break;
        }
        /* ORD none: a count. */
        atomic_fetch_add_explicit(&crew->succeeded, err >= 0, memory_order_relaxed);
    }
    /* ORD none: tells when to join, which is what orders the rest. */
    atomic_fetch_sub_explicit(&crew->working, 1, memory_order_relaxed);
    return NULL;
}

/* Wait until the crew is through, the time is over or the user has had enough. */
static void crew_watch(struct crew *crew, int64_t for_ns, const char *what)
{
    int64_t deadline_ns = weft_now() + for_ns;
    int64_t line_ns = weft_now() + WEFT_SECOND / 4;
    /* ORD none: looked at again soon. */
    while (atomic_load_explicit(&crew->working, memory_order_relaxed) > 0 &&
           !atomic_load_explicit(&crew->run->is_interrupted, memory_order_relaxed) &&
           weft_now() < deadline_ns) {
        if (weft_sleep(CREW_LOOK_NS) < 0) {
            return;
        }
        if (weft_now() >= line_ns) {
            /* ORD none: a figure for people. */
            load_progress(crew->run, "%s: %u of %u", what,
                          atomic_load_explicit(&crew->succeeded, memory_order_relaxed),
                          crew->count);
            line_ns += WEFT_SECOND / 4;
        }
    }
}

unsigned load_for_each(struct load_run *run, load_each_fn fn, unsigned count, int64_t for_ns,
                       const char *what)
{
    struct crew crew = {.run = run, .fn = fn, .count = count};
    weft_task *tasks[CREW_MAX];
    unsigned size = count < CREW_MAX ? count : CREW_MAX;
    /* ORD none: before the tasks exist. */
    atomic_store_explicit(&crew.working, size, memory_order_relaxed);
    for (unsigned i = 0; i < size; i++) {
        tasks[i] = weft_spawn(crew_task, &crew);
        if (tasks[i] == NULL) {
            /* ORD none: as in crew_task. */
            atomic_fetch_sub_explicit(&crew.working, 1, memory_order_relaxed);
        }
    }
    crew_watch(&crew, for_ns, what);
    for (unsigned i = 0; i < size; i++) {
        weft_cancel(tasks[i]);
    }
    for (unsigned i = 0; i < size; i++) {
        (void)!weft_join(tasks[i], NULL);
    }
    /* ORD none: the joins came before. */
    return atomic_load_explicit(&crew.succeeded, memory_order_relaxed);
}
