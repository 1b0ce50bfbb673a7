/* SPDX-License-Identifier: MIT */
/*
 * weft-echo: a TCP server that sends back what it gets, one Weft task a connection.
 *
 *     weft-echo --port 7007
 *     nc 127.0.0.1 7007
 *
 * It is the smallest server that is worth measuring, and is written to be read: the loop that
 * serves a client is in tools/echo/connection.c, the callbacks that do in its place with --protocol
 * in tools/echo/protocol.c, how the server starts and ends in tools/echo/server.c. This file turns
 * the command line into options and the process into a runtime: signals are blocked before any
 * worker exists and read from a descriptor, and the descriptor limit is raised as far as it goes.
 */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "echo/echo.h"

const char *argp_program_version = "weft-echo " WEFT_VERSION_STRING;

enum {
    KEY_HOST = 0x100,
    KEY_WORKERS,
    KEY_BACKLOG,
    KEY_GRACE,
    KEY_STATS,
    KEY_SPIN,
    KEY_PROTOCOL,
    KEY_STREAMS,
};

static const struct argp_option option_table[] = {
    {"host", KEY_HOST, "ADDRESS", 0, "Listen on this address (127.0.0.1)", 0},
    {"port", 'p', "PORT", 0, "Listen on this port (7007); 0: any free one, which is printed", 0},
    {"workers", KEY_WORKERS, "N", 0, "Worker threads (as many as the process may use CPUs)", 0},
    {"backlog", KEY_BACKLOG, "N", 0,
     "Connections the kernel may hold before they are accepted"
     " (4096, cut to net.core.somaxconn)",
     0},
    {"grace", KEY_GRACE, "SECONDS", 0,
     "After SIGTERM or SIGINT let connections go on for so long"
     " (5)",
     0},
    {"stats", KEY_STATS, "SECONDS", OPTION_ARG_OPTIONAL,
     "Print a line that often (1; 0: none) and"
     " tables at the end",
     0},
    {"spin", KEY_SPIN, "MICROSECONDS", 0,
     "Let a worker without work look for some that long before"
     " it sleeps (0): shorter answers for more CPU",
     0},
    {"protocol", KEY_PROTOCOL, NULL, 0, "Serve by callbacks, without a task a connection", 0},
    {"streams", KEY_STREAMS, NULL, 0, "Serve by streams, not by calls on descriptors", 0},
    {"quiet", 'q', NULL, 0, "Print nothing but errors and what --stats asks for", 0},
    {0},
};

/* The options, and how to make the runtime. */
struct arguments {
    struct echo_options echo;
    struct weft_options runtime;
    const char *host;
    char port[8];
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case KEY_HOST:
        a->host = arg;
        return 0;
    case 'p':
        snprintf(a->port, sizeof a->port, "%ld", cli_number(state, "--port", arg, 0, 65535));
        return 0;
    case KEY_WORKERS:
        a->runtime.workers = (unsigned)cli_number(state, "--workers", arg, 1, WEFT_WORKERS_MAX);
        return 0;
    case KEY_BACKLOG:
        a->echo.backlog = (int)cli_number(state, "--backlog", arg, 1, 1000000);
        return 0;
    case KEY_GRACE:
        a->echo.grace_ns = cli_seconds(state, "--grace", arg, 0, 86400);
        return 0;
    case KEY_STATS:
        a->echo.stats = true;
        a->echo.stats_every_ns =
            arg == NULL ? WEFT_SECOND : cli_seconds(state, "--stats", arg, 0, 86400);
        return 0;
    case KEY_SPIN:
        a->runtime.spin_ns = cli_number(state, "--spin", arg, 0, 1000000) * WEFT_US;
        return 0;
    case KEY_PROTOCOL:
        a->echo.by_protocol = true;
        return 0;
    case KEY_STREAMS:
        a->echo.streams = true;
        return 0;
    case 'q':
        a->echo.is_quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is not understood", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Route the signals that end the server, and the one that asks for figures, to a descriptor. */
static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    /* Before the workers exist: threads inherit the mask, so no thread takes them the old way. */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -errno;
    }
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = parse,
        .doc = "A TCP echo server: one Weft task a connection.\v"
               "SIGTERM and SIGINT end it with status 0, SIGUSR1 prints the tables of --stats. "
               "Try it with `nc 127.0.0.1 7007`, load it with weft-load."};
    struct arguments a = {.host = "127.0.0.1",
                          .port = "7007",
                          .echo = {.backlog = 4096, .grace_ns = 5 * WEFT_SECOND}};
    argp_parse(&argp, argc, argv, 0, NULL, &a);

    int err = cli_resolve(a.host, a.port, AI_PASSIVE | AI_NUMERICSERV, &a.echo.address);
    if (err != 0) {
        fprintf(stderr, "weft-echo: --host %s: %s\n", a.host, gai_strerror(err));
        return 64;
    }
    struct echo_server server = {.options = &a.echo, .listen_fd = -1};
    server.descriptor_limit = cli_raise_descriptor_limit(&server.descriptor_limit_before);
    server.signal_fd = signals_open();
    if (server.signal_fd < 0) {
        fprintf(stderr, "weft-echo: signalfd: %s\n", cli_error_text(server.signal_fd));
        return 1;
    }
    err = weft_run_with(&a.runtime, echo_serve, &server, NULL);
    if (err < 0 && !server.has_begun) {
        fprintf(stderr, "weft-echo: could not start: %s\n", cli_error_text(err));
    }
    (void)close(server.signal_fd);
    return err < 0;
}
