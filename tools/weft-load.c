/* SPDX-License-Identifier: MIT */
/*
 * weft-load: put load on an echo server, any echo server, and say how it answered.
 *
 *     weft-load --connect 127.0.0.1:7007 --connections 1000 --duration 5
 *     weft-load --connect 127.0.0.1:7007 --connections 64 --rate 20000
 *     weft-load --unix /tmp/echo --connections 64
 *     weft-load --connect 127.0.0.1:7007 --tls --ca certificate.pem
 *     weft-load --connect 127.0.0.1:7007 --connections 0 --idle 15000 --pid $(pidof weft-echo) \
 *               --idle-report
 *
 * It is a Weft program, a task a connection; how the run goes is in tools/load/run.c, what a
 * connection does in tools/load/client.c. This file reads the command line, checks that it can be
 * done, and makes the process ready.
 *
 * Exit status: 0; 1 when nothing worked or wrong bytes came back; 3 when the run did not end in
 * time, which would be a defect; 64 for bad arguments.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "load/client.h"

const char *argp_program_version = "weft-load " WEFT_VERSION_STRING;

/* Descriptors besides the connections: the standard ones, the runtime's, a few for looking. */
#define SPARE_DESCRIPTORS 64

/* Stages besides warm-up and measuring end by themselves well within this. */
#define BEYOND_SECONDS 120

enum {
    KEY_SIZE = 0x100,
    KEY_SOURCE,
    KEY_RATE,
    KEY_WARMUP,
    KEY_WORKERS,
    KEY_IDLE,
    KEY_IDLE_REPORT,
    KEY_PID,
    KEY_NO_VERIFY,
    KEY_JSON,
    KEY_PROGRESS,
    KEY_SPIN,
    KEY_UNIX,
    KEY_STREAMS,
    KEY_PROTOCOL,
    KEY_TLS,
    KEY_CA,
    KEY_INSECURE,
    KEY_SERVER_NAME,
};

static const struct argp_option option_table[] = {
    {NULL, 0, NULL, 0, "Where to:", 1},
    {"connect", 'c', "HOST:PORT", 0, "The server (127.0.0.1:7007); may be repeated", 1},
    {"unix", KEY_UNIX, "PATH", 0,
     "A server on a Unix socket; @name: one without a file; may be repeated", 1},
    {"source", KEY_SOURCE, "ADDRESS,...", 0,
     "Connect from these addresses in turn; one alone has ports for about 28,000 connections", 1},
    {"tls", KEY_TLS, NULL, 0,
     "Over TLS; the server's certificate is verified, as is that it is for HOST", 1},
    {"ca", KEY_CA, "FILE", 0,
     "Trust these certificates, in PEM, in place of those that the system trusts; the server's own"
     " will do",
     1},
    {"insecure", KEY_INSECURE, NULL, 0, "Do not verify the certificate: talk to anybody", 1},
    {"server-name", KEY_SERVER_NAME, "HOST", 0,
     "Ask for this name, which the certificate has to be for (HOST of --connect; localhost with"
     " --unix)",
     1},
    {NULL, 0, NULL, 0, "What load:", 2},
    {"connections", 'n', "N", 0, "Connections that send requests (1)", 2},
    {"size", KEY_SIZE, "BYTES", 0, "Size of a request and of its reply (64)", 2},
    {"pipeline", 'p', "N", 0, "Requests in flight a connection, at most (1)", 2},
    {"rate", KEY_RATE, "N", 0,
     "Send so many requests a second, all connections together, and count latency from when each"
     " was due; without it each reply brings the next request",
     2},
    {"duration", 'd', "SECONDS", 0, "Measure that long (3)", 2},
    {"warmup", KEY_WARMUP, "SECONDS", 0, "Run that long before (0.5)", 2},
    {"idle", KEY_IDLE, "N", 0, "Connections that are opened, tried once and left alone", 2},
    {"no-verify", KEY_NO_VERIFY, NULL, 0, "Do not compare what comes back with what was sent", 2},
    {NULL, 0, NULL, 0, "What to show:", 3},
    {"pid", KEY_PID, "PID", 0, "The server's process: show its CPU a request", 3},
    {"idle-report", KEY_IDLE_REPORT, NULL, 0,
     "Show what an idle connection costs the server's process (with --idle and --pid)", 3},
    {"json", KEY_JSON, NULL, 0, "Report as one line of JSON", 3},
    {"progress", KEY_PROGRESS, NULL, 0,
     "Show progress on standard error also when that is no terminal", 3},
    {"quiet", 'q', NULL, 0, "No progress, no report", 3},
    {NULL, 0, NULL, 0, "How:", 4},
    {"streams", KEY_STREAMS, NULL, 0,
     "By streams, not by calls on descriptors, as --tls always is; for the CPU of either", 4},
    {"protocol", KEY_PROTOCOL, NULL, 0,
     "By callbacks (weft_protocol), without --tls and --rate; idle connections by calls", 4},
    {"workers", KEY_WORKERS, "N", 0, "Worker threads (1)", 4},
    {"spin", KEY_SPIN, "MICROSECONDS", 0,
     "Let a worker without work look for some that long before it sleeps (0)", 4},
    {0},
};

struct arguments {
    struct load_options load;
    struct weft_options runtime;
};

/* Whether there is room for a target more; else it is said that there is not. */
static bool has_room(struct argp_state *state, const struct load_options *o)
{
    if (o->target_count == LOAD_TARGETS_MAX) {
        argp_error(state, "--connect and --unix: %d are the most", LOAD_TARGETS_MAX);
        return false;
    }
    return true;
}

static void add_unix_target(struct argp_state *state, struct load_options *o, const char *arg)
{
    if (has_room(state, o)) {
        memcpy(o->hosts[o->target_count], "localhost", sizeof "localhost");
        cli_unix_address(state, arg, &o->targets[o->target_count++]);
    }
}

/* Resolve HOST:PORT; the host may stand in brackets. */
static void add_target(struct argp_state *state, struct load_options *o, const char *arg)
{
    if (!has_room(state, o)) {
        return;
    }
    char *host = o->hosts[o->target_count];
    const char *colon = strrchr(arg, ':');
    if (colon == NULL || colon == arg || colon[1] == '\0' || colon - arg >= LOAD_HOST_BYTES) {
        argp_error(state, "--connect takes HOST:PORT, not '%s'", arg);
        return;
    }
    const char *from = *arg == '[' && colon[-1] == ']' ? arg + 1 : arg;
    const char *to = from > arg ? colon - 1 : colon;
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = '\0';
    (void)cli_number(state, "--connect HOST:", colon + 1, 1, 65535);
    int err = cli_resolve(host, colon + 1, AI_NUMERICSERV, &o->targets[o->target_count]);
    if (err != 0) {
        argp_error(state, "--connect %s: %s", arg, gai_strerror(err));
    }
    o->target_count++;
}

static void add_sources(struct argp_state *state, struct load_options *o, char *arg)
{
    char *rest = NULL;
    for (char *s = strtok_r(arg, ",", &rest); s != NULL; s = strtok_r(NULL, ",", &rest)) {
        if (o->source_count == LOAD_SOURCES_MAX) {
            argp_error(state, "--source: %d are the most", LOAD_SOURCES_MAX);
            return;
        }
        int err = cli_resolve(s, NULL, AI_NUMERICHOST, &o->sources[o->source_count]);
        if (err != 0) {
            argp_error(state, "--source %s: %s", s, gai_strerror(err));
        }
        o->source_count++;
    }
}

/* A rate may be any positive number. */
static double parse_rate(struct argp_state *state, const char *arg)
{
    char *end;
    double rate = strtod(arg, &end);
    if (end == arg || *end != '\0' || !(rate > 0 && rate <= 1e8)) {
        argp_error(state, "--rate takes requests a second, more than 0, not '%s'", arg);
    }
    return rate;
}

/* What is said about TLS and streams must make sense. */
static void check_streams(struct argp_state *state, const struct load_options *o)
{
    if (!o->tls && (o->ca_file != NULL || o->is_insecure || o->server_name != NULL)) {
        argp_error(state, "--ca, --insecure and --server-name need --tls");
    }
    if (o->ca_file != NULL && o->is_insecure) {
        argp_error(state, "--ca says whom to trust, --insecure to trust anybody: choose one");
    }
    if (o->protocol && (o->streams || o->rate > 0)) {
        argp_error(state, "--protocol goes without --streams, --tls and --rate");
    }
    if ((o->streams || o->protocol) && o->size_bytes * o->pipeline > LOAD_STREAM_FLIGHT_MAX) {
        argp_error(state, "--size times --pipeline may be %zu bytes at most with %s",
                   LOAD_STREAM_FLIGHT_MAX,
                   o->tls ? "--tls" : o->protocol ? "--protocol" : "--streams");
    }
}

/* What was asked for must make sense together, and be possible here. */
static void check(struct argp_state *state, struct load_options *o)
{
    unsigned long before;
    unsigned long wanted = (unsigned long)o->connections + o->idle;
    if (o->target_count == 0) {
        char standard[] = "127.0.0.1:7007";
        add_target(state, o, standard);
    }
    for (unsigned i = 0; o->source_count > 0 && i < o->target_count; i++) {
        if (o->targets[i].storage.ss_family == AF_UNIX) {
            argp_error(state, "--source is an address, which Unix sockets have none of: leave out"
                       " --source or --unix");
        }
        for (unsigned k = 0; k < o->source_count; k++) {
            if (o->sources[k].storage.ss_family != o->targets[i].storage.ss_family) {
                argp_error(state, "--source and --connect must both be IPv4 or both IPv6");
            }
        }
    }
    check_streams(state, o);
    if (wanted == 0) {
        argp_error(state, "--connections and --idle are both 0: nothing to do");
    }
    if (o->idle_report && (o->idle == 0 || o->pid == 0)) {
        argp_error(state, "--idle-report needs --idle and --pid");
    }
    unsigned long limit = cli_raise_descriptor_limit(&before);
    if (wanted + SPARE_DESCRIPTORS > limit) {
        fprintf(stderr,
                "weft-load: %lu connections need %lu descriptors, the limit here is %lu; use"
                " several processes (each with its own --source), or raise it\n",
                wanted, wanted + SPARE_DESCRIPTORS, limit);
        cli_say_how_to_raise(stderr);
        exit(64);
    }
}

static error_t parse_stream(int key, char *arg, struct argp_state *state)
{
    struct load_options *o = &((struct arguments *)state->input)->load;
    switch (key) {
    case KEY_STREAMS:
        o->streams = true;
        return 0;
    case KEY_PROTOCOL:
        o->protocol = true;
        return 0;
    case KEY_TLS:
        cli_require_tls(state, WEFT_HAVE_TLS);
        o->tls = true;
        o->streams = true;
        return 0;
    case KEY_CA:
        o->ca_file = arg;
        return 0;
    case KEY_INSECURE:
        o->is_insecure = true;
        return 0;
    case KEY_SERVER_NAME:
        o->server_name = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_load(int key, char *arg, struct argp_state *state)
{
    struct load_options *o = &((struct arguments *)state->input)->load;
    switch (key) {
    case 'c':
        add_target(state, o, arg);
        return 0;
    case KEY_UNIX:
        add_unix_target(state, o, arg);
        return 0;
    case KEY_SOURCE:
        add_sources(state, o, arg);
        return 0;
    case 'n':
        o->connections = (unsigned)cli_number(state, "--connections", arg, 0, 1000000);
        return 0;
    case KEY_IDLE:
        o->idle = (unsigned)cli_number(state, "--idle", arg, 0, 1000000);
        return 0;
    case KEY_SIZE:
        o->size_bytes = (size_t)cli_number(state, "--size", arg, 1, 16 << 20);
        return 0;
    case 'p':
        o->pipeline = (unsigned)cli_number(state, "--pipeline", arg, 1, 65536);
        return 0;
    case KEY_RATE:
        o->rate = parse_rate(state, arg);
        return 0;
    case 'd':
        o->duration_ns = cli_seconds(state, "--duration", arg, 0.01, 86400);
        return 0;
    case KEY_WARMUP:
        o->warmup_ns = cli_seconds(state, "--warmup", arg, 0, 3600);
        return 0;
    default:
        return parse_stream(key, arg, state);
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;
    switch (key) {
    case KEY_PID:
        a->load.pid = (pid_t)cli_number(state, "--pid", arg, 1, 1 << 22);
        return 0;
    case KEY_IDLE_REPORT:
        a->load.idle_report = true;
        return 0;
    case KEY_NO_VERIFY:
        a->load.verify = false;
        return 0;
    case KEY_JSON:
        a->load.json = true;
        return 0;
    case KEY_PROGRESS:
        a->load.progress = true;
        return 0;
    case 'q':
        a->load.is_quiet = true;
        a->load.progress = false;
        return 0;
    case KEY_WORKERS:
        a->runtime.workers = cli_workers(state, arg);
        return 0;
    case KEY_SPIN:
        a->runtime.spin_ns = cli_spin_ns(state, arg);
        return 0;
    case ARGP_KEY_ARG:
        cli_refuse(state, arg);
        return 0;
    case ARGP_KEY_END:
        check(state, &a->load);
        return 0;
    default:
        return parse_load(key, arg, state);
    }
}

/* --- the process ------------------------------------------------------------------------------ */

static void out_of_time(int signal)
{
    static const char text[] = "weft-load: the run did not end in time\n";
    (void)signal;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(3);
}

/* Prepare signals. Returns the descriptor that SIGINT and SIGTERM are read from, or the error. */
static int signals_open(const struct load_options *o)
{
    static const int signals[] = {SIGINT, SIGTERM};
    /* Every stage ends by itself. Should one not, this does: a script must never hang on us. */
    struct sigaction action = {.sa_handler = out_of_time};
    if (sigaction(SIGALRM, &action, NULL) < 0) {
        return -errno;
    }
    alarm((unsigned)((o->warmup_ns + o->duration_ns) / WEFT_SECOND) + BEYOND_SECONDS);
    return cli_signals_open(signals, sizeof signals / sizeof *signals);
}

/* Bytes to send: noise that is the same in every run, repeated with its period. */
static char *pattern_make(void)
{
    size_t bytes = LOAD_PATTERN_PERIOD + LOAD_CHUNK_BYTES;
    char *pattern = malloc(bytes);
    uint32_t state = 1;
    for (size_t i = 0; pattern != NULL && i < bytes; i++) {
        if (i >= LOAD_PATTERN_PERIOD) {
            pattern[i] = pattern[i - LOAD_PATTERN_PERIOD];
            continue;
        }
        state = state * 1664525 + 1013904223;
        pattern[i] = (char)(state >> 24);
    }
    return pattern;
}

/* Memory for the connections. Returns 0 or -ENOMEM. */
static int run_init(struct load_run *run)
{
    const struct load_options *o = run->options;
    run->pattern = pattern_make();
    run->clients = calloc(o->connections + 1, sizeof *run->clients);
    run->idle_links = malloc((o->idle + 1) * sizeof *run->idle_links);
    if (run->pattern == NULL || run->clients == NULL || run->idle_links == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < o->idle; i++) {
        run->idle_links[i] = (struct load_link){.fd = -1};
    }
    for (unsigned i = 0; i < o->connections; i++) {
        int err = load_client_init(&run->clients[i], run, i);
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

static void run_fini(struct load_run *run)
{
    for (unsigned i = 0; run->clients != NULL && i < run->options->connections; i++) {
        load_client_fini(&run->clients[i]);
    }
    free(run->clients);
    free(run->idle_links);
    load_tls_destroy(run->tls);
    free((void *)(uintptr_t)run->pattern);
    if (run->signal_fd >= 0) {
        (void)close(run->signal_fd);
    }
}

/* Report. Returns the exit status. */
static int conclude(const struct load_run *run)
{
    const struct load_options *o = run->options;
    if (run->failure[0] != '\0') {
        fprintf(stderr, "weft-load: %s\n", run->failure);
    } else if (!o->is_quiet && o->json) {
        (void)load_report_json(run);
    } else if (!o->is_quiet) {
        load_report_text(run);
    }
    bool is_served =
        o->connections == 0 ? run->idle_alive > 0 : run->end.totals.done > run->begin.totals.done;
    bool is_wrong = false;
    for (unsigned err = 0; err < LOAD_ERRNO_MAX; err++) {
        is_wrong = is_wrong || load_error_count(LOAD_WRONG, err) > 0;
    }
    return !is_served || is_wrong;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = option_table,
        .parser = parse,
        .doc = "Put load on an echo server and report throughput, latency and errors.\v"
               "A rate makes an open loop: requests are due at fixed times, whatever the server "
               "does, and the report says how late the generator itself was. SIGINT ends the run "
               "early, with its report."};
    struct arguments a = {.runtime = {.workers = 1},
                          .load = {.connections = 1,
                                   .size_bytes = 64,
                                   .pipeline = 1,
                                   .duration_ns = 3 * WEFT_SECOND,
                                   .warmup_ns = WEFT_SECOND / 2,
                                   .verify = true,
                                   .progress = isatty(STDERR_FILENO)}};
    argp_parse(&argp, argc, argv, 0, NULL, &a);

    struct load_run run = {.options = &a.load, .signal_fd = signals_open(&a.load)};
    if (a.load.tls && load_tls_create(&a.load, &run.tls) < 0) {
        return 1;
    }
    /* Timers of the threads to come fire when they should, and not up to 50 us later. */
    (void)prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
    int err = run.signal_fd < 0 ? run.signal_fd : run_init(&run);
    if (err == 0) {
        err = weft_run_with(&a.runtime, load_conduct, &run, NULL);
    }
    if (err < 0) {
        fprintf(stderr, "weft-load: could not %s: %s\n", run.has_begun ? "go on" : "start",
                cli_error_text(err));
    }
    int status = err < 0 ? 1 : conclude(&run);
    run_fini(&run);
    return status;
}
