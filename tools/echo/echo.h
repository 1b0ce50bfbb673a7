/* SPDX-License-Identifier: MIT */
/*
 * The parts of weft-echo: the server task (server.c), a task a connection (connection.c) or none
 * (protocol.c), what they count (tally.c) and how it is shown (report.c); certificates (tls.c).
 */
#ifndef WEFT_ECHO_H
#define WEFT_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/weft.h>

#include "../cli.h"

/* What the command line asked for. */
struct echo_options {
    struct cli_address address;
    int backlog;
    int64_t grace_ns;       /* how long connections may go on after SIGTERM */
    int64_t stats_every_ns; /* a line that often; 0: none */
    bool stats;             /* the tables at the end */
    bool streams;           /* serve by streams, not by calls on descriptors */
    bool tls;               /* the streams go over TLS */
    const char *certificate_file; /* NULL: one is made */
    const char *key_file;         /* NULL: it is with the certificate */
    const char *certificate_out;  /* where to write the certificate that is made; NULL: nowhere */
    bool is_quiet;          /* only errors */
    bool by_protocol;       /* callbacks in place of a task a connection */
};

/* A running server. */
struct echo_server {
    /* immutable once the server task runs */
    const struct echo_options *options;
    int signal_fd; /* SIGTERM, SIGINT and SIGUSR1 are read here */
    unsigned long descriptor_limit;
    unsigned long descriptor_limit_before;
    /* written by the server task before the others exist */
    bool has_begun;         /* from here on the server has said itself what went wrong */
    weft_task *server_task; /* without a reference: it outlives those who use it */
    int listen_fd;
    char name[CLI_ADDRESS_TEXT];
    /* written by the accept task, read by the server task after the join */
    int accept_error;
};

/* Sums of what all connections did. */
struct echo_totals {
    uint64_t accepted;
    uint64_t closed;
    uint64_t failed; /* of the closed ones: those that ended with an error, a reset for instance */
    uint64_t reads;
    uint64_t bytes;
    uint64_t pauses; /* how often accepting had to wait for descriptors or memory */
};

/* The server's main task; its argument is the struct echo_server. Fails when it cannot listen. */
void *echo_serve(void *server);

/* A connection's task; its argument is the descriptor, which it closes. */
void *echo_connection(void *fd);

/* The same without a task. Returns 0, or an error: the descriptor is still the caller's. */
int echo_protocol_start(int fd);

/* The same by a stream; over TLS, if a configuration was given before the first one. */
void *echo_stream_connection(void *fd);
void echo_stream_use_tls(weft_tls_config *tls);

/* Make the configuration that the options ask for. Returns 0, or an error that it has said. */
int echo_tls_create(const struct echo_options *options, weft_tls_config **tls);
void echo_tls_destroy(weft_tls_config *tls);
/* Shake hands. Returns 0, or the error, which is said the first time. */
int echo_tls_accept(weft_stream *s, weft_tls_config *tls);

/* Counting. Context: any thread; they never wait. */
void echo_count_accepted(void);
void echo_count_pause(void);
void echo_count_read(size_t bytes);
void echo_count_closed(bool is_failed);
void echo_totals_read(struct echo_totals *totals);

/* A task that prints a line every options->stats_every_ns until it is cancelled. */
void *echo_report_lines(void *server);

/* Print the tables: connections, workers. */
void echo_report_tables(weft_runtime *rt);

#endif
