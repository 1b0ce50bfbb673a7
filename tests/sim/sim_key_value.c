/* SPDX-License-Identifier: MIT */
/*
 * Goal: the key-value server of tests/examples answers what a client asks, in order, whatever the
 * pieces come in and whoever else is cut off, dawdles or breaks the rules meanwhile.
 *
 * Method: it serves a listener in memory. Clients send batches of random commands on keys of their
 * own, cut into random pieces with pauses, and know what has to come back; they count together;
 * now and then one leaves in the middle of a command. WEFT_SEED=<n> runs one.
 */
#include "sim_help.h"

#if __has_include(<uthash.h>)

int key_value_server_main(int argc, char **argv);
#define main key_value_server_main
#include "examples/key_value_server.c"
#undef main

enum {
    SEEDS = 80,
    SEEDS_SANITIZED = 8,
    CLIENTS = 4,
    ROUNDS = 8,
    COMMANDS = 12, /* in a batch */
    KEYS = 5,      /* of a client */
    VALUE_MAX = 700,
    BATCH_MAX = 16 * 1024,
};

static weft_memory_listener *listener;

static weft_server *start(void)
{
    weft_server *server = NULL;
    CHECK_EQUAL(weft_memory_listener_create(&listener, 0), 0);
    struct weft_server_options options = {.memory = listener, .stream = stream_options};
    CHECK_EQUAL(weft_serve(&options, serve_client, NULL, &server), 0);
    return server;
}

/* Nothing is left of the store, and it has counted well. */
static void finish(weft_server *server)
{
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    weft_memory_listener_destroy(listener);
    for (size_t i = 0; i < SHARDS; i++) {
        while (store[i].entries != NULL) {
            CHECK_EQUAL(atomic_load_seq_cst(&store[i].entries->value->holders), 1);
            store_remove(&store[i], store[i].entries);
        }
        CHECK_EQUAL(store[i].bytes, 0);
    }
}

static weft_stream *connected(void)
{
    weft_stream *s = NULL;
    CHECK_EQUAL(weft_memory_connect(listener, NULL, &s), 0);
    return s;
}

static void expect(weft_stream *s, const char *text, size_t n)
{
    static char got[BATCH_MAX]; /* filled and looked at without a wait between */
    char *own = malloc(n + 1);
    CHECK(own != NULL && n < sizeof got);
    CHECK_EQUAL(weft_stream_read_exactly(s, own, n), n);
    memcpy(got, own, n);
    free(own);
    got[n] = '\0';
    if (memcmp(got, text, n) != 0) {
        dprintf(STDERR_FILENO, "expected:\n%.*s\ngot:\n%s\n", (int)n, text, got);
    }
    CHECK_EQUAL(memcmp(got, text, n), 0);
}

static void ask(weft_stream *s, const char *request, const char *expected)
{
    CHECK_EQUAL(weft_stream_write(s, request, strlen(request)), strlen(request));
    expect(s, expected, strlen(expected));
}

static void expect_end(weft_stream *s)
{
    char c;
    CHECK(weft_stream_read(s, &c, 1) <= 0);
    (void)weft_stream_close(s);
}

/* --- clients with random commands --- */

struct text {
    size_t n;
    char data[BATCH_MAX];
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    t->n += (size_t)vsnprintf(t->data + t->n, sizeof t->data - t->n, format, arguments);
    va_end(arguments);
    CHECK(t->n < sizeof t->data);
}

struct client {
    uint64_t random;
    int number;
    char values[KEYS][VALUE_MAX]; /* "": none */
    struct text request;
    struct text answer;
};

static int dice(struct client *c, int sides)
{
    return (int)(test_random(&c->random) % (uint64_t)sides);
}

static void add_set(struct client *c, int key, bool is_line)
{
    int n = 1 + dice(c, dice(c, 8) == 0 ? VALUE_MAX - 1 : 20);
    memset(c->values[key], 'a' + dice(c, 26), (size_t)n);
    c->values[key][n] = '\0';
    if (is_line) {
        add(&c->request, "set  c%d:%d\t%s%s\n", c->number, key, c->values[key],
            dice(c, 2) == 0 ? "\r" : "");
    } else {
        add(&c->request, "*3\r\n$3\r\nSet\r\n$4\r\nc%d:%d\r\n$%d\r\n%s\r\n", c->number, key, n,
            c->values[key]);
    }
    add(&c->answer, "+OK\r\n");
}

static void add_get(struct client *c, int key, bool is_line)
{
    add(&c->request, is_line ? "GET c%d:%d\r\n" : "*2\r\n$3\r\nGET\r\n$4\r\nc%d:%d\r\n", c->number,
        key);
    if (c->values[key][0] == '\0') {
        add(&c->answer, "$-1\r\n");
    } else {
        add(&c->answer, "$%zu\r\n%s\r\n", strlen(c->values[key]), c->values[key]);
    }
}

static void add_del(struct client *c, int key, int other)
{
    int found = (c->values[key][0] != '\0') + (other != key && c->values[other][0] != '\0');
    add(&c->request, "*3\r\n$3\r\nDEL\r\n$4\r\nc%d:%d\r\n$4\r\nc%d:%d\r\n", c->number, key,
        c->number, other);
    add(&c->answer, ":%d\r\n", found);
    c->values[key][0] = '\0';
    c->values[other][0] = '\0';
}

static void make_batch(struct client *c)
{
    c->request.n = 0;
    c->answer.n = 0;
    for (int i = dice(c, COMMANDS); i >= 0; i--) {
        int key = dice(c, KEYS);
        bool is_line = dice(c, 4) == 0;
        switch (dice(c, 5)) {
        case 0: case 1: add_set(c, key, is_line); break;
        case 2: add_get(c, key, is_line); break;
        case 3: add_del(c, key, dice(c, KEYS)); break;
        default:
            add(&c->request, is_line ? "\r\n*0\r\nping\n" : "*2\r\n$4\r\nPING\r\n$0\r\n\r\n");
            add(&c->answer, is_line ? "+PONG\r\n" : "$0\r\n\r\n");
        }
    }
}

/* Send n bytes in pieces, with pauses that are short enough. */
static void send_pieces(struct client *c, weft_stream *s, size_t n)
{
    size_t at = 0;
    while (at < n) {
        size_t piece = 1 + (size_t)dice(c, dice(c, 2) == 0 ? 10 : 3000);
        piece = piece < n - at ? piece : n - at;
        CHECK_EQUAL(weft_stream_write(s, c->request.data + at, piece), piece);
        at += piece;
        if (dice(c, 3) == 0) {
            CHECK_EQUAL(weft_stream_drain(s), 0);
            CHECK_EQUAL(weft_sleep(dice(c, 3) * WEFT_MS), 0);
        }
    }
}

/* Leave in the middle of a command, and see that it was none. */
static weft_stream *cut_off(struct client *c, weft_stream *s)
{
    c->request.n = 0;
    add(&c->request, "*3\r\n$3\r\nSET\r\n$4\r\nc%d:0\r\n$5\r\nwrong\r\n", c->number);
    send_pieces(c, s, (size_t)dice(c, (int)c->request.n));
    if (dice(c, 2) == 0) {
        weft_stream_abort(s);
    }
    (void)weft_stream_close(s);
    s = connected();
    c->request.n = 0;
    c->answer.n = 0;
    add_get(c, 0, false);
    send_pieces(c, s, c->request.n);
    expect(s, c->answer.data, c->answer.n);
    return s;
}

static void *talk(void *arg)
{
    struct client *c = arg;
    struct weft_view line;
    long long counted = 0; /* by all clients */
    weft_stream *s = connected();
    for (int i = 0; i < ROUNDS; i++) {
        make_batch(c);
        send_pieces(c, s, c->request.n);
        expect(s, c->answer.data, c->answer.n);
        CHECK_EQUAL(weft_stream_write(s, "INCR all\r\n", 10), 10);
        CHECK(weft_stream_read_line(s, &line) > 3);
        CHECK_EQUAL(line.data[0], ':');
        long long before = counted;
        counted = 0;
        for (size_t at = 1; at < line.bytes && line.data[at] >= '0'; at++) {
            counted = counted * 10 + (line.data[at] - '0');
        }
        CHECK(counted > before);
        if (dice(c, 4) == 0) {
            s = cut_off(c, s);
        }
    }
    CHECK_EQUAL(weft_stream_close(s), 0);
    free(c);
    return NULL;
}

static void *talk_many(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    weft_task *clients[CLIENTS];
    weft_server *server = start();
    char text[32];
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = calloc(1, sizeof *c);
        CHECK(c != NULL);
        c->random = test_random(&random);
        c->number = i;
        clients[i] = weft_spawn(talk, c);
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(weft_join(clients[i], NULL), 0);
    }
    weft_stream *s = connected();
    (void)snprintf(text, sizeof text, "$2\r\n%d\r\n", CLIENTS * ROUNDS);
    ask(s, "GET all\r\n", text);
    CHECK_EQUAL(weft_stream_close(s), 0);
    finish(server);
    return NULL;
}

static void for_seeds(weft_fn fn)
{
    sim_run_seeds(test_scaled(SEEDS, SEEDS_SANITIZED), fn);
}

static void batches_in_pieces_are_answered(void **state)
{
    (void)state;
    for_seeds(talk_many);
}

/* --- who is slow --- */

/* Half a command, and nothing more, or a byte now and then; beside one who is served. */
static void *send_half(void *arg)
{
    weft_server *server = start();
    int64_t begun = weft_now();
    (void)arg;
    weft_stream *half = connected();
    weft_stream *other = connected();
    CHECK_EQUAL(weft_stream_write(half, "*2\r\n$3\r\nGET\r\n$1", 15), 15);
    CHECK_EQUAL(weft_stream_drain(half), 0);
    ask(other, "SET a 1\r\n", "+OK\r\n");
    expect_end(half);
    CHECK(weft_now() - begun >= REQUEST_NS);
    CHECK(weft_now() - begun < REQUEST_NS + WEFT_SECOND);
    CHECK_EQUAL(weft_sleep(5 * WEFT_MINUTE), 0); /* who has nothing to say has more time */
    ask(other, "GET a\r\n", "$1\r\n1\r\n");
    begun = weft_now();
    expect_end(other);
    CHECK(weft_now() - begun >= stream_options.idle_ns);
    CHECK(weft_now() - begun < stream_options.idle_ns + WEFT_MINUTE);
    finish(server);
    return NULL;
}

static void half_a_command_is_waited_for_so_long(void **state)
{
    (void)state;
    for_seeds(send_half);
}

/* One asks for more than fits anywhere, and reads none of it. */
static void *take_nothing(void *arg)
{
    enum { BIG = 40 * 1024, ASKED = 100 };

    weft_server *server = start();
    char *big = malloc(BIG + 64);
    CHECK(big != NULL);
    (void)arg;
    int n = snprintf(big, 64, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n", BIG);
    memset(big + n, 'x', BIG);
    memcpy(big + n + BIG, "\r\n", 2);
    weft_stream *s = connected();
    weft_stream *other = connected();
    CHECK_EQUAL(weft_stream_write(s, big, (size_t)n + BIG + 2), n + BIG + 2);
    expect(s, "+OK\r\n", 5);
    for (int i = 0; i < ASKED; i++) {
        CHECK_EQUAL(weft_stream_write(s, "GET a\r\n", 7), 7);
    }
    CHECK_EQUAL(weft_stream_drain(s), 0);
    CHECK_EQUAL(weft_sleep(WEFT_SECOND), 0);
    ask(other, "SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n"); /* what is being sent stays whole */
    CHECK_EQUAL(weft_stream_close(other), 0);
    CHECK_EQUAL(weft_sleep(stream_options.idle_ns), 0);
    CHECK_EQUAL(weft_server_connections(server), 0); /* it was let go */
    ssize_t got = 0;
    ssize_t all = 0;
    while ((got = weft_stream_read(s, big, BIG)) > 0) {
        all += got;
        for (ssize_t i = 0; i < got; i++) {
            CHECK(strchr("x$40961\r\n", big[i]) != NULL);
        }
    }
    CHECK_EQUAL(got, -ECONNRESET); /* and told that it is not all */
    CHECK(all < ASKED * BIG / 2);
    free(big);
    (void)weft_stream_close(s);
    finish(server);
    return NULL;
}

static void who_takes_nothing_is_let_go(void **state)
{
    (void)state;
    for_seeds(take_nothing);
}

/* --- who breaks the rules --- */

static void *break_rules(void *arg)
{
    static const struct {
        const char *request;
        const char *answer;
    } rules[] = {
        {"*1\r\n+4\r\nPING\r\n", "expected '$'"},
        {"*x\r\n", "invalid length"},
        {"*\r\n", "invalid length"},
        {"*-1\r\n", "invalid length"},
        {"*1\r\r", "invalid length"},
        {"*000000001\r\n", "invalid length"},
        {"*129\r\n", "too many words"},
        {"*1\r\n$1048576\r\n", "too big"},
        {"*2\r\n$1\r\na\r\n$99999999\r\n", "too big"},
        {"*1\r\n$4\r\nPINGPONG\r\n", "a string is longer than its length"},
    };
    char text[128];
    weft_server *server = start();
    (void)arg;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        weft_stream *s = connected();
        (void)snprintf(text, sizeof text, "-ERR Protocol error: %s\r\n", rules[i].answer);
        ask(s, "PING\r\n", "+PONG\r\n");
        ask(s, rules[i].request, text);
        expect_end(s);
    }
    weft_stream *s = connected();
    char *line = malloc(REQUEST_LINE_MAX);
    CHECK(line != NULL);
    memset(line, 'y', REQUEST_LINE_MAX);
    CHECK_EQUAL(weft_stream_write(s, line, REQUEST_LINE_MAX), REQUEST_LINE_MAX);
    expect(s, "-ERR Protocol error: too long a line\r\n", 38);
    expect_end(s);
    free(line);
    s = connected();
    ask(s, "INCR\r\nGET a b\r\nNO\r\nSET a x\r\nINCR a\r\nSET a 9223372036854775807\r\nINCR a\r\n"
           "SET a 01\r\nINCR a\r\n",
        "-ERR wrong number of arguments\r\n-ERR wrong number of arguments\r\n"
        "-ERR unknown command\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n"
        "-ERR value is not an integer or out of range\r\n+OK\r\n"
        "-ERR value is not an integer or out of range\r\n");
    CHECK_EQUAL(weft_stream_close(s), 0);
    finish(server);
    return NULL;
}

static void who_breaks_the_rules_is_told_so(void **state)
{
    (void)state;
    for_seeds(break_rules);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_in_pieces_are_answered),
        cmocka_unit_test(half_a_command_is_waited_for_so_long),
        cmocka_unit_test(who_takes_nothing_is_let_go),
        cmocka_unit_test(who_breaks_the_rules_is_told_so),
    };
    (void)argc;
    sim_begin(argv[0]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("SKIP: uthash is not installed");
    return 77;
}

#endif
