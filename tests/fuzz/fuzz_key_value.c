/* SPDX-License-Identifier: MIT */
/*
 * The key-value server of tests/examples: what it answers to bytes that come in pieces is what it
 * answers when they come at once, and nothing is left when its store is emptied.
 */
#include "fuzz_help.h"

int key_value_server_main(int argc, char **argv);
#define main key_value_server_main
#include "examples/key_value_server.c"
#undef main

struct client {
    const char *request;
    size_t bytes;
    uint64_t random; /* of the pieces; 0: all at once */
    char *answer;
    size_t answer_bytes;
    weft_stream *ends[2];
};

static void *ask(void *arg)
{
    struct client *c = arg;
    size_t at = 0;
    while (at < c->bytes) {
        size_t left = c->bytes - at;
        size_t n = c->random == 0 ? left : 1 + (size_t)(test_random(&c->random) >> 33) % 24;
        n = n < left ? n : left;
        if (weft_stream_write(c->ends[0], c->request + at, n) != (ssize_t)n) {
            break; /* the rest is not wanted */
        }
        at += n;
        if (c->random != 0 && test_random(&c->random) % 4 == 0) {
            (void)weft_stream_drain(c->ends[0]);
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    (void)weft_stream_shutdown_write(c->ends[0]);
    return NULL;
}

static void *serve_one(void *arg)
{
    struct client *c = arg;
    serve_client(c->ends[1], NULL);
    (void)weft_stream_shutdown_write(c->ends[1]); /* closed with input unread, it would be reset */
    return NULL;
}

static void *talk(void *arg)
{
    struct client *c = arg;
    struct weft_view view;
    CHECK_EQUAL(weft_stream_pair(&stream_options, c->ends), 0);
    weft_task *server = weft_spawn(serve_one, c);
    weft_task *asking = weft_spawn(ask, c);
    ssize_t n = weft_stream_read_to_end(c->ends[0], &view);
    CHECK(n >= 0);
    c->answer_bytes = (size_t)n;
    c->answer = malloc(c->answer_bytes + 1);
    CHECK(c->answer != NULL);
    memcpy(c->answer, view.data, c->answer_bytes);
    CHECK_EQUAL(weft_join(server, NULL), 0);
    weft_stream_abort(c->ends[1]);
    CHECK_EQUAL(weft_join(asking, NULL), 0);
    (void)weft_stream_close(c->ends[0]);
    (void)weft_stream_close(c->ends[1]);
    for (size_t i = 0; i < SHARDS; i++) {
        while (store[i].entries != NULL) {
            CHECK_EQUAL(store[i].entries->value->holders, 1);
            store_remove(&store[i], store[i].entries);
        }
        CHECK_EQUAL(store[i].bytes, 0);
    }
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input in = {data, bytes};
    uint64_t seed = fuzz_number(&in, 65535);
    struct client whole = {.request = (const char *)in.data, .bytes = in.bytes};
    struct client pieces = whole;
    pieces.random = 1 + seed;
    fuzz_simulate(seed, talk, &whole);
    fuzz_simulate(seed, talk, &pieces);
    CHECK_EQUAL(pieces.answer_bytes, whole.answer_bytes);
    CHECK_EQUAL(memcmp(pieces.answer, whole.answer, whole.answer_bytes), 0);
    free(whole.answer);
    free(pieces.answer);
    return 0;
}
