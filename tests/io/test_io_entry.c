/* SPDX-License-Identifier: MIT */
/*
 * What is the same for every call of weft/io.h: where it may be called, a task that was cancelled
 * before, a descriptor that is none.
 *
 * Method: a table of all calls, each of which could be made at once on the descriptors it gets
 * here, and would leave a trace: a byte gone, a file made.
 */
#include "io_help.h"

#include <limits.h>
#include <sys/stat.h>

#define MADE_PATH "test_io_entry.made"

/* The descriptor that a call is to be made on, and what else it needs. */
struct scene {
    int readable[2]; /* a pair; [0] holds bytes to read and can be written to */
    int listener;    /* with a connection to accept */
    struct sockaddr_in address;
    int file;
};

static ssize_t call_read(int fd, struct scene *s)
{
    char c;
    (void)s;
    return weft_read(fd, &c, 1);
}

static ssize_t call_write(int fd, struct scene *s)
{
    (void)s;
    return weft_write(fd, "x", 1);
}

static ssize_t call_readv(int fd, struct scene *s)
{
    char c;
    struct iovec iov = {&c, 1};
    (void)s;
    return weft_readv(fd, &iov, 1);
}

static ssize_t call_writev(int fd, struct scene *s)
{
    static char c = 'x';
    struct iovec iov = {&c, 1};
    (void)s;
    return weft_writev(fd, &iov, 1);
}

static ssize_t call_pread(int fd, struct scene *s)
{
    char c;
    (void)s;
    return weft_pread(fd, &c, 1, 0);
}

static ssize_t call_pwrite(int fd, struct scene *s)
{
    (void)s;
    return weft_pwrite(fd, "x", 1, 0);
}

static ssize_t call_read_full(int fd, struct scene *s)
{
    char c;
    size_t done = 99;
    (void)s;
    int err = weft_read_full(fd, &c, 1, &done);
    CHECK_EQUAL(done, err == 0 ? 1 : 0);
    return err;
}

static ssize_t call_write_full(int fd, struct scene *s)
{
    size_t done = 99;
    (void)s;
    int err = weft_write_full(fd, "x", 1, &done);
    CHECK_EQUAL(done, err == 0 ? 1 : 0);
    return err;
}

static ssize_t call_openat(int fd, struct scene *s)
{
    (void)s;
    return weft_openat(fd, MADE_PATH, O_RDWR | O_CREAT, 0600);
}

static ssize_t call_fsync(int fd, struct scene *s)
{
    (void)s;
    return weft_fsync(fd);
}

static ssize_t call_poll(int fd, struct scene *s)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    (void)s;
    int n = weft_poll(&p, 1);
    return n == 1 && p.revents == POLLNVAL ? -EBADF : n;
}

static ssize_t call_wait_fd(int fd, struct scene *s)
{
    (void)s;
    return weft_wait_fd(fd, POLLIN);
}

static ssize_t call_bind(int fd, struct scene *s)
{
    return weft_bind(fd, any_address(&s->address), sizeof s->address);
}

static ssize_t call_listen(int fd, struct scene *s)
{
    (void)s;
    return weft_listen(fd, 1);
}

static ssize_t call_accept(int fd, struct scene *s)
{
    (void)s;
    return weft_accept(fd, NULL, NULL, 0);
}

static ssize_t call_connect(int fd, struct scene *s)
{
    return weft_connect(fd, any_address(&s->address), sizeof s->address);
}

static ssize_t call_recv(int fd, struct scene *s)
{
    char c;
    (void)s;
    return weft_recv(fd, &c, 1, 0);
}

static ssize_t call_send(int fd, struct scene *s)
{
    (void)s;
    return weft_send(fd, "x", 1, 0);
}

static ssize_t call_recvmsg(int fd, struct scene *s)
{
    char c;
    struct iovec iov = {&c, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    (void)s;
    return weft_recvmsg(fd, &m, 0);
}

static ssize_t call_sendmsg(int fd, struct scene *s)
{
    static char c = 'x';
    struct iovec iov = {&c, 1};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    (void)s;
    return weft_sendmsg(fd, &m, 0);
}

static ssize_t call_shutdown(int fd, struct scene *s)
{
    (void)s;
    return weft_shutdown(fd, SHUT_RD);
}

static ssize_t call_close(int fd, struct scene *s)
{
    (void)s;
    return weft_close(fd);
}

static ssize_t call_socket(int fd, struct scene *s)
{
    (void)fd;
    (void)s;
    return weft_socket(AF_UNIX, SOCK_STREAM, 0);
}

/* What a call is made on. */
enum object { ON_PAIR, ON_LISTENER, ON_FILE, ON_FOLDER, ON_NOTHING };

static const struct {
    const char *name;
    ssize_t (*call)(int fd, struct scene *s);
    enum object on;
    bool goes_on; /* also in a cancelled task */
} calls[] = {
    {"read", call_read, ON_PAIR, false},
    {"write", call_write, ON_PAIR, false},
    {"readv", call_readv, ON_PAIR, false},
    {"writev", call_writev, ON_PAIR, false},
    {"pread", call_pread, ON_FILE, false},
    {"pwrite", call_pwrite, ON_FILE, false},
    {"read_full", call_read_full, ON_PAIR, false},
    {"write_full", call_write_full, ON_PAIR, false},
    {"openat", call_openat, ON_FOLDER, false},
    {"fsync", call_fsync, ON_FILE, false},
    {"poll", call_poll, ON_PAIR, false},
    {"wait_fd", call_wait_fd, ON_PAIR, false},
    {"bind", call_bind, ON_PAIR, false},
    {"listen", call_listen, ON_PAIR, false},
    {"accept", call_accept, ON_LISTENER, false},
    {"connect", call_connect, ON_PAIR, false},
    {"recv", call_recv, ON_PAIR, false},
    {"send", call_send, ON_PAIR, false},
    {"recvmsg", call_recvmsg, ON_PAIR, false},
    {"sendmsg", call_sendmsg, ON_PAIR, false},
    {"socket", call_socket, ON_NOTHING, false},
    {"shutdown", call_shutdown, ON_PAIR, true},
    {"close", call_close, ON_PAIR, true},
};

#define CALLS (sizeof calls / sizeof calls[0])

static int scene_fd(const struct scene *s, enum object on)
{
    switch (on) {
    case ON_PAIR:
        return s->readable[0];
    case ON_LISTENER:
        return s->listener;
    case ON_FILE:
        return s->file;
    case ON_FOLDER:
        return AT_FDCWD;
    case ON_NOTHING:
        break;
    }
    return -1;
}

static void scene_make(struct scene *s, int *client)
{
    socklen_t bytes = sizeof s->address;
    make_pair(s->readable);
    CHECK_EQUAL(write(s->readable[1], "abc", 3), 3);
    FILE *file = tmpfile();
    CHECK(file != NULL);
    s->file = dup(fileno(file));
    fclose(file);
    CHECK_EQUAL(write(s->file, "abc", 3), 3);
    s->address = loopback();
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQUAL(bind(s->listener, any_address(&s->address), bytes), 0);
    CHECK_EQUAL(listen(s->listener, 4), 0);
    CHECK_EQUAL(getsockname(s->listener, any_address(&s->address), &bytes), 0);
    *client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQUAL(connect(*client, any_address(&s->address), bytes), 0);
}

/* Nothing was taken, written, made or accepted; give all back. */
static void scene_check_untouched(struct scene *s, int client)
{
    char buf[8] = {0};
    CHECK_EQUAL(recv(s->readable[0], buf, sizeof buf, MSG_DONTWAIT), 3);
    CHECK_EQUAL(memcmp(buf, "abc", 3), 0);
    CHECK_EQUAL(recv(s->readable[1], buf, sizeof buf, MSG_DONTWAIT), -1);
    CHECK_EQUAL(pread(s->file, buf, sizeof buf, 0), 3);
    CHECK_EQUAL(memcmp(buf, "abc", 3), 0);
    CHECK_EQUAL(access(MADE_PATH, F_OK), -1);
    int accepted = accept(s->listener, NULL, NULL);
    CHECK(accepted >= 0);
    close(accepted);
    close(client);
    close(s->listener);
    close(s->file);
    close_both(s->readable);
}

static void call_all(struct scene *s, int want, bool with_those_that_go_on)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (calls[i].goes_on && !with_those_that_go_on) {
            continue;
        }
        ssize_t got = calls[i].call(scene_fd(s, calls[i].on), s);
        if (got != want) {
            print_error("%s:\n", calls[i].name);
            CHECK_EQUAL(got, want);
        }
    }
}

static void a_plain_thread_is_refused(void **state)
{
    struct scene s;
    int client;
    (void)state;
    scene_make(&s, &client);
    call_all(&s, -EPERM, true);
    scene_check_untouched(&s, client);
}

struct posted {
    struct scene *scene;
    shared_int is_done;
};

static void call_all_in_callback(void *arg)
{
    struct posted *p = arg;
    call_all(p->scene, -EPERM, true);
    atomic_store_seq_cst(&p->is_done, 1);
}

static void *post_calls(void *arg)
{
    struct posted *p = arg;
    CHECK_EQUAL(weft_post(weft_runtime_current(), call_all_in_callback, p), 0);
    yield_until(&p->is_done, 1);
    return NULL;
}

static void a_callback_is_refused(void **state)
{
    struct scene s;
    int client;
    (void)state;
    scene_make(&s, &client);
    struct posted p = {.scene = &s};
    run_io(post_calls, &p);
    scene_check_untouched(&s, client);
}

static void *call_all_cancelled(void *arg)
{
    struct scene *s = arg;
    cancel_myself();
    for (int i = 0; i < 3; i++) { /* and it stays so */
        call_all(s, -ECANCELED, false);
    }
    uncancel_myself();
    char c;
    CHECK_EQUAL(weft_recv(s->readable[0], &c, 1, MSG_PEEK), 1);
    return NULL;
}

static void a_cancelled_task_begins_nothing(void **state)
{
    struct scene s;
    int client;
    (void)state;
    scene_make(&s, &client);
    run_io(call_all_cancelled, &s);
    scene_check_untouched(&s, client);
}

static void *leave_cancelled(void *arg)
{
    int fds[2];
    char c;
    (void)arg;
    make_pair(fds);
    cancel_myself();
    CHECK_EQUAL(weft_shutdown(fds[0], SHUT_WR), 0);
    CHECK_EQUAL(read(fds[1], &c, 1), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[0]), -EBADF);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    uncancel_myself();
    return NULL;
}

static void a_cancelled_task_can_shut_down_and_close(void **state)
{
    (void)state;
    run_io(leave_cancelled, NULL);
}

static void *call_all_badly(void *arg)
{
    struct scene *s = arg;
    int closed = dup(s->file);
    CHECK_EQUAL(close(closed), 0);
    const int bad[] = {-1, -2, INT_MIN, closed, 12345, 1 << 28, INT_MAX};
    for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
        for (size_t i = 0; i < CALLS; i++) {
            if (calls[i].on == ON_NOTHING || (calls[i].call == call_poll && bad[b] < 0)) {
                continue; /* poll passes over negative ones */
            }
            ssize_t got = calls[i].call(bad[b], s);
            if (got != -EBADF) {
                print_error("%s of %d:\n", calls[i].name, bad[b]);
                CHECK_EQUAL(got, -EBADF);
            }
        }
    }
    return NULL;
}

static void a_number_that_is_no_descriptor_is_refused(void **state)
{
    struct scene s;
    int client;
    (void)state;
    scene_make(&s, &client);
    run_io(call_all_badly, &s);
    scene_check_untouched(&s, client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_thread_is_refused),
        cmocka_unit_test(a_callback_is_refused),
        cmocka_unit_test(a_cancelled_task_begins_nothing),
        cmocka_unit_test(a_cancelled_task_can_shut_down_and_close),
        cmocka_unit_test(a_number_that_is_no_descriptor_is_refused),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
