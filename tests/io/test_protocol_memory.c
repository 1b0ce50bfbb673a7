/* SPDX-License-Identifier: MIT */
/*
 * What an idle connection costs: 512 bytes at the most, all in all, once it has sent and received.
 */
#include "protocol_help.h"

#include <sys/resource.h>

#define CONNECTIONS 4000
#define WORKERS 2
#define BYTES_MAX 512
#define RECORD_BYTES 64 /* of a descriptor, in the epoll instance of a worker that has used it */

static double resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f != NULL);
    CHECK_EQUAL(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static int echo_once(weft_transport *t, const void *data, size_t n, void *arg)
{
    (void)arg;
    return weft_transport_write(t, data, n);
}

static const struct weft_protocol echo = {.data_received = echo_once};

static void *open_many(void *arg)
{
    int (*fds)[2] = calloc(CONNECTIONS, sizeof *fds);
    (void)arg;
    CHECK(fds != NULL);
    double before = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        char c = 'x';
        before = i == CONNECTIONS / 4 ? resident_bytes() : before; /* by then all is warm */
        make_pair(fds[i]);
        CHECK_EQUAL(weft_transport_open(fds[i][0], &echo, NULL, NULL), 0);
        CHECK_EQUAL(weft_send(fds[i][1], &c, 1, 0), 1);
        CHECK_EQUAL(weft_recv(fds[i][1], &c, 1, 0), 1);
    }
    double each = (resident_bytes() - before) / (CONNECTIONS - CONNECTIONS / 4);
    dprintf(STDOUT_FILENO, "%.0f bytes a connection\n", each);
    bool is_epoll = weft_runtime_backend(weft_runtime_current(), NULL) == WEFT_BACKEND_EPOLL;
    CHECK(each <= BYTES_MAX + (is_epoll ? 2 * RECORD_BYTES * WORKERS : 0));
    for (int i = 0; i < CONNECTIONS; i++) {
        CHECK_EQUAL(close(fds[i][1]), 0);
    }
    /* The descriptors of the other ends are the transports', which close them now. */
    while (fd_count() > CONNECTIONS) {
        CHECK_EQUAL(weft_sleep(WEFT_MS), 0);
    }
    free(fds);
    return NULL;
}

static void an_idle_connection_is_small(void **state)
{
    (void)state;
    struct weft_options options = {.workers = WORKERS};
    CHECK_EQUAL(weft_run_with(&options, open_many, NULL, NULL), 0);
}

int main(void)
{
    struct rlimit limit = {.rlim_cur = 2 * CONNECTIONS + 200, .rlim_max = 2 * CONNECTIONS + 200};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_is_small),
    };
#ifdef TEST_SANITIZED
    puts("skipped: the tool has memory of its own for each");
    return 77;
#endif
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        puts("skipped: not so many descriptors are allowed");
        return 77;
    }
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
