/* SPDX-License-Identifier: MIT */
/*
 * Echo over TCP: a thousand connections at once, and megabytes through each of a few.
 *
 * Every connection has its own stream, which has to come back as it was sent; every descriptor has
 * to come back too.
 */
#include "../io/io_help.h"

#include <sys/resource.h>

static size_t connections;
static size_t large_bytes;

/* ---- the server: a task that accepts, and one a connection ---- */

static void *echo(void *arg)
{
    int fd = UNBOXED(arg);
    char buf[4096];
    ssize_t n;
    while ((n = weft_recv(fd, buf, sizeof buf, 0)) > 0) {
        CHECK_EQUAL(weft_write_full(fd, buf, (size_t)n, NULL), 0);
    }
    CHECK_EQUAL(n, 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void *serve(void *arg)
{
    for (;;) {
        int fd = weft_accept(UNBOXED(arg), NULL, NULL, 0);
        if (fd < 0) {
            return BOXED(fd);
        }
        CHECK_EQUAL(weft_go(echo, BOXED(fd)), 0);
    }
}

/* ---- many clients ---- */

struct clients {
    struct sockaddr_in address;
    shared_int connected;
    shared_int go;
};

static void *chat(void *arg)
{
    struct clients *c = arg;
    char out[100];
    char in[sizeof out];
    int fd = connected_to(&c->address);
    atomic_add_seq_cst(&c->connected, 1);
    while (atomic_load_seq_cst(&c->go) == 0) {
        CHECK_EQUAL(weft_sleep(5 * WEFT_MS), 0);
    }
    for (size_t i = 0; i < 5; i++) {
        pattern_fill(out, (size_t)fd * 1000 + i, sizeof out);
        CHECK_EQUAL(weft_send(fd, out, sizeof out, 0), sizeof out);
        CHECK_EQUAL(weft_read_full(fd, in, sizeof in, NULL), 0);
        CHECK_EQUAL(memcmp(in, out, sizeof out), 0);
    }
    CHECK_EQUAL(weft_shutdown(fd, SHUT_WR), 0);
    CHECK_EQUAL(weft_read(fd, in, 1), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void *run_clients(void *arg)
{
    struct clients c = {.connected = 0};
    (void)arg;
    int listener = make_listener(&c.address, 4096);
    weft_task *server = spawn(serve, BOXED(listener));
    weft_task **t = malloc(connections * sizeof *t);
    CHECK(t != NULL);
    for (size_t i = 0; i < connections; i++) {
        t[i] = spawn(chat, &c);
    }
    while (atomic_load_seq_cst(&c.connected) < (int)connections) {
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    }
    atomic_store_seq_cst(&c.go, 1);
    for (size_t i = 0; i < connections; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    free(t);
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(joined(server), -ECANCELED);
    return NULL;
}

static void a_thousand_connections_at_once(void **state)
{
    (void)state;
    run_io(run_clients, NULL);
}

/* ---- few clients with much ---- */

struct large {
    int fd;
    size_t sent;
};

static void *send_large(void *arg)
{
    struct large *l = arg;
    static const size_t chunk = 65536;
    char *buf = malloc(chunk);
    CHECK(buf != NULL);
    while (l->sent < large_bytes) {
        size_t n = chunk < large_bytes - l->sent ? chunk : large_bytes - l->sent;
        pattern_fill(buf, l->sent, n);
        for (size_t done = 0; done < n;) {
            ssize_t put = weft_send(l->fd, buf + done, n - done, 0);
            CHECK(put > 0);
            done += (size_t)put;
        }
        l->sent += n;
    }
    free(buf);
    CHECK_EQUAL(weft_shutdown(l->fd, SHUT_WR), 0);
    return NULL;
}

static void *echo_large(void *arg)
{
    char buf[10000];
    size_t had = 0;
    ssize_t n;
    struct large l = {.fd = connected_to(arg)};
    weft_task *sender = spawn(send_large, &l);
    while ((n = weft_recv(l.fd, buf, sizeof buf, 0)) > 0) {
        CHECK(pattern_fits(buf, had, (size_t)n));
        had += (size_t)n;
    }
    CHECK_EQUAL(n, 0);
    CHECK_EQUAL(had, large_bytes);
    CHECK_EQUAL(weft_join(sender, NULL), 0);
    CHECK_EQUAL(weft_close(l.fd), 0);
    return NULL;
}

#define LARGE_CLIENTS 4

static void *run_large(void *arg)
{
    struct sockaddr_in address;
    weft_task *t[LARGE_CLIENTS];
    (void)arg;
    int listener = make_listener(&address, 16);
    weft_task *server = spawn(serve, BOXED(listener));
    for (int i = 0; i < LARGE_CLIENTS; i++) {
        t[i] = spawn(echo_large, &address);
    }
    for (int i = 0; i < LARGE_CLIENTS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    CHECK(weft_cancel(server));
    CHECK_EQUAL(joined(server), -ECANCELED);
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void megabytes_through_each(void **state)
{
    (void)state;
    run_io(run_large, NULL);
}

/* Two descriptors a connection; some are in use already. */
static size_t connections_allowed(size_t wanted)
{
    struct rlimit limit;
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 20000 ? limit.rlim_max : 20000;
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    size_t allowed = ((size_t)limit.rlim_cur - 200) / 2;
    return wanted < allowed ? wanted : allowed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_connections_at_once),
        cmocka_unit_test(megabytes_through_each),
    };
    connections = connections_allowed(test_scaled(1000, 150));
    large_bytes = test_scaled((size_t)8 << 20, (size_t)1 << 20);
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
