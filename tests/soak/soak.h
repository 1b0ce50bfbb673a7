/* SPDX-License-Identifier: MIT */
/*
 * What the parts of weft-soak share.
 *
 * A run is a row of rounds, each the life of one runtime. In a round a root task serves, and spawns
 * actors: tasks that make steps of one kind (round.c) again and again until the runtime is closed
 * over their heads. All chance in an actor comes from its own generator, which follows from the
 * run's seed, the round and its number.
 *
 * What must hold is said by soak_broken, from any thread, at any time: contents that came
 * differently, an error that nobody has caused. After a round the ledger must balance (ledger.c),
 * and the process have no more than after the first rounds (measure.c). The watchdog (watchdog.c)
 * sees to it that every actor ends its steps, and that a close comes to an end.
 */
#ifndef WEFT_SOAK_H
#define WEFT_SOAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

#if defined(__SANITIZE_THREAD__)
#define SOAK_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define SOAK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SOAK_TSAN 1
#elif __has_feature(address_sanitizer)
#define SOAK_ASAN 1
#endif
#endif

#if defined(SOAK_TSAN) || defined(SOAK_ASAN)
#define SOAK_SANITIZED true
#else
#define SOAK_SANITIZED false
#endif

#define SOAK_ACTORS_MAX 256
#define SOAK_PERMITS 3

/* TCP streams, Unix streams, callbacks, and where it was built TLS. */
#define SOAK_SERVERS (3 + WEFT_HAVE_TLS)
#define SOAK_SERVER_TLS 3

struct soak_options {
    uint64_t seed;
    int64_t for_ns;
    unsigned workers; /* 0: the default */
    enum weft_backend backend;
};

/* What is counted in two places that must agree once a round is over. */
struct soak_pair {
    const char *name;
    atomic_ullong in;
    atomic_ullong out;
};

enum soak_account {
    SOAK_BYTES,       /* of clean connections: sent, received */
    SOAK_TLS_BYTES,   /* the same over TLS */
    SOAK_DATAGRAMS,   /* sent; received, or counted as dropped by the kernel */
    SOAK_HANDLERS,    /* of the stream servers: begun, ended */
    SOAK_TRANSPORTS,  /* of the protocol server: made, lost */
    SOAK_QUEUE_ITEMS, /* put; got, or left */
    SOAK_QUEUE_SUM,
    SOAK_CHANNEL_ITEMS,
    SOAK_CHANNEL_SUM,
    SOAK_LOCKS,     /* counted by atomics, counted under the mutex */
    SOAK_PERMITS_IN, /* acquired, released */
    SOAK_READINGS,  /* under the rwlock: begun, ended */
    SOAK_WRITINGS,  /* counted by atomics, counted under the rwlock */
    SOAK_GOODS,     /* put on the shelf; taken, or left */
    SOAK_CHILDREN,  /* tasks that were to be cancelled: spawned, ended */
    SOAK_PROCESSES, /* started, ended */
    SOAK_JOBS,      /* of process pools: submitted, ended */
    SOAK_STEPS,     /* begun, ended */
    SOAK_ACTORS,    /* spawned, ended */
    SOAK_ACCOUNTS,
};

struct soak_actor;

/* What an actor does. */
struct soak_kind {
    const char *name;
    unsigned count;           /* how many actors there are */
    unsigned count_sanitized; /* in the builds that are slow */
    void (*step)(struct soak_actor *a);
};

extern const struct soak_kind soak_kinds[];
extern const unsigned soak_kind_count;

/* What an actor has sent, and was told. */
struct soak_signals {
    struct weft_event event; /* a callback was called */
    atomic_ullong sent;
    atomic_ullong called_own;
    atomic_ullong called_shared;
    atomic_ullong waited;
};

struct soak_actor {
    struct soak_round *round;
    const struct soak_kind *kind;
    unsigned number;
    uint64_t random;
    atomic_ullong steps; /* that it has ended */
    atomic_bool live;
    struct soak_signals signals;
    unsigned long long seen; /* the watchdog's: steps at its last look */
    unsigned ticks;          /* looks since they changed */
};

/* One runtime's life. */
struct soak_round {
    const struct soak_options *options;
    unsigned number;
    weft_runtime *rt;
    atomic_bool closing; /* errors of connections are to be expected from now on */
    atomic_bool lame;    /* the root task could not make all that is to be there */
    const char *folder;  /* for files */
    char address[SOAK_SERVERS][128]; /* what a client connects to */
    char service[SOAK_SERVERS][8];
    weft_tls_config *tls_server;
    weft_tls_config *tls_client;
    weft_queue *queue;
    weft_channel *channel;
    struct weft_mutex mutex;
    unsigned inside; /* under the mutex: who is */
    struct weft_semaphore semaphore;
    atomic_int holders; /* of permits */
    struct weft_rwlock rwlock;
    unsigned long long pages[2]; /* under the rwlock: equal, but for who writes */
    struct weft_mutex shelf_mutex;
    struct weft_cond has_goods;
    struct weft_cond has_room;
    unsigned shelf; /* under shelf_mutex: what is on it */
    atomic_ullong shared_sent; /* signals that all actors of that kind are told */
    struct soak_pair accounts[SOAK_ACCOUNTS];
    struct soak_actor actors[SOAK_ACTORS_MAX];
    atomic_uint actor_count; /* P1: release, so that the watchdog, acquire, sees what they are */
};

static inline unsigned long long soak_count(const atomic_ullong *counter)
{
    /* ORD none: nobody counts any more; or a figure, which is looked at again. */
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline bool soak_is_closing(const struct soak_round *r)
{
    /* ORD none: asked by who has met an error; one that comes of the close comes after it. */
    return atomic_load_explicit(&r->closing, memory_order_relaxed);
}

static inline unsigned soak_actor_count(const struct soak_round *r)
{
    /* ORD P1: what they are. */
    return atomic_load_explicit(&r->actor_count, memory_order_acquire);
}

/* What a process has. */
struct soak_state {
    long rss_kib;
    long threads;
    long descriptors;
    long children;
};

/* random.c: splitmix64; a number below n. */
uint64_t soak_random(uint64_t *state);
uint64_t soak_below(uint64_t *state, uint64_t n);
/* The byte at a place of the contents that a seed stands for, and a stretch of them. */
unsigned char soak_byte(uint64_t seed, uint64_t at);
void soak_fill(uint64_t seed, uint64_t at, unsigned char *data, size_t n);
bool soak_same(uint64_t seed, uint64_t at, const unsigned char *data, size_t n);

/* ledger.c */
void soak_in(struct soak_round *r, enum soak_account account, unsigned long long n);
void soak_out(struct soak_round *r, enum soak_account account, unsigned long long n);
void soak_ledger_init(struct soak_round *r);
void soak_ledger_check(struct soak_round *r);
void soak_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned soak_broken_count(void);
/* The first of what was said, once more. */
void soak_broken_repeat(FILE *to);
/* Whether an error has a reason that the soak itself has made. */
bool soak_excused(const struct soak_round *r, int error);

/* round.c: run one for so long, and until some actor of each kind has ended a step. False: the
 * runtime could not be made. */
bool soak_round_run(struct soak_round *r, const struct soak_options *o, unsigned number,
                    const char *folder, int64_t for_ns);
/* serve.c: the root task's; the servers, until it is cancelled. */
int soak_serve(struct soak_round *r, weft_server *servers[SOAK_SERVERS]);
/* secure.c: the certificate, false: none could be made; a round's configurations. */
bool soak_secure_begin(void);
void soak_secure_make(struct soak_round *r);
void soak_secure_drop(struct soak_round *r);
/* guard.c: nobody has the locks of a round that is over. */
void soak_guards_check(struct soak_round *r);
/* signals.c: what comes while no runtime is there is nothing; the calling thread is left alone; of
 * a round that is over no more were told than sent. */
void soak_signals_ignore(void);
void soak_signals_block(void);
void soak_signals_check(struct soak_round *r);
/* farm.c: the first thing in main: in a process pool's worker it does not return. */
void soak_farm_begin(int argc, char **argv);

/* measure.c */
struct soak_state soak_measure(void);
/* Once what ends late has ended: threads and descriptors are as few as in `least`, or it is time
 * to give up. */
struct soak_state soak_measure_settled(const struct soak_state *least);

/* watchdog.c: r NULL: between two rounds. */
void soak_watchdog_start(const struct soak_options *o);
void soak_watchdog_watch(struct soak_round *r, const char *phase);

/* soak.c: how it ended, from any thread; how it goes, on a terminal. */
void soak_verdict(const struct soak_options *o, const char *what);
void soak_tell(struct soak_round *r);

/* Steps. */
void soak_step_client(struct soak_actor *a);
void soak_step_timer(struct soak_actor *a);
void soak_step_cancel(struct soak_actor *a);
void soak_step_queue(struct soak_actor *a);
void soak_step_channel(struct soak_actor *a);
void soak_step_lock(struct soak_actor *a);
void soak_step_blocking(struct soak_actor *a);
void soak_step_file(struct soak_actor *a);
void soak_step_process(struct soak_actor *a);
void soak_step_rwlock(struct soak_actor *a);
void soak_step_condition(struct soak_actor *a);
void soak_step_datagram(struct soak_actor *a);
void soak_step_signal(struct soak_actor *a);
void soak_step_farm(struct soak_actor *a);
void soak_step_stall(struct soak_actor *a);

#endif
