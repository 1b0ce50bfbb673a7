/* SPDX-License-Identifier: MIT */
/*
 * An echo server of Weft tasks among clients that misbehave: they reset in the middle of a message,
 * close one side, never read, send byte by byte, connect and vanish.
 *
 * The clients are plain blocking sockets on plain threads, so nothing of the library stands on both
 * sides. Each test ends with the same questions: is a well-behaved client served all the time, do
 * the connections' tasks end, and are the process's descriptors back to where they were?
 */
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/weft.h>

#include "atomic.h"

/* No call of a client may take longer: then something is stuck, and the test fails. */
#define CLIENT_SECONDS 20
#define WAIT_MS 20000

/* --- the server ------------------------------------------------------------------------------- */

static weft_runtime *rt;
static weft_task *acceptor;
static int listen_fd;
static struct sockaddr_in server_address;
static size_t descriptors_before;
static _Atomic(int) open_count;
static _Atomic(int) ended_count;

/* ORD none: counts that are looked at until they are right. */
static void count_add(_Atomic(int) *count, int n)
{
    (void)atomic_add_relaxed(count, n);
}

static int count_read(_Atomic(int) *count)
{
    return atomic_load_relaxed(count);
}

static void *echo_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[1000];
    ssize_t n;
    do {
        n = weft_recv(fd, buffer, sizeof buffer, 0);
        if (n > 0) {
            n = weft_send(fd, buffer, (size_t)n, MSG_WAITALL);
        }
    } while (n > 0);
    (void)weft_close(fd);
    count_add(&open_count, -1);
    count_add(&ended_count, 1);
    return NULL;
}

static void *accept_all(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = weft_accept(listen_fd, NULL, NULL, 0);
        if (fd == -ECANCELED) {
            return NULL;
        }
        if (fd >= 0) {
            count_add(&open_count, 1);
            if (weft_go(echo_one, (void *)(intptr_t)fd) < 0) {
                return weft_fail(-ENOMEM);
            }
        }
    }
}

static size_t count_descriptors(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n;
}

static int server_start(void **state)
{
    (void)state;
    socklen_t bytes = sizeof server_address;
    count_add(&open_count, -count_read(&open_count));
    count_add(&ended_count, -count_read(&ended_count));
    descriptors_before = count_descriptors();
    server_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listen_fd >= 0);
    assert_int_equal(bind(listen_fd, (struct sockaddr *)&server_address, bytes), 0);
    assert_int_equal(listen(listen_fd, 1024), 0);
    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&server_address, &bytes), 0);
    assert_int_equal(weft_runtime_create(&rt, NULL), 0);
    assert_int_equal(weft_runtime_spawn(rt, accept_all, NULL, &acceptor), 0);
    return 0;
}

static int server_stop(void **state)
{
    (void)state;
    weft_cancel(acceptor);
    assert_int_equal(weft_future_wait_blocking(acceptor, WEFT_FOREVER, NULL), 0);
    weft_put(acceptor);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    assert_int_equal(close(listen_fd), 0);
    assert_int_equal(count_read(&open_count), 0);
    assert_int_equal(count_descriptors(), descriptors_before);
    return 0;
}

/* Wait until so many connections' tasks have ended. */
static void wait_ended(int count)
{
    for (int ms = 0; ms < WAIT_MS && count_read(&ended_count) < count; ms++) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(count_read(&ended_count), count);
}

/* --- clients ---------------------------------------------------------------------------------- */

static int client_connect(void)
{
    struct timeval limit = {.tv_sec = CLIENT_SECONDS};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&server_address, sizeof server_address), 0);
    return fd;
}

static void client_send(int fd, const char *data, size_t n)
{
    assert_int_equal(send(fd, data, n, MSG_NOSIGNAL), n);
}

static void client_expect(int fd, const char *data, size_t n)
{
    static _Thread_local char got[65536];
    assert_true(n <= sizeof got);
    assert_int_equal(recv(fd, got, n, MSG_WAITALL), n);
    assert_memory_equal(got, data, n);
}

/* Close with a reset instead of a farewell. */
static void client_reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    assert_int_equal(close(fd), 0);
}

/* A message whose bytes tell their place. */
static void fill(char *data, size_t n, unsigned salt)
{
    for (size_t i = 0; i < n; i++) {
        data[i] = (char)((i * 7 + salt) % 251);
    }
}

/* One round trip of a client that behaves. */
static void client_talk(int fd, unsigned salt)
{
    char data[300];
    fill(data, sizeof data, salt);
    client_send(fd, data, sizeof data);
    client_expect(fd, data, sizeof data);
}

/* Send until the server takes no more. Returns how much it took. */
static size_t client_flood(int fd)
{
    static char data[65536];
    size_t sum = 0;
    for (;;) {
        ssize_t n = send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            sum += (size_t)n;
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        /* Full for now; full for good when no room comes for a while. */
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, 200) == 0) {
            return sum;
        }
    }
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_every_size_comes_back(void **state)
{
    static const size_t sizes[] = {1, 2, 64, 999, 1000, 1001, 4096, 65536};
    static char data[65536];
    (void)state;
    int fd = client_connect();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fill(data, sizes[i], (unsigned)i);
        client_send(fd, data, sizes[i]);
        client_expect(fd, data, sizes[i]);
    }
    assert_int_equal(close(fd), 0);
    wait_ended(1);
}

static void test_reset_in_the_middle_of_a_message(void **state)
{
    enum { RESETS = 100 };

    char data[5000];
    (void)state;
    int good = client_connect();
    fill(data, sizeof data, 3);
    for (unsigned i = 0; i < RESETS; i++) {
        int fd = client_connect();
        client_send(fd, data, 1 + i * 37 % sizeof data);
        client_reset(fd);
        client_talk(good, i);
    }
    assert_int_equal(close(good), 0);
    wait_ended(RESETS + 1);
}

static void test_half_close_gets_the_rest(void **state)
{
    char data[20000];
    char more;
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        int fd = client_connect();
        fill(data, sizeof data, i);
        client_send(fd, data, sizeof data);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        client_expect(fd, data, sizeof data);
        assert_int_equal(recv(fd, &more, 1, 0), 0);
        assert_int_equal(close(fd), 0);
    }
    wait_ended(20);
}

static void test_half_close_without_a_word(void **state)
{
    char more;
    (void)state;
    int fd = client_connect();
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(recv(fd, &more, 1, 0), 0);
    assert_int_equal(close(fd), 0);
    wait_ended(1);
}

static void test_client_that_never_reads_holds_up_nobody(void **state)
{
    (void)state;
    int good = client_connect();
    int greedy = client_connect();
    assert_true(client_flood(greedy) > 65536);
    for (unsigned i = 0; i < 200; i++) {
        client_talk(good, i);
    }
    assert_int_equal(count_read(&ended_count), 0);
    /* It goes with unread bytes, which is a reset: the task that waits in send must end. */
    assert_int_equal(close(greedy), 0);
    wait_ended(1);
    client_talk(good, 7);
    assert_int_equal(close(good), 0);
    wait_ended(2);
}

static void test_runtime_closes_over_a_client_that_never_reads(void **state)
{
    (void)state;
    int greedy = client_connect();
    int silent = client_connect();
    assert_true(client_flood(greedy) > 65536);
    client_talk(silent, 1);
    /* The sockets here are part of what server_stop counts, so they go after the server's. */
    weft_cancel(acceptor);
    assert_int_equal(weft_future_wait_blocking(acceptor, WEFT_FOREVER, NULL), 0);
    assert_int_equal(weft_runtime_close(rt), 0);
    assert_int_equal(count_read(&ended_count), 2);
    assert_int_equal(close(greedy), 0);
    assert_int_equal(close(silent), 0);
    assert_int_equal(weft_runtime_destroy(rt), 0);
    assert_int_equal(weft_runtime_create(&rt, NULL), 0);
    weft_put(acceptor);
    assert_int_equal(weft_runtime_spawn(rt, accept_all, NULL, &acceptor), 0);
}

static void test_byte_at_a_time(void **state)
{
    (void)state;
    int fd = client_connect();
    for (unsigned i = 0; i < 500; i++) {
        char byte = (char)i;
        client_send(fd, &byte, 1);
        client_expect(fd, &byte, 1);
    }
    /* And byte by byte without waiting for the echo of each. */
    char data[500];
    fill(data, sizeof data, 11);
    for (size_t i = 0; i < sizeof data; i++) {
        client_send(fd, data + i, 1);
    }
    client_expect(fd, data, sizeof data);
    assert_int_equal(close(fd), 0);
    wait_ended(1);
}

static void test_connect_and_vanish(void **state)
{
    enum { TIMES = 200 };

    (void)state;
    int good = client_connect();
    for (unsigned i = 0; i < TIMES; i++) {
        int fd = client_connect();
        if (i % 2 == 0) {
            assert_int_equal(close(fd), 0);
        } else {
            /* With a reset the connection may be gone before it is accepted; Linux hands it out
             * all the same, and the first receive tells. */
            client_reset(fd);
        }
        if (i % 10 == 0) {
            client_talk(good, i);
        }
    }
    assert_int_equal(close(good), 0);
    wait_ended(TIMES + 1);
}

/* --- all at once ------------------------------------------------------------------------------ */

#define MOB_THREADS 6

static void misbehave(uint64_t *random)
{
    char data[2000];
    size_t n = 1 + test_random(random) % sizeof data;
    int fd = client_connect();
    fill(data, n, (unsigned)n);
    switch (test_random(random) % 5) {
    case 0:
        client_send(fd, data, n);
        client_reset(fd);
        return;
    case 1:
        client_send(fd, data, n);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        client_expect(fd, data, n);
        break;
    case 2:
        client_send(fd, data, n);
        client_expect(fd, data, n / 2 + 1 < n ? n / 2 + 1 : n);
        client_reset(fd);
        return;
    case 3:
        for (size_t i = 0; i < n && i < 20; i++) {
            client_send(fd, data + i, 1);
        }
        client_expect(fd, data, n < 20 ? n : 20);
        break;
    default:
        break;
    }
    assert_int_equal(close(fd), 0);
}

struct mob {
    pthread_t thread;
    uint64_t seed;
    unsigned rounds;
};

static void *mob_run(void *arg)
{
    struct mob *m = arg;
    for (unsigned i = 0; i < m->rounds; i++) {
        misbehave(&m->seed);
    }
    return NULL;
}

static void test_mob_of_all_kinds(void **state)
{
    struct mob mob[MOB_THREADS];
    uint64_t seed = test_seed();
    unsigned rounds = (unsigned)test_scaled(200, 40);
    (void)state;
    int good = client_connect();
    for (unsigned i = 0; i < MOB_THREADS; i++) {
        mob[i].seed = test_random(&seed);
        mob[i].rounds = rounds;
        assert_int_equal(pthread_create(&mob[i].thread, NULL, mob_run, &mob[i]), 0);
    }
    for (unsigned i = 0; i < 500; i++) {
        client_talk(good, i);
    }
    for (unsigned i = 0; i < MOB_THREADS; i++) {
        assert_int_equal(pthread_join(mob[i].thread, NULL), 0);
    }
    client_talk(good, 5);
    assert_int_equal(close(good), 0);
    wait_ended((int)(MOB_THREADS * rounds) + 1);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, server_start, server_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(test_every_size_comes_back),
        SERVED(test_reset_in_the_middle_of_a_message),
        SERVED(test_half_close_gets_the_rest),
        SERVED(test_half_close_without_a_word),
        SERVED(test_client_that_never_reads_holds_up_nobody),
        SERVED(test_runtime_closes_over_a_client_that_never_reads),
        SERVED(test_byte_at_a_time),
        SERVED(test_connect_and_vanish),
        SERVED(test_mob_of_all_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
