/* SPDX-License-Identifier: MIT */
/* No descriptor is left: calls that make one fail and lose nothing, and go on when there is one. */
#include "file_help.h"

#include <sys/resource.h>

#define LIMIT 256

static int spare[LIMIT];

/* Take all descriptors that are left. Returns how many. */
static int take_all(void)
{
    int count = 0;
    int fd;
    while (count < LIMIT && (fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 0)) >= 0) {
        spare[count++] = fd;
    }
    CHECK_EQUAL(errno_now(), EMFILE);
    return count;
}

static void *without(void *arg)
{
    struct sockaddr_in address;
    struct statx status;
    void *data;
    weft_folder *f;
    char c = 0;
    (void)arg;
    int file = fresh_file();
    CHECK_EQUAL(weft_write(file, "x", 1), 1);
    int listener = make_listener(&address, 4);
    int client = connected_to(&address);
    CHECK_EQUAL(weft_send(client, "y", 1, 0), 1);
    int count = take_all();
    CHECK_EQUAL(weft_openat(folder_fd, "fresh", O_RDONLY, 0), -EMFILE);
    CHECK_EQUAL(weft_openat(folder_fd, "new", O_RDWR | O_CREAT | O_EXCL, 0600), -EMFILE);
    CHECK_EQUAL(size_of("new"), -ENOENT);
    CHECK_EQUAL(weft_socket(AF_INET, SOCK_STREAM, 0), -EMFILE);
    CHECK_EQUAL(weft_accept(listener, NULL, NULL, 0), -EMFILE);
    CHECK_EQUAL(weft_file_read(folder_fd, "fresh", &data, NULL), -EMFILE);
    CHECK_EQUAL(weft_folder_open(folder_fd, ".", &f), -EMFILE);
    /* What needs none goes on. */
    CHECK_EQUAL(weft_statx(folder_fd, "fresh", 0, STATX_SIZE, &status), 0);
    CHECK_EQUAL(weft_pread(file, &c, 1, 0), 1);
    CHECK_EQUAL(weft_fsync(file), 0);
    /* One is free: the connection has waited. */
    CHECK_EQUAL(close(spare[--count]), 0);
    int server = weft_accept(listener, NULL, NULL, 0);
    CHECK(server >= 0);
    CHECK_EQUAL(weft_recv(server, &c, 1, 0), 1);
    CHECK_EQUAL(c, 'y');
    CHECK_EQUAL(weft_close(server), 0);
    int fd = weft_openat(folder_fd, "fresh", O_RDONLY, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_close(fd), 0);
    while (count > 0) {
        CHECK_EQUAL(close(spare[--count]), 0);
    }
    CHECK_EQUAL(weft_close(client), 0);
    CHECK_EQUAL(weft_close(listener), 0);
    CHECK_EQUAL(weft_close(file), 0);
    return NULL;
}

static void without_descriptors_nothing_is_lost(void **state)
{
    struct rlimit limit;
    (void)state;
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = LIMIT;
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    run_io(without, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_descriptors_nothing_is_lost)};
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
