/* SPDX-License-Identifier: MIT */
/*
 * A key-value server that redis-cli and redis-benchmark can talk to: PING, SET, GET, DEL, INCR, as
 * arrays of RESP2 or as plain lines, any number of them in a row.
 *
 *     key_value_server 6380                             in another shell:
 *     listening on port 6380                            redis-cli -p 6380 set a 1
 *
 * A task serves each client. It parses where the bytes are, in the stream's buffer, and hands each
 * request to a command as words that point there. Replies are written to the stream, which sends
 * what a task writes between two waits at once: so a batch of requests gets one packet of replies.
 * (The same over callbacks, protocol.h, took 0.87 of the CPU. But they may not wait, so they would
 * have to keep a request that has come in part, and time it, and hold a client back by themselves.)
 *
 * The store is in shards, each a hash table under a mutex that nobody holds across a wait. Values
 * are counted, so that one can be sent from where it is while others replace it.
 *
 * Whatever a client sends is bounded, in bytes and in time. Who breaks the rules of the protocol is
 * told so, and the connection closed.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <weft/weft.h>

#include "resp_request.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define STORE_MAX ((size_t)1024 * 1024 * 1024) /* bytes of keys and values */
#define SHARDS 64
#define REQUEST_NS (10 * WEFT_SECOND) /* until the rest of one that has come in part */
#define GRACE_NS (100 * WEFT_MS)      /* for who is being answered when the server ends */

/* Of the connections: who says nothing, or takes nothing, for so long is let go. */
static const struct weft_stream_options stream_options = {
    .limit = REQUEST_MAX,
    .idle_ns = 10 * WEFT_MINUTE,
};

/* --- the store --- */

struct value {
    atomic_uint holders;
    size_t bytes;
    char data[]; /* and a zero */
};

struct entry {
    UT_hash_handle hh;
    struct value *value;
    char key[];
};

static struct shard {
    _Alignas(64) struct weft_mutex lock;
    struct entry *entries;
    size_t bytes;
} store[SHARDS];

static void value_put(struct value *v)
{
    /* acquire, release: what others did with it comes before the last one frees it */
    if (atomic_fetch_sub_explicit(&v->holders, 1, memory_order_acq_rel) == 1) {
        free(v);
    }
}

/* The shard of a key, locked, and the key's entry, if there is one. */
static struct shard *store_lock(const struct word *key, unsigned *hash, struct entry **e)
{
    HASH_VALUE(key->data, key->bytes, *hash);
    struct shard *shard = &store[(*hash >> 16) % SHARDS]; /* its table takes the lower bits */
    if (weft_mutex_lock_shielded(&shard->lock) < 0) {     /* not for long: whatever is cancelled */
        abort();
    }
    HASH_FIND_BYHASHVALUE(hh, shard->entries, key->data, key->bytes, *hash, *e);
    return shard;
}

/* Put a value under a key that has the entry e, or none. False: no memory, nothing was put. */
static bool store_put(struct shard *shard, struct entry *e, unsigned hash, const struct word *key,
                      const struct word *data)
{
    bool is_new = e == NULL;
    struct value *v = malloc(sizeof *v + data->bytes + 1);
    e = is_new ? calloc(1, sizeof *e + key->bytes) : e;
    if (v == NULL || e == NULL || shard->bytes + key->bytes + data->bytes > STORE_MAX / SHARDS) {
        goto no_memory;
    }
    if (is_new) {
        memcpy(e->key, key->data, key->bytes);
        HASH_ADD_KEYPTR_BYHASHVALUE(hh, shard->entries, e->key, key->bytes, hash, e);
        if (e->hh.tbl == NULL) {
            goto no_memory;
        }
    } else {
        shard->bytes -= key->bytes + e->value->bytes;
        value_put(e->value);
    }
    atomic_init(&v->holders, 1);
    v->bytes = data->bytes;
    memcpy(v->data, data->data, data->bytes);
    v->data[data->bytes] = '\0';
    e->value = v;
    shard->bytes += key->bytes + data->bytes;
    return true;
no_memory:
    free(v);
    free(is_new ? e : NULL);
    return false;
}

static void store_remove(struct shard *shard, struct entry *e)
{
    shard->bytes -= e->hh.keylen + e->value->bytes;
    HASH_DELETE(hh, shard->entries, e);
    value_put(e->value);
    free(e);
}

/* --- the commands --- */

/* Whether it can be written is seen to by the one who reads, between two batches. */
static void reply(weft_stream *s, const char *text)
{
    (void)weft_stream_write(s, text, strlen(text));
}

static void reply_number(weft_stream *s, long long n)
{
    char text[32];
    (void)snprintf(text, sizeof text, ":%lld\r\n", n);
    reply(s, text);
}

static void reply_bulk(weft_stream *s, const char *data, size_t bytes)
{
    char head[32];
    size_t n = (size_t)snprintf(head, sizeof head, "$%zu\r\n", bytes);
    struct iovec parts[] = {{head, n}, {(void *)(uintptr_t)data, bytes}, {"\r\n", 2}};
    (void)weft_stream_writev(s, parts, 3);
}

static void do_ping(weft_stream *s, const struct request *r)
{
    if (r->count == 1) {
        reply(s, "+PONG\r\n");
    } else {
        reply_bulk(s, r->words[1].data, r->words[1].bytes);
    }
}

static void do_get(weft_stream *s, const struct request *r)
{
    unsigned hash;
    struct entry *e;
    struct shard *shard = store_lock(&r->words[1], &hash, &e);
    struct value *v = e != NULL ? e->value : NULL;
    if (v != NULL) {
        /* relaxed: the entry holds it, and is locked */
        atomic_fetch_add_explicit(&v->holders, 1, memory_order_relaxed);
    }
    weft_mutex_unlock(&shard->lock);
    if (v == NULL) {
        reply(s, "$-1\r\n");
        return;
    }
    reply_bulk(s, v->data, v->bytes);
    value_put(v);
}

static void do_set(weft_stream *s, const struct request *r)
{
    unsigned hash;
    struct entry *e;
    struct shard *shard = store_lock(&r->words[1], &hash, &e);
    bool is_put = store_put(shard, e, hash, &r->words[1], &r->words[2]);
    weft_mutex_unlock(&shard->lock);
    reply(s, is_put ? "+OK\r\n" : "-OOM no memory\r\n");
}

static void do_del(weft_stream *s, const struct request *r)
{
    int removed = 0;
    for (int i = 1; i < r->count; i++) {
        unsigned hash;
        struct entry *e;
        struct shard *shard = store_lock(&r->words[i], &hash, &e);
        if (e != NULL) {
            store_remove(shard, e);
            removed++;
        }
        weft_mutex_unlock(&shard->lock);
    }
    reply_number(s, removed);
}

static void do_incr(weft_stream *s, const struct request *r)
{
    unsigned hash;
    struct entry *e;
    char text[32] = "0";
    bool is_put = false;
    struct shard *shard = store_lock(&r->words[1], &hash, &e);
    const char *old = e != NULL ? e->value->data : text;
    long long n = strtoll(old, NULL, 10);
    size_t bytes = (size_t)snprintf(text, sizeof text, "%lld", n);
    bool is_number = strcmp(text, old) == 0 && (e == NULL || e->value->bytes == bytes) &&
                     !__builtin_add_overflow(n, 1, &n);
    if (is_number) {
        struct word sum = {text, (size_t)snprintf(text, sizeof text, "%lld", n)};
        is_put = store_put(shard, e, hash, &r->words[1], &sum);
    }
    weft_mutex_unlock(&shard->lock);
    if (is_put) {
        reply_number(s, n);
    } else {
        reply(s, is_number ? "-OOM no memory\r\n"
                           : "-ERR value is not an integer or out of range\r\n");
    }
}

/* What clients ask first: nothing is configured, or described. */
static void do_nothing(weft_stream *s, const struct request *r)
{
    (void)r;
    reply(s, "*0\r\n");
}

static void run_command(weft_stream *s, const struct request *r)
{
    static const struct {
        const char *name;
        int words_min, words_max;
        void (*run)(weft_stream *, const struct request *);
    } commands[] = {
        {"GET", 2, 2, do_get},           {"SET", 3, 3, do_set},
        {"INCR", 2, 2, do_incr},         {"DEL", 2, REQUEST_WORDS_MAX, do_del},
        {"PING", 1, 2, do_ping},         {"CONFIG", 2, REQUEST_WORDS_MAX, do_nothing},
        {"COMMAND", 1, 99, do_nothing},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        size_t n = strlen(commands[i].name);
        if (r->words[0].bytes == n && strncasecmp(commands[i].name, r->words[0].data, n) == 0) {
            if (r->count < commands[i].words_min || r->count > commands[i].words_max) {
                reply(s, "-ERR wrong number of arguments\r\n");
            } else {
                commands[i].run(s, r);
            }
            return;
        }
    }
    reply(s, "-ERR unknown command\r\n");
}

/* --- clients --- */

static void serve_client(weft_stream *s, void *arg)
{
    struct request r = {.needed = 1};
    struct weft_view view;
    (void)arg;
    while (weft_stream_write(s, "", 0) == 0) { /* which says if something could not be sent */
        ssize_t n = 0;
        if (r.needed == 1 && weft_server_await_request(s) <= 0) {
            return; /* it has ended or failed, or the server is being stopped */
        }
        WEFT_TIMEOUT(r.needed > 1 ? REQUEST_NS : WEFT_FOREVER) {
            n = weft_stream_peek(s, r.needed, &view);
        }
        if (n < (ssize_t)r.needed) {
            return; /* it has ended, failed, or taken too long */
        }
        size_t done = 0;
        size_t bytes;
        while ((bytes = request_parse(&r, view.data + done, view.bytes - done)) > 0) {
            done += bytes;
            if (r.count > 0) {
                run_command(s, &r);
            }
        }
        weft_stream_skip(s, done);
        if (r.error != NULL) {
            reply(s, "-ERR Protocol error: ");
            reply(s, r.error);
            reply(s, "\r\n");
            return;
        }
    }
}

static void end(int signo, void *event)
{
    (void)signo;
    weft_event_set(event);
}

static void *serve(void *port)
{
    static struct weft_event is_over = WEFT_EVENT_INIT;
    struct weft_server_options options = {
        .host = "127.0.0.1",
        .service = port,
        .stream = stream_options,
    };
    weft_server *server;
    int err = weft_serve(&options, serve_client, NULL, &server);
    if (err < 0) {
        return weft_fail(err);
    }
    (void)weft_on_signal(SIGTERM, end, &is_over);
    (void)weft_on_signal(SIGINT, end, &is_over);
    printf("listening on port %d\n", weft_server_port(server));
    (void)fflush(stdout);
    err = weft_event_wait(&is_over);
    (void)weft_server_close(server, GRACE_NS);
    return err < 0 ? weft_fail(err) : NULL;
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        fprintf(stderr, "usage: key_value_server [PORT]\n");
        return 2;
    }
    int err = weft_run(serve, argc == 2 ? argv[1] : NULL, NULL);
    if (err < 0) {
        fprintf(stderr, "key_value_server: %s\n", strerror(-err));
    }
    return err < 0;
}
