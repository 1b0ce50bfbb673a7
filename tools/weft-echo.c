/* SPDX-License-Identifier: MIT */
/*
 * weft-echo: a server that sends back what it gets, one Weft task a connection.
 *
 *     weft-echo --port 7007                     nc 127.0.0.1 7007
 *     weft-echo --unix /tmp/echo                nc -U /tmp/echo
 *     weft-echo --tls                           openssl s_client -quiet -connect 127.0.0.1:7007
 *
 * It is the smallest server that is worth measuring, and is written to be read: the loop that
 * serves a client is in tools/echo/connection.c, the same by streams in tools/echo/stream.c, the
 * callbacks that do in its place with --protocol in tools/echo/protocol.c, how the server starts
 * and ends in tools/echo/server.c, its certificate in tools/echo/tls.c. This file turns
 * the command line into options and the process into a runtime: signals are blocked before any
 * worker exists and read from a descriptor, and the descriptor limit is raised as far as it goes.
 */
#include <signal.h>
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
    KEY_UNIX,
    KEY_TLS,
    KEY_CERTIFICATE,
    KEY_KEY,
    KEY_WRITE_CERTIFICATE,
};

static const struct argp_option option_table[] = {
    {NULL, 0, NULL, 0, "Where:", 1},
    {"host", KEY_HOST, "ADDRESS", 0, "Listen on this address (127.0.0.1)", 1},
    {"port", 'p', "PORT", 0, "Listen on this port (7007); 0: any free one, which is printed", 1},
    {"unix", KEY_UNIX, "PATH", 0,
     "Listen on a Unix socket instead; @name: one without a file. A file that nobody listens at is"
     " replaced, and removed at the end",
     1},
    {"backlog", KEY_BACKLOG, "N", 0,
     "Connections the kernel may hold before they are accepted"
     " (4096, cut to net.core.somaxconn)",
     1},
    {NULL, 0, NULL, 0, "How connections are served (else by a task each, on descriptors):", 2},
    {"streams", KEY_STREAMS, NULL, 0, "By a task each, on streams", 2},
    {"protocol", KEY_PROTOCOL, NULL, 0, "By callbacks, without a task a connection", 2},
    {"tls", KEY_TLS, NULL, 0, "By a task each, on streams over TLS", 2},
    {"certificate", KEY_CERTIFICATE, "FILE", 0,
     "With --tls: the certificate, and those that vouch for it, as PEM. Without it one is made, for"
     " localhost and the address, that nobody else vouches for",
     2},
    {"key", KEY_KEY, "FILE", 0, "Its key (in the same file)", 2},
    {"write-certificate", KEY_WRITE_CERTIFICATE, "FILE", 0,
     "Write the certificate that is made there, for `weft-load --ca FILE`", 2},
    {NULL, 0, NULL, 0, "The rest:", 3},
    {"workers", KEY_WORKERS, "N", 0, "Worker threads (as many as the process may use CPUs)", 3},
    {"grace", KEY_GRACE, "SECONDS", 0,
     "After SIGTERM or SIGINT let connections go on for so long"
     " (5)",
     3},
    {"stats", KEY_STATS, "SECONDS", OPTION_ARG_OPTIONAL,
     "Print a line that often (1; 0: none) and"
     " tables at the end",
     3},
    {"spin", KEY_SPIN, "MICROSECONDS", 0,
     "Let a worker without work look for some that long before"
     " it sleeps (0): shorter answers for more CPU",
     3},
    {"quiet", 'q', NULL, 0, "Print nothing but errors and what --stats asks for", 3},
    {0},
};

/* The options, and how to make the runtime. */
struct arguments {
    struct echo_options echo;
    struct weft_options runtime;
    const char *host; /* NULL: not given */
    char port[8];     /* likewise "" */
    bool is_unix;
};

/* What was asked for must make sense together. */
static void check(struct argp_state *state, const struct arguments *a)
{
    const struct echo_options *o = &a->echo;
    if (a->is_unix && (a->host != NULL || a->port[0] != '\0')) {
        argp_error(state, "--unix takes the place of --host and --port: leave these out");
    }
    if (o->by_protocol && (o->tls || o->streams)) {
        argp_error(state, "--protocol is another way than %s: callbacks have no streams, and TLS is"
                   " on streams; choose one", o->tls ? "--tls" : "--streams");
    }
    if (!o->tls && (o->certificate_file != NULL || o->key_file != NULL ||
                    o->certificate_out != NULL)) {
        argp_error(state, "--certificate, --key and --write-certificate need --tls");
    }
    if (o->key_file != NULL && o->certificate_file == NULL) {
        argp_error(state, "--key needs --certificate: a certificate that is made has a key");
    }
    if (o->certificate_out != NULL && o->certificate_file != NULL) {
        argp_error(state, "--write-certificate is for one that is made: leave --certificate out");
    }
}

/* Options that say how connections are served. */
static error_t parse_way(int key, char *arg, struct argp_state *state)
{
    struct echo_options *o = &((struct arguments *)state->input)->echo;
    switch (key) {
    case KEY_PROTOCOL:
        o->by_protocol = true;
        return 0;
    case KEY_STREAMS:
        o->streams = true;
        return 0;
    case KEY_TLS:
        cli_require_tls(state, WEFT_HAVE_TLS);
        o->tls = true;
        return 0;
    case KEY_CERTIFICATE:
        o->certificate_file = arg;
        return 0;
    case KEY_KEY:
        o->key_file = arg;
        return 0;
    case KEY_WRITE_CERTIFICATE:
        o->certificate_out = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

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
    case KEY_UNIX:
        cli_unix_address(state, arg, &a->echo.address);
        a->is_unix = true;
        return 0;
    case KEY_WORKERS:
        a->runtime.workers = cli_workers(state, arg);
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
        a->runtime.spin_ns = cli_spin_ns(state, arg);
        return 0;
    case 'q':
        a->echo.is_quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        cli_refuse(state, arg);
        return 0;
    case ARGP_KEY_END:
        check(state, a);
        return 0;
    default:
        return parse_way(key, arg, state);
    }
}

/* Find the address to listen on. Returns 0, or 64 after saying why not. */
static int resolve(struct arguments *a)
{
    const char *host = a->host != NULL ? a->host : "127.0.0.1";
    const char *port = a->port[0] != '\0' ? a->port : "7007";
    int err = a->is_unix ? 0
                         : cli_resolve(host, port, AI_PASSIVE | AI_NUMERICSERV, &a->echo.address);
    if (err != 0) {
        fprintf(stderr, "weft-echo: --host %s: %s\n", host, gai_strerror(err));
        return 64;
    }
    return 0;
}

/* Those that end the server, and the one that asks for figures. */
static int signals_open(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    return cli_signals_open(signals, sizeof signals / sizeof *signals);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = parse,
        .doc = "An echo server on TCP or a Unix socket, plain or TLS: one Weft task a connection, "
               "or callbacks.\v"
               "SIGTERM and SIGINT end it with status 0, SIGUSR1 prints the tables of --stats. "
               "Try it with `nc 127.0.0.1 7007`, `nc -U PATH` or `openssl s_client -quiet -connect "
               "127.0.0.1:7007`, load it with weft-load."};
    struct arguments a = {.echo = {.backlog = 4096, .grace_ns = 5 * WEFT_SECOND}};
    weft_tls_config *tls = NULL;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (resolve(&a) != 0) {
        return 64;
    }
    if (a.echo.tls && echo_tls_create(&a.echo, &tls) < 0) {
        return 1;
    }
    echo_stream_use_tls(tls);
    struct echo_server server = {.options = &a.echo, .listen_fd = -1};
    server.descriptor_limit = cli_raise_descriptor_limit(&server.descriptor_limit_before);
    server.signal_fd = signals_open();
    if (server.signal_fd < 0) {
        fprintf(stderr, "weft-echo: signalfd: %s\n", cli_error_text(server.signal_fd));
        return 1;
    }
    int err = weft_run_with(&a.runtime, echo_serve, &server, NULL);
    if (err < 0 && !server.has_begun) {
        fprintf(stderr, "weft-echo: could not start: %s\n", cli_error_text(err));
    }
    (void)close(server.signal_fd);
    echo_tls_destroy(tls);
    return err < 0;
}
