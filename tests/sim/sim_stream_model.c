/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a reading call returns does not depend on how its input came in pieces.
 *
 * Method: a text of few different letters, sent in random pieces at random times, is read by random
 * calls with random separators and a random limit. A model that has the whole text says what each
 * call has to return; where the pieces may decide (how much a plain read gives, whether a separator
 * beyond the limit has come) it says between what. Calls that are cut short consume nothing.
 * WEFT_SEED=<n> runs one.
 */
#include "sim_help.h"

enum { SEEDS = 600, SEEDS_SANITIZED = 60, TEXT_MAX = 3000, SEPARATORS_MAX = 3, SEPARATOR_MAX = 4 };

struct model {
    uint64_t random;
    weft_stream *s;
    weft_stream *peer;
    size_t limit;
    size_t at; /* read so far */
    size_t n;
    char text[TEXT_MAX];
};

static size_t dice(uint64_t *random, size_t sides)
{
    return (size_t)(test_random(random) % sides);
}

static char letter(uint64_t *random)
{
    static const char letters[] = "aaabb\n";
    return letters[dice(random, sizeof letters - 1)];
}

static void *send_text(void *arg)
{
    const struct model *m = arg;
    uint64_t random = m->random ^ 0x5eed;
    size_t most = dice(&random, 3) == 0 ? TEXT_MAX : 1 + dice(&random, 40);
    for (size_t sent = 0; sent < m->n;) {
        size_t n = 1 + dice(&random, most);
        n = n < m->n - sent ? n : m->n - sent;
        CHECK_EQUAL(weft_stream_write(m->peer, m->text + sent, n), n);
        sent += n;
        if (dice(&random, 2) == 0) {
            CHECK_EQUAL(weft_sleep((int64_t)dice(&random, 10) * WEFT_US), 0);
        }
    }
    CHECK_EQUAL(weft_stream_shutdown_write(m->peer), 0);
    return NULL;
}

static size_t rest(const struct model *m)
{
    return m->n - m->at;
}

static void check_text(const struct model *m, const void *data, size_t n)
{
    CHECK(n <= rest(m));
    CHECK_EQUAL(memcmp(data, m->text + m->at, n), 0);
}

/* What was read is the next of the text. */
static void consume(struct model *m, const void *data, size_t n)
{
    check_text(m, data, n);
    m->at += n;
}

/* Separators, and where the first of them is in the rest of the text. */
struct separators {
    struct iovec iov[SEPARATORS_MAX];
    char text[SEPARATORS_MAX][SEPARATOR_MAX];
    int count;
    size_t longest;
    size_t start;
    size_t end; /* 0: there is none */
};

static bool is_at(const struct model *m, size_t at, const struct iovec *separator)
{
    return at + separator->iov_len <= m->n &&
           memcmp(m->text + at, separator->iov_base, separator->iov_len) == 0;
}

static void separators_find(struct separators *all, const struct model *m)
{
    all->end = 0;
    for (int i = 0; i < all->count; i++) {
        size_t n = all->iov[i].iov_len;
        size_t at = m->at;
        while (at < m->n && !is_at(m, at, &all->iov[i])) {
            at++;
        }
        if (at < m->n && (all->end == 0 || at - m->at + n < all->end)) {
            all->start = at - m->at;
            all->end = all->start + n;
        }
    }
}

static void separators_choose(struct separators *all, struct model *m)
{
    all->count = 1 + (int)dice(&m->random, SEPARATORS_MAX);
    all->longest = 0;
    for (int i = 0; i < all->count; i++) {
        size_t n = 1 + dice(&m->random, SEPARATOR_MAX);
        for (size_t j = 0; j < n; j++) {
            all->text[i][j] = letter(&m->random);
        }
        all->iov[i] = (struct iovec){all->text[i], n};
        all->longest = n > all->longest ? n : all->longest;
    }
    separators_find(all, m);
}

static void step_until(struct model *m)
{
    struct separators all;
    struct weft_view view;
    separators_choose(&all, m);
    ssize_t n = weft_stream_read_until_any(m->s, all.iov, all.count, &view);
    if (n == -ETIMEDOUT) {
        CHECK_EQUAL(view.bytes, 0);
    } else if (all.end > 0 && all.start <= m->limit) {
        CHECK_EQUAL(n, all.end);
        CHECK_EQUAL(view.bytes, all.end);
        consume(m, view.data, view.bytes);
    } else if (all.end > 0 || rest(m) >= m->limit + all.longest) {
        CHECK_EQUAL(n, -EMSGSIZE);
        CHECK(view.bytes == 0 || view.bytes == all.end);
    } else {
        CHECK_EQUAL(n, -ENODATA);
    }
}

static void step_line(struct model *m)
{
    struct weft_view view;
    const char *end = memchr(m->text + m->at, '\n', rest(m));
    size_t line = end != NULL ? (size_t)(end - m->text) - m->at + 1 : rest(m);
    if (line > m->limit) {
        return; /* how much of it is dropped depends on what has come */
    }
    ssize_t n = weft_stream_read_line(m->s, &view);
    if (n != -ETIMEDOUT) {
        CHECK_EQUAL(n, line);
        CHECK_EQUAL(view.bytes, line);
        consume(m, view.data, view.bytes);
    }
}

static void step_exactly(struct model *m)
{
    char buf[TEXT_MAX];
    size_t n = dice(&m->random, 4) == 0 ? dice(&m->random, TEXT_MAX) : dice(&m->random, 30);
    ssize_t got = weft_stream_read_exactly(m->s, buf, n);
    if (got != -ETIMEDOUT) {
        CHECK_EQUAL(got, n <= rest(m) ? (ssize_t)n : -ENODATA);
        consume(m, buf, got > 0 ? (size_t)got : 0);
    }
}

static void step_some(struct model *m)
{
    char buf[TEXT_MAX];
    size_t n = dice(&m->random, 4) == 0 ? dice(&m->random, TEXT_MAX) : dice(&m->random, 30);
    ssize_t got = weft_stream_read(m->s, buf, n);
    if (got != -ETIMEDOUT) {
        CHECK(got >= 0 && (size_t)got <= n);
        CHECK_EQUAL(got == 0, n == 0 || rest(m) == 0);
        consume(m, buf, (size_t)got);
    }
}

static void step_peek(struct model *m)
{
    struct weft_view view;
    size_t n = dice(&m->random, 2 * m->limit);
    ssize_t got = weft_stream_peek(m->s, n, &view);
    if (n > m->limit) {
        CHECK_EQUAL(got, -EMSGSIZE);
    } else if (got != -ETIMEDOUT) {
        CHECK_EQUAL(got, view.bytes);
        CHECK(view.bytes >= n || view.bytes == rest(m));
        check_text(m, view.data, view.bytes);
    }
}

static void step(struct model *m)
{
    switch (dice(&m->random, 6)) {
    case 0:
        step_line(m);
        break;
    case 1:
        step_exactly(m);
        break;
    case 2:
        step_some(m);
        break;
    case 3:
        step_peek(m);
        break;
    default:
        step_until(m);
    }
    CHECK(!weft_stream_at_eof(m->s) || rest(m) == 0);
}

static void *read_text(void *arg)
{
    struct model *m = arg;
    struct weft_stream_options options = {
        .limit = 1 + dice(&m->random, dice(&m->random, 2) == 0 ? 20 : 400),
    };
    weft_stream *ends[2];
    struct weft_view view;
    m->limit = options.limit;
    m->n = dice(&m->random, TEXT_MAX);
    for (size_t i = 0; i < m->n; i++) {
        m->text[i] = letter(&m->random);
    }
    CHECK_EQUAL(weft_stream_pair(&options, ends), 0);
    m->s = ends[0];
    m->peer = ends[1];
    weft_task *sender = weft_spawn(send_text, m);
    for (int i = 0; i < 80; i++) {
        int64_t limit = dice(&m->random, 3) == 0 ? (int64_t)dice(&m->random, 20) * WEFT_US
                                                 : WEFT_FOREVER;
        WEFT_TIMEOUT(limit) {
            step(m);
        }
    }
    CHECK_EQUAL(weft_stream_read_to_end(m->s, &view), rest(m));
    consume(m, view.data, view.bytes);
    CHECK_EQUAL(rest(m), 0);
    CHECK(weft_stream_at_eof(m->s));
    CHECK_EQUAL(weft_join(sender, NULL), 0);
    CHECK_EQUAL(weft_stream_close(m->s), 0);
    CHECK_EQUAL(weft_stream_close(m->peer), 0);
    return NULL;
}

static void pieces_do_not_matter(void **state)
{
    static struct model m;
    size_t seeds = sim_is_repeated() ? 1 : test_scaled(SEEDS, SEEDS_SANITIZED);
    uint64_t first = sim_is_repeated() ? strtoull(getenv("WEFT_SEED"), NULL, 0) : test_seed();
    (void)state;
    for (size_t i = 0; i < seeds; i++) {
        memset(&m, 0, sizeof m);
        m.random = first + i;
        (void)sim_run(first + i, read_text, &m);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_matter),
    };
    (void)argc;
    sim_begin(argv[0]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
