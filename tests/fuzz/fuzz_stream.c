/* SPDX-License-Identifier: MIT */
/*
 * What reads from a stream, beside a model that has all the bytes at once: whatever pieces they
 * come in, whatever the limit, and whoever is out of time meanwhile.
 *
 * The input is the order of the simulation, the limit and the marks, the calls, and then the bytes;
 * the pieces and the pauses of the writer are dice that the input has seeded.
 */
#include "fuzz_help.h"

enum { CALLS_MAX = 24, BYTES_MAX = 3000 };

struct talk {
    uint32_t seed;
    uint64_t random; /* the writer's */
    size_t limit;
    struct fuzz_input calls;
    const char *data; /* all that is written */
    size_t bytes;
    size_t at; /* what of it was read */
    weft_stream *ends[2];
};

static uint32_t dice(struct talk *t, uint32_t sides)
{
    return (uint32_t)(test_random(&t->random) >> 33) % sides;
}

static void *write_all(void *arg)
{
    struct talk *t = arg;
    size_t at = 0;
    while (at < t->bytes) {
        size_t n = 1 + dice(t, dice(t, 4) == 0 ? 2000 : 20);
        n = n < t->bytes - at ? n : t->bytes - at;
        CHECK_EQUAL(weft_stream_write(t->ends[0], t->data + at, n), n);
        at += n;
        if (dice(t, 2) == 0) {
            CHECK_EQUAL(weft_sleep(dice(t, 4) * WEFT_US), 0);
        }
    }
    if (dice(t, 2) == 0) {
        CHECK_EQUAL(weft_stream_shutdown_write(t->ends[0]), 0);
    }
    CHECK_EQUAL(weft_stream_close(t->ends[0]), 0);
    return NULL;
}

static size_t left(const struct talk *t)
{
    return t->bytes - t->at;
}

static void check_bytes(const struct talk *t, const char *data, size_t n)
{
    CHECK(n <= left(t));
    CHECK_EQUAL(memcmp(data, t->data + t->at, n), 0);
}

/* --- the calls; each returns what the stream's does, and checks it --- */

static ssize_t call_read(struct talk *t)
{
    char buf[2048];
    size_t n = fuzz_number(&t->calls, 255);
    n = n % 4 == 3 ? 1024 + n : n % 48; /* such a one goes another way */
    ssize_t got = weft_stream_read(t->ends[1], buf, n);
    if (got >= 0) {
        CHECK((size_t)got <= n);
        CHECK_EQUAL(got == 0, n == 0 || left(t) == 0);
        check_bytes(t, buf, (size_t)got);
        t->at += (size_t)got;
    }
    return got;
}

static ssize_t call_read_exactly(struct talk *t)
{
    char buf[1024];
    size_t n = fuzz_number(&t->calls, sizeof buf);
    ssize_t got = weft_stream_read_exactly(t->ends[1], buf, n);
    if (got >= 0) {
        CHECK_EQUAL(got, n);
        check_bytes(t, buf, n);
        t->at += n;
    } else if (got == -ENODATA) {
        CHECK(left(t) < n);
    }
    return got;
}

/* The first of the separators that ends first. Returns where it ends, from t->at on, or 0. */
static size_t find(const struct talk *t, const struct iovec *separators, int count, size_t *start)
{
    size_t end = 0;
    for (int i = 0; i < count; i++) {
        size_t n = separators[i].iov_len;
        const char *at = memmem(t->data + t->at, left(t), separators[i].iov_base, n);
        if (at != NULL && (end == 0 || (size_t)(at - t->data) - t->at + n < end)) {
            *start = (size_t)(at - t->data) - t->at;
            end = *start + n;
        }
    }
    return end;
}

static ssize_t call_read_until(struct talk *t)
{
    static char texts[][4] = {"\n", "\r\n", "a\r\n", "aa", "aab", "ab", ""};
    struct iovec separators[2];
    struct weft_view view = {NULL, 0};
    size_t longest = 0;
    size_t start = 0;
    bool is_wrong = false;
    int count = 1 + (int)fuzz_number(&t->calls, 1);
    for (int i = 0; i < count; i++) {
        char *text = texts[fuzz_number(&t->calls, sizeof texts / sizeof *texts - 1)];
        separators[i] = (struct iovec){text, strlen(text)};
        longest = longest > strlen(text) ? longest : strlen(text);
        is_wrong |= *text == '\0';
    }
    ssize_t got = count == 1 ? weft_stream_read_until(t->ends[1], separators[0].iov_base,
                                                      separators[0].iov_len, &view)
                             : weft_stream_read_until_any(t->ends[1], separators, count, &view);
    CHECK_EQUAL(is_wrong, got == -EINVAL);
    size_t end = is_wrong ? 0 : find(t, separators, count, &start);
    if (got >= 0) {
        CHECK(end > 0 && start <= t->limit);
        CHECK_EQUAL(got, end);
        CHECK_EQUAL(view.bytes, end);
        check_bytes(t, view.data, end);
        t->at += end;
    } else if (got == -EMSGSIZE) {
        CHECK(end > 0 ? start > t->limit : left(t) + 1 > t->limit + longest);
        CHECK(view.bytes == 0 || view.bytes == end);
    } else if (got == -ENODATA) {
        CHECK(end == 0 && left(t) + 1 <= t->limit + longest);
    }
    return got;
}

static ssize_t call_read_line(struct talk *t)
{
    struct iovec newline = {(char[]){'\n'}, 1};
    struct weft_view view;
    size_t start = 0;
    size_t end = find(t, &newline, 1, &start);
    ssize_t got = weft_stream_read_line(t->ends[1], &view);
    if (got >= 0) {
        CHECK_EQUAL(got, end > 0 ? end : left(t));
        CHECK((end > 0 ? start : left(t)) <= t->limit);
        check_bytes(t, view.data, (size_t)got);
        t->at += (size_t)got;
    } else if (got == -EMSGSIZE) { /* what had come of the line is gone */
        CHECK((end > 0 ? start : left(t)) > t->limit);
        end = end > 0 ? end : left(t);
        ssize_t rest = 0;
        WEFT_SHIELD {
            rest = weft_stream_read_to_end(t->ends[1], &view);
        }
        CHECK(rest >= 0 && (size_t)rest < left(t) && (size_t)rest + end >= left(t));
        t->at = t->bytes - (size_t)rest;
        check_bytes(t, view.data, view.bytes);
        t->at = t->bytes;
    }
    return got;
}

static ssize_t call_peek(struct talk *t)
{
    struct weft_view view;
    size_t n = fuzz_number(&t->calls, 255);
    ssize_t got = weft_stream_peek(t->ends[1], n, &view);
    CHECK_EQUAL(got == -EMSGSIZE, n > t->limit);
    if (got >= 0) {
        CHECK_EQUAL(got, view.bytes);
        CHECK(view.bytes >= (n < left(t) ? n : left(t)));
        check_bytes(t, view.data, view.bytes);
        size_t skipped = fuzz_number(&t->calls, 255);
        skipped = skipped < view.bytes ? skipped : view.bytes;
        weft_stream_skip(t->ends[1], skipped);
        t->at += skipped;
    }
    return got;
}

static ssize_t call_read_to_end(struct talk *t)
{
    struct weft_view view;
    ssize_t got = weft_stream_read_to_end(t->ends[1], &view);
    if (got >= 0) {
        CHECK_EQUAL(got, left(t));
        CHECK_EQUAL(view.bytes, left(t));
        check_bytes(t, view.data, view.bytes);
        t->at = t->bytes;
    }
    return got;
}

static ssize_t (*const calls[])(struct talk *t) = {
    call_read,      call_read_exactly, call_read_until,  call_read_until,
    call_read_line, call_peek,         call_read_to_end, call_read_until,
};

static void *read_all(void *arg)
{
    struct talk *t = arg;
    struct weft_stream_options options = {.limit = t->limit, .high_water = 1 + dice(t, 4000)};
    CHECK_EQUAL(weft_stream_pair(&options, t->ends), 0);
    weft_task *writer = weft_spawn(write_all, t);
    for (int i = 0; i < CALLS_MAX && t->calls.bytes > 0; i++) {
        uint32_t kind = fuzz_byte(&t->calls);
        bool is_hasty = kind >= 128;
        ssize_t got = 0;
        WEFT_TIMEOUT(is_hasty ? (kind >> 3) % 8 * WEFT_US : WEFT_FOREVER) {
            got = calls[kind % 8](t);
        }
        CHECK(got >= 0 || got == -ENODATA || got == -EMSGSIZE || got == -EINVAL ||
              (is_hasty && got == -ETIMEDOUT));
        CHECK(!weft_stream_at_eof(t->ends[1]) || left(t) == 0);
    }
    CHECK(call_read_to_end(t) >= 0);
    CHECK_EQUAL(left(t), 0);
    CHECK(weft_stream_at_eof(t->ends[1]));
    CHECK_EQUAL(weft_join(writer, NULL), 0);
    CHECK_EQUAL(weft_stream_close(t->ends[1]), 0);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input in = {data, bytes};
    struct talk t = {.seed = fuzz_number(&in, 65535)};
    t.random = t.seed;
    t.limit = 1 + fuzz_number(&in, 99);
    size_t program = fuzz_number(&in, 4 * CALLS_MAX);
    program = program < in.bytes ? program : in.bytes;
    t.calls = (struct fuzz_input){in.data, program};
    t.bytes = in.bytes - program < BYTES_MAX ? in.bytes - program : BYTES_MAX;
    char *text = malloc(t.bytes + 1);
    CHECK(text != NULL);
    for (size_t i = 0; i < t.bytes; i++) { /* mostly what separators are made of */
        uint8_t byte = in.data[program + i];
        text[i] = byte < 160 ? "ab\r\n"[byte % 4] : (char)byte;
    }
    t.data = text;
    fuzz_simulate(t.seed, read_all, &t);
    free(text);
    return 0;
}
