/* SPDX-License-Identifier: MIT */
/*
 * Calls by name: statx, unlinkat, renameat, mkdirat, linkat, symlinkat.
 *
 * Method: in a folder of the test's own; what they did is looked at with POSIX calls.
 */
#include "file_help.h"

static void make_file(const char *name, const char *text)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, text, strlen(text)), strlen(text));
    CHECK_EQUAL(close(fd), 0);
}

static void *looks(void *arg)
{
    struct statx status = {.stx_size = 77};
    (void)arg;
    make_file("five", "12345");
    CHECK_EQUAL(weft_statx(folder_fd, "five", 0, STATX_BASIC_STATS, &status), 0);
    CHECK_EQUAL(status.stx_size, 5);
    CHECK_EQUAL(status.stx_mode, S_IFREG | 0600);
    CHECK_EQUAL(weft_statx(folder_fd, "none", 0, STATX_SIZE, &status), -ENOENT);
    CHECK_EQUAL(status.stx_size, 5);
    CHECK_EQUAL(weft_statx(folder_fd, "", AT_EMPTY_PATH, STATX_TYPE, &status), 0);
    CHECK_EQUAL(status.stx_mode & S_IFMT, S_IFDIR);
    CHECK_EQUAL(weft_statx(folder_fd, "", 0, STATX_TYPE, &status), -ENOENT);
    CHECK_EQUAL(weft_statx(AT_FDCWD, folder, 0, STATX_TYPE, &status), 0);
    CHECK_EQUAL(weft_statx(folder_fd, "five/x", 0, STATX_TYPE, &status), -ENOTDIR);
    CHECK_EQUAL(weft_statx(folder_fd, NULL, 0, STATX_TYPE, &status), -EFAULT);
    CHECK_EQUAL(weft_statx(folder_fd, "five", 1 << 30, STATX_TYPE, &status), -EINVAL);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "five", 0), 0);
    return NULL;
}

static void statx_tells_what_is_there(void **state)
{
    (void)state;
    run_io(looks, NULL);
}

/* What asks no server is a plain call; it says the same. */
static void *looks_at_known(void *arg)
{
    const int known = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    struct statx status;
    int fds[2];
    (void)arg;
    make_file("five", "12345");
    int fd = weft_openat(folder_fd, "five", O_RDONLY, 0);
    CHECK_EQUAL(weft_statx(fd, "", known, STATX_SIZE, &status), 0);
    CHECK_EQUAL(status.stx_size, 5);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_statx(fd, "", known, STATX_SIZE, &status), -EBADF);
    CHECK_EQUAL(weft_statx(AT_FDCWD, "", known, STATX_TYPE, &status), 0);
    make_pipe(fds);
    CHECK_EQUAL(weft_statx(fds[0], "", known, STATX_TYPE, &status), 0);
    CHECK_EQUAL(status.stx_mode & S_IFMT, S_IFIFO);
    cancel_myself();
    CHECK_EQUAL(weft_statx(fds[0], "", known, STATX_TYPE, &status), -ECANCELED);
    uncancel_myself();
    close_both(fds);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "five", 0), 0);
    return NULL;
}

static void what_is_known_is_told_at_once(void **state)
{
    (void)state;
    run_io(looks_at_known, NULL);
}

static void *names(void *arg)
{
    char text[16] = {0};
    (void)arg;
    make_file("a", "one");
    make_file("b", "three");
    CHECK_EQUAL(weft_renameat(folder_fd, "a", folder_fd, "b"), 0);
    CHECK_EQUAL(size_of("a"), -ENOENT);
    CHECK_EQUAL(size_of("b"), 3);
    CHECK_EQUAL(weft_renameat(folder_fd, "a", folder_fd, "b"), -ENOENT);
    CHECK_EQUAL(weft_linkat(folder_fd, "b", folder_fd, "c", 0), 0);
    CHECK_EQUAL(weft_linkat(folder_fd, "b", folder_fd, "c", 0), -EEXIST);
    CHECK_EQUAL(size_of("c"), 3);
    CHECK_EQUAL(weft_symlinkat("c", folder_fd, "d"), 0);
    CHECK_EQUAL(weft_symlinkat("c", folder_fd, "d"), -EEXIST);
    CHECK_EQUAL(readlinkat(folder_fd, "d", text, sizeof text), 1);
    CHECK_EQUAL(text[0], 'c');
    CHECK_EQUAL(weft_linkat(folder_fd, "d", folder_fd, "e", AT_SYMLINK_FOLLOW), 0);
    CHECK_EQUAL(size_of("e"), 3);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "d", 0), 0);
    CHECK_EQUAL(size_of("d"), -ENOENT);
    CHECK_EQUAL(size_of("c"), 3);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "d", 0), -ENOENT);
    for (const char *name = "bce"; *name != '\0'; name++) {
        CHECK_EQUAL(weft_unlinkat(folder_fd, (char[]){*name, '\0'}, 0), 0);
    }
    return NULL;
}

static void files_have_the_names_they_are_given(void **state)
{
    (void)state;
    run_io(names, NULL);
}

static void *folders(void *arg)
{
    struct stat status;
    (void)arg;
    CHECK_EQUAL(weft_mkdirat(folder_fd, "sub", 0700), 0);
    CHECK_EQUAL(weft_mkdirat(folder_fd, "sub", 0700), -EEXIST);
    CHECK_EQUAL(weft_mkdirat(folder_fd, "none/sub", 0700), -ENOENT);
    CHECK_EQUAL(fstatat(folder_fd, "sub", &status, 0), 0);
    CHECK_EQUAL(status.st_mode, S_IFDIR | 0700);
    int sub = weft_openat(folder_fd, "sub", O_RDONLY | O_DIRECTORY, 0);
    CHECK(sub >= 0);
    make_file("a", "one");
    CHECK_EQUAL(weft_renameat(folder_fd, "a", sub, "b"), 0);
    CHECK_EQUAL(size_of("sub/b"), 3);
    CHECK_EQUAL(weft_linkat(sub, "b", folder_fd, "c", 0), 0);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "sub", AT_REMOVEDIR), -ENOTEMPTY);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "sub", 0), -EISDIR);
    CHECK_EQUAL(weft_unlinkat(sub, "b", AT_REMOVEDIR), -ENOTDIR);
    CHECK_EQUAL(weft_unlinkat(sub, "b", 0), 0);
    CHECK_EQUAL(weft_close(sub), 0);
    CHECK_EQUAL(weft_renameat(folder_fd, "c", sub, "b"), -EBADF);
    CHECK_EQUAL(weft_linkat(sub, "b", folder_fd, "c", 0), -EBADF);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "c", 0), 0);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "sub", AT_REMOVEDIR), 0);
    CHECK_EQUAL(size_of("sub"), -ENOENT);
    return NULL;
}

static void names_move_between_folders(void **state)
{
    (void)state;
    run_io(folders, NULL);
}

#define MANY 200

static void *make_and_remove(void *arg)
{
    char name[16];
    int number = UNBOXED(arg);
    struct statx status;
    snprintf(name, sizeof name, "many%d", number);
    CHECK_EQUAL(weft_mkdirat(folder_fd, name, 0700), 0);
    CHECK_EQUAL(weft_statx(folder_fd, name, 0, STATX_TYPE, &status), 0);
    CHECK_EQUAL(status.stx_mode & S_IFMT, S_IFDIR);
    CHECK_EQUAL(weft_unlinkat(folder_fd, name, AT_REMOVEDIR), 0);
    return NULL;
}

static void *many_at_once(void *arg)
{
    weft_task *t[MANY];
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        t[i] = spawn(make_and_remove, BOXED(i));
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return NULL;
}

static void many_calls_by_name_at_once(void **state)
{
    (void)state;
    run_io(many_at_once, NULL);
}

/* Made or not made: the result says which, whenever the cancel comes. */
static void *make_one(void *name)
{
    return BOXED(weft_mkdirat(folder_fd, name, 0700));
}

static void *cancel_each(void *arg)
{
    uint64_t random = test_seed();
    int made = 0;
    (void)arg;
    for (size_t round = 0; test_goes_on(round, 300); round++) {
        char name[] = "maybe";
        weft_task *t = spawn(make_one, name);
        for (uint64_t k = test_random(&random) % 4; k > 0; k--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        weft_cancel(t);
        int result = joined(t);
        CHECK(result == 0 || result == -ECANCELED);
        CHECK_EQUAL(size_of(name) >= 0, result == 0);
        if (result == 0) {
            made++;
            CHECK_EQUAL(unlinkat(folder_fd, name, AT_REMOVEDIR), 0);
        }
    }
    printf("%d were made\n", made);
    return NULL;
}

static void a_cancelled_call_was_made_or_not(void **state)
{
    (void)state;
    run_io(cancel_each, NULL);
}

/* Before its begin nothing is done; outside a task neither. */
static void *refuses(void *arg)
{
    struct statx status;
    (void)arg;
    make_file("a", "one");
    cancel_myself();
    CHECK_EQUAL(weft_unlinkat(folder_fd, "a", 0), -ECANCELED);
    CHECK_EQUAL(weft_renameat(folder_fd, "a", folder_fd, "b"), -ECANCELED);
    CHECK_EQUAL(weft_linkat(folder_fd, "a", folder_fd, "b", 0), -ECANCELED);
    CHECK_EQUAL(weft_mkdirat(folder_fd, "b", 0700), -ECANCELED);
    CHECK_EQUAL(weft_symlinkat("a", folder_fd, "b"), -ECANCELED);
    CHECK_EQUAL(weft_statx(folder_fd, "a", 0, STATX_SIZE, &status), -ECANCELED);
    uncancel_myself();
    WEFT_TIMEOUT(0) {
        CHECK_EQUAL(weft_unlinkat(folder_fd, "a", 0), -ETIMEDOUT);
    }
    CHECK_EQUAL(size_of("b"), -ENOENT);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "a", 0), 0);
    return NULL;
}

static void what_is_refused_is_not_begun(void **state)
{
    struct statx status;
    (void)state;
    run_io(refuses, NULL);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "a", 0), -EPERM);
    CHECK_EQUAL(weft_renameat(folder_fd, "a", folder_fd, "b"), -EPERM);
    CHECK_EQUAL(weft_linkat(folder_fd, "a", folder_fd, "b", 0), -EPERM);
    CHECK_EQUAL(weft_mkdirat(folder_fd, "b", 0700), -EPERM);
    CHECK_EQUAL(weft_symlinkat("a", folder_fd, "b"), -EPERM);
    CHECK_EQUAL(weft_statx(folder_fd, "a", 0, STATX_SIZE, &status), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statx_tells_what_is_there),
        cmocka_unit_test(what_is_known_is_told_at_once),
        cmocka_unit_test(files_have_the_names_they_are_given),
        cmocka_unit_test(names_move_between_folders),
        cmocka_unit_test(many_calls_by_name_at_once),
        cmocka_unit_test(a_cancelled_call_was_made_or_not),
        cmocka_unit_test(what_is_refused_is_not_begun),
    };
    (void)test_seed();
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
