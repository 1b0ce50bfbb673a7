/* SPDX-License-Identifier: MIT */
/*
 * The server's life: listen, accept, and on a signal come to a decent end.
 *
 *   server task    listens, starts the others, then waits for a signal
 *   accept task    accepts; each connection becomes a task that nobody holds
 *   report task    with --stats, prints a line now and then
 *
 * The end: on SIGTERM or SIGINT the accept task is cancelled, so nobody new gets in, and the
 * listening socket is closed, so that clients see a refusal and not silence. The connections go on
 * until their clients close them or the grace time is over, or a second signal comes. Then the
 * server task returns, and closing the runtime cancels whatever is left.
 *
 * Shortage: when a descriptor or memory is lacking the connection stays in the backlog, and
 * accepting again at once would fail again at once, for ever. So the accept task sleeps a little,
 * longer each time, and says so once.
 *
 * A Unix socket's file that nobody listens at any more, left by a server that was killed, is
 * replaced; the server's own is removed at the end.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "echo.h"

/* The pause starts with SHORT and doubles up to LONG: a waiting client notices a tenth of a second
 * hardly, and ten failing calls a second cost nothing. */
#define PAUSE_SHORT_NS (5 * WEFT_MS)
#define PAUSE_LONG_NS (100 * WEFT_MS)

/* How often the end looks whether the last connection has gone, and for a second signal. */
#define DRAIN_LOOK_NS (10 * WEFT_MS)

/* Errors that pass when others give back what they hold. */
static bool is_shortage(int err)
{
    return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

/* Errors of the one connection that was about to be accepted (accept(2), "Error handling"). */
static bool is_of_client(int err)
{
    switch (-err) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EPERM:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

/* Wait for better times. *pause_ns: how long; grows. Returns 0 or -ECANCELED. */
static int shortage_wait(int err, int64_t *pause_ns, bool *is_said)
{
    echo_count_pause();
    if (!*is_said) {
        *is_said = true;
        fprintf(stderr,
                "weft-echo: cannot accept for now: %s; waiting for connections to end"
                " (said once)\n",
                cli_error_text(err));
    }
    err = weft_sleep(*pause_ns);
    *pause_ns = *pause_ns * 2 < PAUSE_LONG_NS ? *pause_ns * 2 : PAUSE_LONG_NS;
    return err;
}

/*
 * Give a connection its task. Its frames take less than a page, so the smallest stack does: four
 * times as many share a page of page tables, which is an eighth of what an idle connection costs.
 * Shaking hands takes what is the default.
 * Returns 0, or the error; then the connection is closed.
 */
static int connection_start(const struct echo_server *server, int fd)
{
    static const struct weft_spawn_options small = {.stack_bytes = WEFT_STACK_BYTES_MIN};
    const struct echo_options *o = server->options;
    weft_fn run = o->streams || o->tls ? echo_stream_connection : echo_connection;
    weft_task *task = weft_spawn_with(o->tls ? NULL : &small, run, (void *)(intptr_t)fd);
    if (task == NULL) {
        (void)weft_close(fd);
        return -ENOMEM;
    }
    weft_put(task); /* nobody awaits it */
    echo_count_accepted();
    return 0;
}

/* The same, or have it call back. */
static int connection_begin(const struct echo_server *s, int fd)
{
    if (!s->options->by_protocol) {
        return connection_start(s, fd);
    }
    int err = echo_protocol_start(fd);
    if (err < 0) {
        (void)weft_close(fd);
        return err;
    }
    echo_count_accepted();
    return 0;
}

/* The accept task. Ends when it is cancelled, or cancels the server when it cannot go on. */
static void *accept_connections(void *arg)
{
    struct echo_server *s = arg;
    int64_t pause_ns = PAUSE_SHORT_NS;
    bool is_said = false;
    for (;;) {
        int fd = weft_accept(s->listen_fd, NULL, NULL, 0);
        int err = fd >= 0 ? connection_begin(s, fd) : fd;
        if (err >= 0) {
            pause_ns = PAUSE_SHORT_NS;
        } else if (is_shortage(err)) {
            err = shortage_wait(err, &pause_ns, &is_said);
        }
        if (err == -ECANCELED) {
            return NULL;
        }
        if (err < 0 && !is_shortage(err) && !is_of_client(err)) {
            s->accept_error = err;
            weft_cancel(s->server_task);
            return NULL;
        }
    }
}

/* Remove a Unix socket's file that nobody listens at. */
static void remove_left_behind(const struct cli_address *address)
{
    const struct sockaddr *at = (const struct sockaddr *)&address->storage;
    const char *path = ((const struct sockaddr_un *)at)->sun_path;
    struct stat is;
    if (path[0] == '\0' || lstat(path, &is) < 0 || !S_ISSOCK(is.st_mode)) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        if (connect(fd, at, address->bytes) < 0 && errno == ECONNREFUSED) {
            (void)unlink(path);
        }
        (void)close(fd);
    }
}

/* Remove the server's own. */
static void remove_own(const struct cli_address *address)
{
    const char *path = ((const struct sockaddr_un *)&address->storage)->sun_path;
    if (address->storage.ss_family == AF_UNIX && path[0] != '\0') {
        (void)unlink(path);
    }
}

/* Make a socket of TCP fit for it. Returns 0 or the error. */
static int prepare_tcp(int fd)
{
    int one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0) {
        return -errno;
    }
    /* Linux hands TCP_NODELAY of the listening socket down to what it accepts. */
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 ? -errno : 0;
}

/* Open the listening socket. Returns 0 or the error, which it has said. */
static int server_listen(struct echo_server *s)
{
    const struct echo_options *o = s->options;
    struct cli_address bound = {.bytes = sizeof bound.storage};
    bool is_unix = o->address.storage.ss_family == AF_UNIX;
    int fd = weft_socket(o->address.storage.ss_family, SOCK_STREAM, 0);
    int err = fd < 0 ? fd : 0;
    if (err == 0 && !is_unix) {
        err = prepare_tcp(fd);
    } else if (err == 0) {
        remove_left_behind(&o->address);
    }
    if (err == 0) {
        err = weft_bind(fd, (const struct sockaddr *)&o->address.storage, o->address.bytes);
    }
    if (err == 0) {
        err = weft_listen(fd, o->backlog);
    }
    if (err == 0 && getsockname(fd, (struct sockaddr *)&bound.storage, &bound.bytes) < 0) {
        err = -errno;
    }
    if (err < 0) {
        cli_address_text(&o->address, s->name);
        fprintf(stderr, "weft-echo: cannot listen on %s: %s\n", s->name, cli_error_text(err));
        if (fd >= 0) {
            (void)weft_close(fd);
        }
        return err;
    }
    s->listen_fd = fd;
    cli_address_text(&bound, s->name);
    return 0;
}

static void server_announce(const struct echo_server *s)
{
    if (s->options->is_quiet) {
        return;
    }
    printf("listening on %s\n", s->name);
    printf("descriptor limit %lu", s->descriptor_limit);
    if (s->descriptor_limit > s->descriptor_limit_before) {
        printf(" (raised from %lu)", s->descriptor_limit_before);
    }
    printf(": one a connection\n");
    cli_say_how_to_raise(stdout);
    fflush(stdout);
}

/* Wait until it is time to end. Returns the signal, or the error that took its place. */
static int server_wait(struct echo_server *s)
{
    for (;;) {
        struct signalfd_siginfo info;
        ssize_t n = weft_read(s->signal_fd, &info, sizeof info);
        if (n < 0) {
            return (int)n;
        }
        if (info.ssi_signo != SIGUSR1) {
            return (int)info.ssi_signo;
        }
        echo_report_tables(weft_runtime_current());
    }
}

static uint64_t connections_open(void)
{
    struct echo_totals t;
    echo_totals_read(&t);
    return t.accepted - t.closed;
}

/* Let the connections finish. Returns how many had not when the time was over. */
static uint64_t server_drain(const struct echo_server *s)
{
    int64_t deadline_ns = weft_now() + s->options->grace_ns;
    uint64_t open = connections_open();
    if (open > 0 && !s->options->is_quiet) {
        printf("ending: %llu connections have %.1f s to finish; another signal ends them now\n",
               (unsigned long long)open, (double)s->options->grace_ns / 1e9);
        fflush(stdout);
    }
    /*
     * Nobody can be told that a sum of counters has reached zero, so it is looked at. This is the
     * only thing in the program that ticks, and only at its end.
     */
    while (open > 0 && weft_now() < deadline_ns) {
        struct signalfd_siginfo info;
        /* The descriptor is non-blocking: plain read says at once whether there was a signal. */
        if (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info &&
            info.ssi_signo != SIGUSR1) {
            break;
        }
        if (weft_sleep(DRAIN_LOOK_NS) < 0) {
            break;
        }
        open = connections_open();
    }
    return open;
}

static void server_say_goodbye(const struct echo_server *s, uint64_t cut_off)
{
    if (s->options->stats) {
        echo_report_tables(weft_runtime_current());
    }
    if (!s->options->is_quiet) {
        struct echo_totals t;
        echo_totals_read(&t);
        printf("ended: %llu connections served", (unsigned long long)t.accepted);
        if (cut_off > 0) {
            printf(", %llu of them cut off", (unsigned long long)cut_off);
        }
        printf("\n");
    }
    fflush(stdout);
}

void *echo_serve(void *arg)
{
    struct echo_server *s = arg;
    s->has_begun = true;
    int err = server_listen(s);
    if (err < 0) {
        return weft_fail(err);
    }
    server_announce(s);
    s->server_task = weft_self();
    weft_task *acceptor = weft_spawn(accept_connections, s);
    weft_task *reporter = s->options->stats_every_ns > 0 ? weft_spawn(echo_report_lines, s) : NULL;

    int why = acceptor != NULL ? server_wait(s) : -ENOMEM;
    weft_cancel_and_join(acceptor, NULL);
    (void)weft_close(s->listen_fd);
    remove_own(&s->options->address);
    if (why == -ECANCELED && s->accept_error < 0) {
        weft_uncancel();
        why = s->accept_error;
    }
    uint64_t cut_off = server_drain(s);
    weft_cancel_and_join(reporter, NULL);
    if (why < 0) {
        fprintf(stderr, "weft-echo: cannot go on: %s\n", cli_error_text(why));
        return weft_fail(why);
    }
    server_say_goodbye(s, cut_off);
    return NULL;
}
