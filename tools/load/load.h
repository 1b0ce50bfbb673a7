/* SPDX-License-Identifier: MIT */
/*
 * The parts of weft-load: the conductor (run.c), connecting (connect.c) and TLS (tls.c), a task a
 * connection (client.c) or callbacks (protocol.c), counting (count.c), watching the server's
 * process (observe.c), showing (report.c).
 */
#ifndef WEFT_LOAD_H
#define WEFT_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/weft.h>

#include "../cli.h"
#include "histogram.h"

#define LOAD_TARGETS_MAX 64
#define LOAD_SOURCES_MAX 64
#define LOAD_HOST_BYTES 256 /* a name has 253 at most */

/* The pattern that is sent repeats after this many bytes: a prime, so that messages of any usual
 * size differ from their neighbours, and small enough to stay in the L1 cache. */
#define LOAD_PATTERN_PERIOD 4093

/* The most that one call sends or receives. */
#define LOAD_CHUNK_BYTES ((size_t)64 * 1024)

/* The most that may be in flight on a stream, which keeps what the server has not taken. */
#define LOAD_STREAM_FLIGHT_MAX ((size_t)64 << 20)

/* A connection: a descriptor, or a stream that has it. */
struct load_link {
    int fd;              /* -1: none */
    weft_stream *stream; /* NULL: calls on the descriptor */
};

/* What the command line asked for. */
struct load_options {
    char hosts[LOAD_TARGETS_MAX][LOAD_HOST_BYTES]; /* whom the certificates have to be for */
    const char *server_name;             /* in place of them; NULL: not given */
    const char *ca_file;                 /* whom to trust; NULL: whom the system trusts */
    bool streams;
    bool protocol;
    bool tls;
    bool is_insecure; /* trust anybody */
    struct cli_address targets[LOAD_TARGETS_MAX];
    struct cli_address sources[LOAD_SOURCES_MAX];
    unsigned target_count;
    unsigned source_count; /* 0: the kernel chooses */
    unsigned connections;
    unsigned idle;
    unsigned pipeline;
    size_t size_bytes;
    double rate; /* requests a second over all connections; 0: closed loop */
    int64_t duration_ns;
    int64_t warmup_ns;
    pid_t pid; /* the server's; 0: not given */
    bool verify;
    bool idle_report;
    bool json;
    bool progress;
    bool is_quiet;
};

/* Where the run is. Clients look at it after each reply. */
enum load_phase {
    LOAD_WARM_UP,
    LOAD_MEASURE,
    LOAD_STOP, /* send no more, take the replies that are due, end */
};

/* What can go wrong with a connection. */
enum load_stage {
    LOAD_CONNECT,
    LOAD_HANDSHAKE,
    LOAD_SEND,
    LOAD_RECEIVE,
    LOAD_EOF,   /* the server closed the connection */
    LOAD_WRONG, /* bytes came back that were not sent */
    LOAD_STAGES,
};

#define LOAD_ERRNO_MAX 160

/* What the server's process uses. */
struct load_observation {
    int64_t cpu_ns;
    uint64_t rss_bytes;
    uint64_t page_table_bytes;
    uint64_t descriptors; /* 0 when that may not be seen */
};

/* Sums over all threads. */
struct load_totals {
    uint64_t sent;
    uint64_t done;
};

/* One reading of everything that is reported as a difference. */
struct load_snapshot {
    int64_t at_ns;
    int64_t own_cpu_ns;
    int64_t server_cpu_ns;
    struct load_totals totals;
};

/* A run from beginning to end. */
struct load_run {
    /* immutable while clients run */
    const struct load_options *options;
    weft_tls_config *tls; /* NULL: plain */
    const char *pattern; /* LOAD_PATTERN_PERIOD + LOAD_CHUNK_BYTES bytes */
    int signal_fd;
    int64_t base_ns; /* where the schedule of a fixed rate begins */
    /* written by the conductor, read by clients */
    _Atomic(int) phase;
    /* written by clients, read by the conductor */
    _Atomic(unsigned) live;
    /* written by the signal task, read by the conductor */
    _Atomic(bool) is_interrupted;
    /* the conductor's */
    struct load_client *clients;
    struct load_link *idle_links;
    char failure[512]; /* why the run could not be; empty: it could */
    bool has_begun;
    /* results, complete when the conductor has returned */
    unsigned connected;
    unsigned idle_opened;
    unsigned idle_alive; /* of those opened, answered at the end as well */
    uint64_t unanswered;
    uint64_t unsent;
    struct load_snapshot begin;
    struct load_snapshot end;
    struct load_observation server_before;
    struct load_observation server_with_idle;
    struct load_observation server_after;
};

/* --- run.c --- */

/* The main task; its argument is the struct load_run. What it found is in there afterwards. */
void *load_conduct(void *run);

/* --- connect.c --- */

/*
 * Connect the index-th connection: from the next source, to the next target.
 * Context: task     Blocks: task
 * Returns 0 and the connection, or the error, which has been counted.
 */
int load_connect(const struct load_run *run, unsigned index, struct load_link *link);

/* End a connection, if there is one. Context: task     Blocks: task, hardly */
void load_disconnect(struct load_link *link);

/*
 * Send a message and take its echo.
 * Context: task     Blocks: task
 * Returns 0, or the error, which has been counted.
 */
int load_echo_once(const struct load_run *run, const struct load_link *link, unsigned index);

/* What a crew's task does with one index. Returns 0, or an error, after which others go on. */
typedef int (*load_each_fn)(struct load_run *run, unsigned index);

/*
 * Have fn called for 0 to count - 1 by some tasks at once, for at most for_ns, and say on the
 * progress line how far it is.
 * Context: task     Blocks: task
 * Returns how many calls returned 0.
 */
unsigned load_for_each(struct load_run *run, load_each_fn fn, unsigned count, int64_t for_ns,
                       const char *what);

/* --- tls.c --- */

/* Make the configuration that the options ask for. Returns 0, or the error, which it has said. */
int load_tls_create(const struct load_options *options, weft_tls_config **tls);
void load_tls_destroy(weft_tls_config *tls);
/* Shake hands with a target. Returns 0, or the error. Context: task     Blocks: task */
int load_tls_start(const struct load_run *run, weft_stream *s, unsigned target);
/* What the first handshake that succeeded agreed on, and why the first one failed that did; "" when
 * there is none. Context: the conductor, when no handshake is under way */
const char *load_tls_agreed(void);
const char *load_tls_refused(void);

/* --- count.c: none of these waits --- */

void load_count_sent(uint64_t requests);
void load_count_done(int64_t latency_ns, bool is_measured);
void load_count_late(int64_t late_ns);
void load_count_error(enum load_stage stage, int err);
void load_totals_read(struct load_totals *totals);
/* The merged histograms; the caller frees them. NULL when memory is short. */
struct histogram *load_latencies(void);
struct histogram *load_latenesses(void);
uint64_t load_error_count(enum load_stage stage, unsigned err);
uint64_t load_errors(void);
const char *load_stage_name(enum load_stage stage);

/* --- observe.c --- */

/* Returns 0, or why the process cannot be observed. Parts that cannot be seen stay 0. */
int load_observe(pid_t pid, struct load_observation *observation);
/* CPU the process has used, all threads, ended ones too. Returns 0 and up, or the error. */
int64_t load_observe_cpu(pid_t pid);

/* --- report.c --- */

/* A line of progress that replaces the one before on a terminal. */
__attribute__((format(printf, 2, 3))) void load_progress(const struct load_run *run,
                                                         const char *format, ...);
void load_progress_end(const struct load_run *run);
void load_report_text(const struct load_run *run);
/* Returns 0, or -ENOMEM. */
int load_report_json(const struct load_run *run);

#endif
