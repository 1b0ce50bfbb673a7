/* SPDX-License-Identifier: MIT */
/*
 * Goal: a program that is executed beside a runtime gets none of the library's descriptors, whoever
 * starts it and however.
 *
 * Method: with nearly everything in use that has a descriptor, fork and execute this program, which
 * counts those that it has got: only the first three.
 *
 * Workers: 2
 */
#include "stream_help.h"

#include <sys/wait.h>

#define COUNT_ARGUMENT "count-descriptors"

/* In the program that was executed: its status is how many there are beyond the first three. */
static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        int fd = atoi(e->d_name);
        if (e->d_name[0] != '.' && fd > 2 && fd != dirfd(dir)) {
            char link[32];
            char name[256] = "";
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            (void)!readlink(link, name, sizeof name - 1);
            fprintf(stderr, "descriptor %d: %s\n", fd, name);
            count++;
        }
    }
    if (dir == NULL) {
        return 255;
    }
    closedir(dir);
    return count;
}

static int execute(void)
{
    char *argv[] = {(char[]){"self"}, (char[]){COUNT_ARGUMENT}, NULL};
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execv("/proc/self/exe", argv);
        _exit(254);
    }
    CHECK(pid > 0);
    CHECK_EQUAL(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void hold(weft_stream *s, void *arg)
{
    (void)s;
    atomic_add_seq_cst((shared_int *)arg, 1);
    (void)weft_sleep(WEFT_FOREVER);
}

static void ignore_fd(int fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    (void)arg;
}

static void ignore_signal(int signo, void *arg)
{
    (void)signo;
    (void)arg;
}

/* What comes with a message: a descriptor that its sender has not marked. */
static int received_descriptor(void)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    int fds[2];
    int got = -1;
    make_pair(fds);
    control.head = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.head), &fds[0], sizeof(int));
    CHECK_EQUAL(weft_sendmsg(fds[0], &m, 0), 1);
    CHECK_EQUAL(weft_recvmsg(fds[1], &m, 0), 1);
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
    close_both(fds);
    return got;
}

static int answer(const void *in, size_t n, struct weft_process_reply *reply)
{
    return weft_process_reply_add(reply, in, n);
}

static void *all_main(void *arg)
{
    static shared_int connections;
    struct weft_server_options where = {.host = "127.0.0.1"};
    struct weft_process_options pipes = {.in = WEFT_PROCESS_PIPE, .out = WEFT_PROCESS_PIPE};
    char port[16];
    weft_server *server = NULL;
    weft_stream *s = NULL;
    weft_udp *udp = NULL;
    weft_folder *folder = NULL;
    weft_process *child = NULL;
    weft_process_pool *pool = NULL;
    int pair[2];
    atomic_store_seq_cst(&connections, 0);

    CHECK_EQUAL(weft_serve(&where, hold, &connections, &server), 0);
    snprintf(port, sizeof port, "%d", weft_server_port(server));
    CHECK_EQUAL(weft_open_connection("127.0.0.1", port, NULL, &s), 0);
    yield_until(&connections, 1);
    CHECK_EQUAL(weft_udp_open(NULL, &udp), 0);
    CHECK_EQUAL(weft_folder_open(AT_FDCWD, "/proc/self", &folder), 0);
    int file = weft_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0);
    int received = received_descriptor();
    CHECK(file >= 0 && received >= 0);
    CHECK_EQUAL(weft_process_shell("cat", &pipes, &child), 0);
    CHECK_EQUAL(weft_process_pool_create(NULL, &pool), 0);
    weft_future *f = weft_submit_process(pool, "answer", "x", 1);
    CHECK_EQUAL(weft_join(f, NULL), 0);
    CHECK_EQUAL(weft_on_signal(SIGUSR1, ignore_signal, NULL), 0);
    make_pair(pair);
    CHECK_EQUAL(weft_on_fd(pair[0], POLLIN, ignore_fd, NULL), 0);

    CHECK_EQUAL(execute(), 0);

    CHECK_EQUAL(weft_on_fd_remove(pair[0], POLLIN), 1);
    close_both(pair);
    CHECK_EQUAL(weft_on_signal_remove(SIGUSR1, ignore_signal, NULL), 1);
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    CHECK_EQUAL(weft_process_close(child, NULL), 0);
    CHECK_EQUAL(weft_close(received), 0);
    CHECK_EQUAL(weft_close(file), 0);
    CHECK_EQUAL(weft_folder_close(folder), 0);
    CHECK_EQUAL(weft_udp_close(udp), 0);
    CHECK_EQUAL(weft_stream_close(s), 0);
    (void)weft_server_close(server, 0);
    return arg;
}

static void test_no_descriptor_is_handed_on(void **state)
{
    (void)state;
    struct weft_options options = {.debug = true, .crash_report = true};
    run_case_with(&options, all_main, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_descriptor_is_handed_on),
    };

    if (argc == 2 && strcmp(argv[1], COUNT_ARGUMENT) == 0) {
        return count_descriptors();
    }
    (void)weft_process_register("answer", answer);
    if (argc == 1) {
        (void)close_range(3, ~0u, 0); /* what the test was given itself */
        help_limit_time();
    }
    weft_process_main(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
