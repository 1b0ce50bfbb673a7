/* SPDX-License-Identifier: MIT */
/* A connection under load: by a task (client.c), or by callbacks (protocol.c). */
#ifndef WEFT_LOAD_CLIENT_H
#define WEFT_LOAD_CLIENT_H

#include "load.h"

/* A connection under load and its task. */
struct load_client {
    struct load_run *run;
    weft_task *task; /* the conductor's reference */
    weft_task *self; /* the same, for the timer's callback, which may run before the above is set */
    weft_timer *timer; /* only for a fixed rate with more than one request in flight */
    int64_t *due_ns;   /* a ring of `pipeline` entries: when each request in flight was due */
    char *buffer;
    size_t buffer_bytes;
    unsigned index;
    struct load_link link;
    unsigned in_flight; /* requests queued and not answered */
    unsigned oldest;    /* index in due_ns of the one answered next */
    size_t unsent_bytes;
    size_t answered_bytes; /* of the oldest request */
    unsigned send_phase;   /* where in the pattern the stream stands, each way */
    unsigned receive_phase;
    uint64_t scheduled; /* requests of the fixed rate that were queued so far */
    uint64_t lost;      /* requests that were in flight when their connection ended */
    int64_t free_ns;    /* since when a request may be in flight besides the others */
    bool is_proven;     /* this connection has brought a reply */
    /* with --protocol; written by the connection's callbacks */
    struct weft_event is_lost;
    int error; /* why it was, counted; 0: we have closed it */
};

/* --- client.c --- */

/* Prepare a client; its descriptor is given later. Returns 0 or -ENOMEM. */
int load_client_init(struct load_client *client, struct load_run *run, unsigned index);
void load_client_fini(struct load_client *client);

/* A client's task: load the server until the phase is LOAD_STOP, or the task is cancelled. */
void *load_client_run(void *client);

/* How many requests of a fixed rate were due before now_ns and were never queued. */
uint64_t load_client_unscheduled(const struct load_client *client, int64_t now_ns);

/* What follows is for protocol.c, too. */
enum load_phase load_phase_of(const struct load_run *run);
/* Queue what is due now, as far as there is room in flight. */
void load_client_queue(struct load_client *client, int64_t now_ns, bool is_measured);
/* Look at n bytes, up to LOAD_CHUNK_BYTES, that have come. Returns 0, or the error, counted. */
int load_client_take(struct load_client *client, const char *data, size_t n);

/* --- protocol.c --- */

/* Load a connection by callbacks; its descriptor is theirs. Context: the client's task
 * Blocks: task
 * Returns 0 when the run is over, or the error that ended the connection. */
int load_protocol_serve(struct load_client *client);

#endif
