/* SPDX-License-Identifier: MIT */
/*
 * Goal: what test_rt_bounds.c is for tasks, for descriptors, streams, datagrams, servers and
 * processes: lengths, counts and offsets that are out of range are refused as the headers say, or
 * are cut to what is there.
 *
 * Workers: 1 2
 */
#include "stream_help.h"

#include <limits.h>
#include <sys/mman.h>

#define COUNT_OF(table) (sizeof(table) / sizeof(table)[0])

static const size_t too_many[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2 + 1, SIZE_MAX / 2};

static void *vectors_main(void *arg)
{
    static const int no_count[] = {-1, INT_MIN, IOV_MAX + 1, INT_MAX};
    static const off_t no_offset[] = {-1, INT64_MIN, -4096};
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    int fd = memfd_create("bounds", MFD_CLOEXEC);
    CHECK_EQUAL(weft_pwrite(fd, "abc", 3, 0), 3);
    for (size_t i = 0; i < COUNT_OF(no_count); i++) {
        CHECK_EQUAL(weft_readv(fd, &iov, no_count[i]), -EINVAL);
        CHECK_EQUAL(weft_writev(fd, &iov, no_count[i]), -EINVAL);
        CHECK_EQUAL(weft_preadv(fd, &iov, no_count[i], 0), -EINVAL);
        CHECK_EQUAL(weft_pwritev(fd, &iov, no_count[i], 0), -EINVAL);
    }
    for (size_t i = 0; i < COUNT_OF(no_offset); i++) {
        off_t at = no_offset[i];
        CHECK_EQUAL(weft_pread(fd, &byte, 1, no_offset[i]), -EINVAL);
        CHECK_EQUAL(weft_pwrite(fd, &byte, 1, no_offset[i]), -EINVAL);
        CHECK_EQUAL(weft_preadv(fd, &iov, 1, no_offset[i]), -EINVAL);
        CHECK_EQUAL(weft_pwritev(fd, &iov, 1, no_offset[i]), -EINVAL);
        CHECK_EQUAL(weft_sendfile(fd, fd, &at, 1), -EINVAL);
        CHECK_EQUAL(weft_ftruncate(fd, no_offset[i]), -EINVAL);
        CHECK_EQUAL(weft_fallocate(fd, 0, no_offset[i], 1), -EINVAL);
        CHECK_EQUAL(weft_fallocate(fd, 0, 0, no_offset[i]), -EINVAL);
    }
    CHECK_EQUAL(lseek(fd, 0, SEEK_END), 3);
    CHECK_EQUAL(close(fd), 0);
    return arg;
}

/* A length is how much may come, not how much there is. The kernel looks whether so much could be
 * there at all: above a stack it could not. */
static void *lengths_main(void *arg)
{
    static char buf[16];
    int fds[2];
    for (size_t i = 0; i < COUNT_OF(too_many); i++) {
        make_pair(fds);
        CHECK_EQUAL(weft_send(fds[0], "abc", 3, 0), 3);
        CHECK_EQUAL(weft_read(fds[1], buf, too_many[i]), 3);
        CHECK_EQUAL(weft_send(fds[0], "abc", 3, 0), 3);
        CHECK_EQUAL(weft_recv(fds[1], buf, too_many[i], 0), 3);
        struct sockaddr_storage from;
        socklen_t bytes = sizeof from;
        CHECK_EQUAL(weft_send(fds[0], "abc", 3, 0), 3);
        CHECK_EQUAL(
            weft_recvfrom(fds[1], buf, too_many[i], 0, (struct sockaddr *)&from, &bytes), 3);
        close_both(fds);
    }
    return arg;
}

static void *messages_main(void *arg)
{
    static const size_t no_count[] = {SIZE_MAX, (size_t)IOV_MAX + 1, (size_t)UINT_MAX + 2};
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    int fds[2];
    make_pair(fds);
    CHECK_EQUAL(weft_send(fds[0], "abc", 3, 0), 3);
    for (size_t i = 0; i < COUNT_OF(no_count); i++) {
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = no_count[i]};
        CHECK_EQUAL(weft_recvmsg(fds[1], &m, 0), -EMSGSIZE);
        CHECK_EQUAL(weft_sendmsg(fds[0], &m, 0), -EMSGSIZE);
    }
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &byte, .msg_controllen = SIZE_MAX};
    CHECK_EQUAL(weft_sendmsg(fds[0], &m, 0), -ENOBUFS);
    CHECK_EQUAL(weft_recv(fds[1], &(char[8]){0}, 8, 0), 3);
    close_both(fds);
    return arg;
}

static void *addresses_main(void *arg)
{
    static const socklen_t no_bytes[] = {UINT_MAX, INT_MAX, sizeof(struct sockaddr_storage) + 1,
                                         1};
    struct sockaddr_storage at = {.ss_family = AF_INET};
    const struct sockaddr *address = (const struct sockaddr *)&at;
    int fd = weft_socket(AF_INET, SOCK_STREAM, 0);
    for (size_t i = 0; i < COUNT_OF(no_bytes); i++) {
        char host[8];
        CHECK_EQUAL(weft_connect(fd, address, no_bytes[i]), -EINVAL);
        CHECK_EQUAL(weft_bind(fd, address, no_bytes[i]), -EINVAL);
        CHECK(weft_resolve_name(address, no_bytes[i], host, sizeof host, NULL, 0, 0) < 0);
    }
    CHECK_EQUAL(weft_close(fd), 0);
    return arg;
}

static void *descriptors_main(void *arg)
{
    static const int none[] = {-1, INT_MIN, INT_MAX, -100};
    char byte;
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        CHECK_EQUAL(weft_read(none[i], &byte, 1), -EBADF);
        CHECK_EQUAL(weft_wait_fd(none[i], POLLIN), -EBADF);
        CHECK_EQUAL(weft_recv(none[i], &byte, 1, 0), -EBADF);
        CHECK_EQUAL(weft_close(none[i]), -EBADF);
    }
    static const nfds_t no_count[] = {SIZE_MAX, (nfds_t)INT_MAX + 1, ((nfds_t)1 << 32) + 1};
    int fds[2];
    make_pipe(fds);
    for (size_t i = 0; i < COUNT_OF(no_count); i++) {
        struct pollfd p = {.fd = fds[0], .events = POLLIN, .revents = 77};
        CHECK_EQUAL(weft_poll(&p, no_count[i]), -EINVAL);
        CHECK_EQUAL(p.revents, 77);
    }
    close_both(fds);
    return arg;
}

static void test_calls_on_descriptors(void **state)
{
    (void)state;
    run_io(vectors_main, NULL);
    run_io(lengths_main, NULL);
    run_io(messages_main, NULL);
    run_io(addresses_main, NULL);
    run_io(descriptors_main, NULL);
}

/* --- streams and transports ------------------------------------------------------------------- */

static void *stream_options_main(void *arg)
{
    static const struct weft_stream_options odd[] = {
        {.limit = SIZE_MAX},
        {.high_water = SIZE_MAX},
        {.low_water = SIZE_MAX},
        {.high_water = 1, .low_water = 2},
        {.idle_ns = -1},
        {.read_ns = INT64_MIN},
        {.reserved = {[3] = 1}},
    };
    int fds[2];
    make_pair(fds);
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        weft_stream *s = NULL;
        weft_stream *ends[2] = {NULL, NULL};
        CHECK_EQUAL(weft_stream_open(fds[0], &odd[i], &s), -EINVAL);
        CHECK_EQUAL(weft_stream_pair(&odd[i], ends), -EINVAL);
        CHECK(s == NULL && ends[0] == NULL);
    }
    close_both(fds);
    return arg;
}

static void *send_abc(void *arg)
{
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(weft_send(UNBOXED(arg), "abc", 3, 0), 3);
    return NULL;
}

/* A limit that is as good as none. */
static void *stream_limits_main(void *arg)
{
    static const int64_t far[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2};
    for (size_t i = 0; i < COUNT_OF(far); i++) {
        struct weft_stream_options o = {.idle_ns = far[i], .read_ns = far[i]};
        struct ends e = open_ends(&o);
        char buf[8];
        weft_task *t = spawn(send_abc, BOXED(e.peer));
        CHECK_EQUAL(weft_stream_read(e.s, buf, sizeof buf), 3);
        CHECK_EQUAL(weft_join(t, NULL), 0);
        close_ends(&e);
    }
    return arg;
}

static void *stream_lengths_main(void *arg)
{
    static char bytes[64];
    struct iovec wraps[3] = {{bytes, 16}, {bytes, SIZE_MAX - 15}, {bytes, 8}};
    struct weft_view view;
    struct ends e = open_ends(NULL);
    CHECK_EQUAL(weft_stream_writev(e.s, wraps, 3), -EINVAL);
    CHECK_EQUAL(weft_stream_writev(e.s, wraps, -1), -EINVAL);
    CHECK_EQUAL(weft_stream_writev(e.s, wraps, INT_MIN), -EINVAL);
    CHECK_EQUAL(weft_stream_read_until(e.s, "", 0, &view), -EINVAL);
    CHECK_EQUAL(weft_stream_read_until_any(e.s, wraps, -1, &view), -EINVAL);
    CHECK_EQUAL(weft_stream_read_until_any(e.s, wraps, 0, &view), -EINVAL);
    for (size_t i = 0; i < COUNT_OF(too_many); i++) {
        off_t offset = 0;
        CHECK_EQUAL(weft_stream_write(e.s, bytes, too_many[i]), -EINVAL);
        CHECK_EQUAL(weft_stream_read_exactly(e.s, bytes, too_many[i]), -EINVAL);
        CHECK_EQUAL(weft_stream_sendfile(e.s, 0, &offset, too_many[i]), -EINVAL);
        CHECK_EQUAL(weft_stream_peek(e.s, too_many[i], &view), -EMSGSIZE);
    }
    CHECK_EQUAL(weft_stream_pending(e.s), 0);
    CHECK_EQUAL(weft_send(e.peer, "abc", 3, 0), 3);
    CHECK_EQUAL(weft_stream_read(e.s, bytes, SIZE_MAX), 3);
    CHECK_EQUAL(weft_stream_write(e.s, "d", 1), 1);
    CHECK_EQUAL(weft_stream_drain(e.s), 0);
    close_ends(&e);
    return arg;
}

static int ignore_data(weft_transport *t, const void *data, size_t n, void *arg)
{
    (void)t;
    (void)data;
    (void)n;
    (void)arg;
    return 0;
}

static void note_end(weft_transport *t, int error, void *arg)
{
    (void)t;
    (void)error;
    atomic_store_seq_cst((shared_int *)arg, 1);
}

static void *transport_main(void *arg)
{
    static const struct weft_protocol protocol = {.data_received = ignore_data,
                                                  .connection_lost = note_end};
    static char bytes[64];
    struct iovec wraps[2] = {{bytes, 16}, {bytes, SIZE_MAX - 7}};
    shared_int is_over = 0;
    weft_transport *t = NULL;
    int fds[2];
    make_pair(fds);
    CHECK_EQUAL(weft_transport_open(fds[0], &protocol, &is_over, &t), 0);
    CHECK_EQUAL(weft_transport_writev(t, wraps, 2), -EINVAL);
    CHECK_EQUAL(weft_transport_writev(t, wraps, -1), -EINVAL);
    CHECK_EQUAL(weft_transport_writev(t, wraps, IOV_MAX + 1), -EINVAL);
    for (size_t i = 0; i < COUNT_OF(too_many); i++) {
        CHECK_EQUAL(weft_transport_write(t, bytes, too_many[i]), -EINVAL);
    }
    CHECK_EQUAL(weft_transport_set_marks(t, 1, SIZE_MAX - 1), -EINVAL);
    CHECK_EQUAL(weft_transport_buffered(t), 0);
    CHECK_EQUAL(weft_transport_write(t, "abc", 3), 0);
    CHECK_EQUAL(weft_recv(fds[1], bytes, sizeof bytes, 0), 3);
    weft_transport_close(t);
    yield_until(&is_over, 1);
    weft_transport_put(t);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return arg;
}

static void test_streams_and_transports(void **state)
{
    (void)state;
    run_io(stream_options_main, NULL);
    run_io(stream_limits_main, NULL);
    run_io(stream_lengths_main, NULL);
    run_io(transport_main, NULL);
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void *udp_main(void *arg)
{
    static const struct weft_udp_options odd[] = {
        {.family = 99},       {.family = -1},       {.receive_bytes = -1},
        {.send_bytes = -100}, {.reserved = {[7] = 1}},
    };
    weft_udp *u = NULL;
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        CHECK_EQUAL(weft_udp_open(&odd[i], &u), -EINVAL);
        CHECK(u == NULL);
    }
    struct weft_udp_options here = {.host = "127.0.0.1"};
    struct sockaddr_in own;
    socklen_t bytes = sizeof own;
    static char buf[16];
    CHECK_EQUAL(weft_udp_open(&here, &u), 0);
    CHECK_EQUAL(weft_udp_local(u, (struct sockaddr *)&own, &bytes), 0);
    struct weft_datagram d = {.data = buf, .bytes = 3, .address_bytes = sizeof own};
    memcpy(&d.address, &own, sizeof own);
    CHECK_EQUAL(weft_udp_send_many(u, &d, UINT_MAX), -EINVAL);
    CHECK_EQUAL(weft_udp_send_many(u, &d, (unsigned)INT_MAX + 1), -EINVAL);
    for (size_t i = 0; i < COUNT_OF(too_many); i++) {
        const struct sockaddr *to = (const struct sockaddr *)&own;
        CHECK_EQUAL(weft_udp_send_to(u, buf, too_many[i], to, sizeof own), -EMSGSIZE);
        CHECK_EQUAL(weft_udp_send_to(u, "abc", 3, to, sizeof own), 3);
        CHECK_EQUAL(weft_udp_receive(u, buf, too_many[i]), 3);
        CHECK_EQUAL(weft_udp_send_to(u, "abc", 3, to, sizeof own), 3);
        struct weft_datagram got = {.data = buf, .bytes = too_many[i]};
        CHECK_EQUAL(weft_udp_receive_many(u, &got, 1), 1);
        CHECK_EQUAL(got.length, 3);
        CHECK(!got.is_cut);
    }
    CHECK_EQUAL(weft_udp_set_multicast_hops(u, 256), -EINVAL);
    CHECK_EQUAL(weft_udp_set_multicast_hops(u, UINT_MAX), -EINVAL);
    CHECK_EQUAL(weft_udp_close(u), 0);
    return arg;
}

static void test_datagrams(void **state)
{
    (void)state;
    run_io(udp_main, NULL);
}

/* --- servers and connections ------------------------------------------------------------------ */

static void handle(weft_stream *s, void *arg)
{
    (void)s;
    (void)arg;
}

static void *server_main(void *arg)
{
    static const struct weft_server_options odd[] = {
        {.backlog = -1},
        {.backlog = INT_MIN},
        {.connections_max = SIZE_MAX},
        {.connections_max = (size_t)INT32_MAX + 1},
        {.first_byte_ns = -1},
        {.fd_count = SIZE_MAX},
        {.path_mode = 010000},
        {.stack_bytes = 1},
        {.stack_bytes = SIZE_MAX},
        {.stack_bytes = WEFT_STACK_BYTES_MAX + 1},
        {.stream = {.limit = SIZE_MAX}},
        {.reserved = {[7] = 1}},
    };
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        weft_server *server = NULL;
        CHECK_EQUAL(weft_serve(&odd[i], handle, NULL, &server), -EINVAL);
        CHECK(server == NULL);
    }
    static char path[300] = "unix:";
    memset(path + 5, 'p', sizeof path - 6);
    struct weft_server_options o = {.host = path};
    weft_server *server = NULL;
    weft_stream *s = NULL;
    CHECK_EQUAL(weft_serve(&o, handle, NULL, &server), -ENAMETOOLONG);
    CHECK_EQUAL(weft_open_connection(path, NULL, NULL, &s), -ENAMETOOLONG);
    static const struct weft_connect_options no_time[] = {
        {.delay_ns = -1}, {.delay_ns = INT64_MIN}, {.for_ns = -1}, {.for_ns = INT64_MIN}};
    for (size_t i = 0; i < COUNT_OF(no_time); i++) {
        CHECK_EQUAL(weft_open_connection("127.0.0.1", "1", &no_time[i], &s), -EINVAL);
    }
    return arg;
}

static void test_servers_and_connections(void **state)
{
    (void)state;
    run_io(server_main, NULL);
}

/* --- processes -------------------------------------------------------------------------------- */

static void *process_main(void *arg)
{
    static char *const empty[] = {NULL};
    static char path[] = "/bin/true";
    static char *const run_true[] = {path, NULL};
    static const struct weft_process_fd low = {.fd = 0, .as = 2};
    static const struct weft_process_fd negative = {.fd = 0, .as = INT_MIN};
    static const struct weft_process_fd high = {.fd = 0, .as = WEFT_PROCESS_FD_MAX + 1};
    const struct weft_process_options odd[] = {
        {.argv = NULL},
        {.argv = empty},
        {.argv = run_true, .fds = &low, .fd_count = SIZE_MAX},
        {.argv = run_true, .fds = NULL, .fd_count = 1},
        {.argv = run_true, .fds = &low, .fd_count = 1},
        {.argv = run_true, .fds = &negative, .fd_count = 1},
        {.argv = run_true, .fds = &high, .fd_count = 1},
        {.argv = run_true, .reserved = {[7] = 1}},
    };
    weft_process *p = NULL;
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        CHECK_EQUAL(weft_process_spawn(&odd[i], &p), -EINVAL);
    }
    enum { HUGE_BYTES = 4 * 1024 * 1024 };
    char *huge = malloc(HUGE_BYTES);
    memset(huge, 'h', HUGE_BYTES - 1);
    huge[HUGE_BYTES - 1] = '\0';
    char *const with_huge[] = {run_true[0], huge, NULL};
    struct weft_process_options argument = {.argv = with_huge};
    struct weft_process_options variable = {.argv = run_true, .environment = &with_huge[1]};
    CHECK_EQUAL(weft_process_spawn(&argument, &p), -E2BIG);
    CHECK_EQUAL(weft_process_spawn(&variable, &p), -E2BIG);
    huge[5000] = '\0';
    struct weft_process_options folder = {.argv = run_true, .directory = huge};
    CHECK_EQUAL(weft_process_spawn(&folder, &p), -ENAMETOOLONG);
    CHECK_EQUAL(weft_openat(AT_FDCWD, huge, O_RDONLY, 0), -ENAMETOOLONG);
    CHECK_EQUAL(weft_process_shell(NULL, NULL, &p), -EINVAL);
    CHECK(p == NULL);
    free(huge);
    return arg;
}

static int no_job(const void *in, size_t n, struct weft_process_reply *reply)
{
    (void)in;
    (void)n;
    (void)reply;
    return 0;
}

static void *pool_main(void *arg)
{
    static char name[WEFT_PROCESS_NAME_MAX + 2];
    memset(name, 'j', sizeof name - 1);
    const struct weft_process_pool_options odd[] = {
        {.workers = WEFT_PROCESS_WORKERS_MAX + 1},
        {.workers = UINT_MAX},
        {.initializer = name},
        {.initializer = "job", .initializer_in = name, .initializer_bytes = SIZE_MAX},
        {.initializer = "job", .initializer_in = name, .initializer_bytes = SIZE_MAX / 2 + 1},
        {.reserved = {[3] = 1}},
    };
    weft_process_pool *pool = NULL;
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        CHECK_EQUAL(weft_process_pool_create(&odd[i], &pool), -EINVAL);
        CHECK(pool == NULL);
    }
    CHECK_EQUAL(weft_process_register(name, no_job), -EINVAL);
    CHECK_EQUAL(weft_process_register("", no_job), -EINVAL);
    CHECK_EQUAL(weft_process_pool_create(NULL, &pool), 0);
    CHECK(weft_submit_process(pool, name, NULL, 0) == NULL);
    for (size_t i = 0; i < COUNT_OF(too_many); i++) {
        CHECK(weft_submit_process(pool, "job", name, too_many[i]) == NULL);
    }
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    return arg;
}

static void test_processes(void **state)
{
    (void)state;
    run_io(process_main, NULL);
    run_io(pool_main, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_on_descriptors),
        cmocka_unit_test(test_streams_and_transports),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_servers_and_connections),
        cmocka_unit_test(test_processes),
    };

    weft_process_main(argc, argv);
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
