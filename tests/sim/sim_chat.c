/* SPDX-License-Identifier: MIT */
/*
 * Goal: in the chat server of tests/examples all hear the same in the same order, from when they
 * come to when they leave; who does not listen is dropped and holds up nobody; the end is told.
 *
 * Method: it serves a listener in memory. One client comes first and leaves last; what it hears is
 * the truth, and what each of the others hears has to be a piece of that. WEFT_SEED=<n> runs one.
 */
#include "sim_help.h"

int chat_server_main(int argc, char **argv);
#define main chat_server_main
#include "examples/chat_server.c"
#undef main

enum {
    SEEDS = 100,
    SEEDS_SANITIZED = 10,
    CLIENTS = 4,
    LINES = 12, /* that each says */
    HEARD_MAX = 64 * 1024,
};

static weft_memory_listener *listener;
static struct room the_room;

static weft_server *start(void)
{
    weft_server *server = NULL;
    memset(&the_room, 0, sizeof the_room);
    CHECK_EQUAL(weft_memory_listener_create(&listener, 0), 0);
    struct weft_server_options options = {.memory = listener, .stream = stream_options};
    CHECK_EQUAL(weft_serve(&options, serve_client, &the_room, &server), 0);
    return server;
}

struct person {
    uint64_t random;
    int number;
    weft_stream *s;
    bool forgets;
    int dropped; /* how often it was told that somebody was */
    size_t n;
    char heard[HEARD_MAX];
};

static int dice(struct person *p, int sides)
{
    return (int)(test_random(&p->random) % (uint64_t)sides);
}

static void says(struct person *p, const char *line)
{
    CHECK_EQUAL(weft_stream_write(p->s, line, strlen(line)), strlen(line));
    CHECK_EQUAL(weft_stream_write(p->s, "\n", 1), 1);
}

static struct person *person_come(uint64_t random, int number)
{
    struct weft_view line;
    char name[16];
    struct person *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->random = random;
    p->number = number;
    CHECK_EQUAL(weft_memory_connect(listener, NULL, &p->s), 0);
    CHECK_EQUAL(weft_stream_read_line(p->s, &line), 13);
    (void)snprintf(name, sizeof name, "P%d%s", number, dice(p, 2) == 0 ? "\r" : "");
    says(p, name);
    return p;
}

/* Hear what comes, until it ends. */
static void *listen_on(void *arg)
{
    struct person *p = arg;
    struct weft_view line;
    while (weft_stream_read_line(p->s, &line) > 0) {
        p->dropped += memmem(line.data, line.bytes, "too slow", 8) != NULL;
        p->n = p->forgets ? 0 : p->n;
        CHECK(p->n + line.bytes < sizeof p->heard);
        memcpy(p->heard + p->n, line.data, line.bytes);
        p->n += line.bytes;
        if (dice(p, 8) == 0) {
            (void)weft_sleep(dice(p, 3) * WEFT_MS);
        }
    }
    return NULL;
}

/* --- all hear the same --- */

static void *take_part(void *arg)
{
    struct person *p = arg;
    weft_task *listener_task = weft_spawn(listen_on, p);
    for (int i = 0; i < LINES; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "%d %.*s", i, dice(p, 8), "-------");
        says(p, line);
        if (dice(p, 2) == 0) {
            (void)weft_sleep(dice(p, 20) * WEFT_MS);
        }
    }
    CHECK_EQUAL(weft_stream_shutdown_write(p->s), 0);
    CHECK_EQUAL(weft_join(listener_task, NULL), 0);
    CHECK_EQUAL(weft_stream_close(p->s), 0);
    return NULL;
}

/* How often a line is in what somebody has heard. */
static int count_lines(const struct person *p, const char *line)
{
    int count = 0;
    for (const char *at = p->heard; (at = strstr(at, line)) != NULL; at++) {
        count += at == p->heard || at[-1] == '\n';
    }
    return count;
}

static void *talk_together(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    struct person *people[CLIENTS];
    weft_task *tasks[CLIENTS];
    weft_server *server = start();
    struct person *first = person_come(test_random(&random), 0);
    weft_task *hears = weft_spawn(listen_on, first);
    while (first->n == 0) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        people[i] = person_come(test_random(&random), i + 1);
        tasks[i] = weft_spawn(take_part, people[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    CHECK_EQUAL(weft_sleep(WEFT_SECOND), 0);
    weft_server_stop(server);
    room_say(&the_room, "* the server ends\n");
    (void)weft_server_close(server, 0);
    CHECK_EQUAL(weft_join(hears, NULL), 0);
    CHECK_EQUAL(weft_stream_close(first->s), 0);
    CHECK_EQUAL(count_lines(first, "* the server ends\n"), 1);
    for (int i = 0; i < CLIENTS; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "P%d: ", i + 1);
        CHECK_EQUAL(count_lines(first, line), LINES);
        CHECK_EQUAL(count_lines(people[i], line), LINES);
        (void)snprintf(line, sizeof line, "* P%d has left\n", i + 1);
        CHECK_EQUAL(count_lines(first, line), 1);
        CHECK(strstr(first->heard, people[i]->heard) != NULL);
        free(people[i]);
    }
    free(first);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void for_seeds(weft_fn fn)
{
    sim_run_seeds(test_scaled(SEEDS, SEEDS_SANITIZED), fn);
}

static void all_hear_the_same(void **state)
{
    (void)state;
    for_seeds(talk_together);
}

/* --- one who does not listen, one who says nothing, one who says too much --- */

static void *ignore_the_others(void *arg)
{
    enum { SAID = 500 };

    static char line[LINE_MAX_BYTES - 8];
    uint64_t random = *(uint64_t *)arg;
    weft_server *server = start();
    struct person *talker = person_come(test_random(&random), 1);
    struct person *deaf = person_come(test_random(&random), 2);
    weft_task *hears = weft_spawn(listen_on, talker);
    struct weft_view view;
    memset(line, 'x', sizeof line - 1);
    talker->forgets = true;
    int64_t begun = weft_now();
    for (int i = 0; i < SAID; i++) {
        says(talker, i % 100 == 0 ? line : "hello");
    }
    while (weft_server_connections(server) == 2) {
        says(talker, line);
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    }
    CHECK(weft_now() - begun < 10 * WEFT_SECOND); /* nobody has waited for it */
    CHECK_EQUAL(weft_sleep(WEFT_SECOND), 0);
    CHECK_EQUAL(talker->dropped, 1);
    CHECK(weft_stream_read_line(deaf->s, &view) < 0);
    (void)weft_stream_close(deaf->s);
    CHECK_EQUAL(weft_stream_shutdown_write(talker->s), 0);
    CHECK_EQUAL(weft_join(hears, NULL), 0);
    CHECK_EQUAL(weft_stream_close(talker->s), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    weft_memory_listener_destroy(listener);
    free(talker);
    free(deaf);
    return NULL;
}

static void who_does_not_listen_is_dropped(void **state)
{
    (void)state;
    for_seeds(ignore_the_others);
}

static void *say_no_name(void *arg)
{
    static char line[2 * LINE_MAX_BYTES];
    uint64_t random = *(uint64_t *)arg;
    struct weft_view view;
    weft_stream *s = NULL;
    weft_server *server = start();
    int64_t begun = weft_now();
    CHECK_EQUAL(weft_memory_connect(listener, NULL, &s), 0);
    CHECK_EQUAL(weft_stream_read_line(s, &view), 13);
    CHECK_EQUAL(weft_stream_write(s, "P", 1), 1);
    CHECK(weft_stream_read_line(s, &view) <= 0);
    CHECK(weft_now() - begun >= NAME_NS && weft_now() - begun < NAME_NS + WEFT_SECOND);
    (void)weft_stream_close(s);
    struct person *p = person_come(test_random(&random), 1); /* a line too long: it is let go */
    memset(line, 'x', sizeof line - 1);
    says(p, line);
    CHECK_EQUAL(weft_stream_read_line(p->s, &view), 14); /* it has come */
    CHECK(weft_stream_read_line(p->s, &view) <= 0);
    (void)weft_stream_close(p->s);
    free(p);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    weft_memory_listener_destroy(listener);
    return NULL;
}

static void who_says_no_name_is_let_go(void **state)
{
    (void)state;
    for_seeds(say_no_name);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_hear_the_same),
        cmocka_unit_test(who_does_not_listen_is_dropped),
        cmocka_unit_test(who_says_no_name_is_let_go),
    };
    (void)argc;
    sim_begin(argv[0]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
