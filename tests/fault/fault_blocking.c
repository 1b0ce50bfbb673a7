/* SPDX-License-Identifier: MIT */
/*
 * Jobs on threads, look-ups of names and folders, when there is no thread, no memory or no
 * descriptor: a job has run once, or it has not and its caller is told.
 *
 * Workers: 2 3
 */
#include "fault_help.h"

#include <netdb.h>
#include <sys/stat.h>

static void *count_up(void *arg)
{
    atomic_add_seq_cst((shared_int *)arg, 1);
    return arg;
}

static int run_job(void *arg)
{
    shared_int ran = 0;
    void *result = NULL;
    (void)arg;
    int err = weft_run_blocking(count_up, &ran, &result);
    CHECK_EQUAL(atomic_load_seq_cst(&ran), err == 0);
    CHECK(result == (err == 0 ? (void *)&ran : NULL));
    return err;
}

/* More than one thread takes. */
static int submit_jobs(void *arg)
{
    enum { JOBS = 30 };

    weft_future *jobs[JOBS];
    shared_int ran = 0;
    int ended = 0;
    int err = 0;
    weft_pool *pool = arg;
    struct weft_blocking_options options = {.pool = pool, .name = "count up", .locals = true};
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = i % 2 == 0 ? weft_submit_blocking(pool, count_up, &ran)
                             : weft_submit_blocking_with(&options, count_up, &ran);
        err = first_error(err, NULL_IS_ENOMEM(jobs[i]));
    }
    for (int i = 0; i < JOBS; i++) {
        int e = jobs[i] == NULL ? 0 : weft_join(jobs[i], NULL);
        ended += jobs[i] != NULL && e == 0;
        err = first_error(err, e);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&ran), ended);
    return err;
}

static int use_own_pool(void *arg)
{
    struct weft_pool_options options = {.name = "own", .threads_max = 2};
    weft_pool *pool = NULL;
    (void)arg;
    int err = weft_pool_create(&options, &pool);
    if (err < 0) {
        CHECK(pool == NULL);
        return err;
    }
    err = submit_jobs(pool);
    int closed;
    while ((closed = weft_pool_close(pool)) != 0) {
        CHECK(closed == -EAGAIN || closed == -ENOMEM); /* no thread to wait for it */
        err = first_error(err, closed);
    }
    return err;
}

static int look_up(void *arg)
{
    struct addrinfo *list = NULL;
    char host[64];
    struct sockaddr_in address = loopback();
    (void)arg;
    int err = weft_resolve("localhost", "80", NULL, &list);
    CHECK(err < 0 || list != NULL);
    CHECK(err == 0 || list == NULL);
    weft_resolve_free(list);
    int e = weft_resolve_name((struct sockaddr *)&address, sizeof address, host, sizeof host, NULL,
                              0, NI_NUMERICHOST);
    return first_error(err, e);
}

/* Folders in each other, each with some files. */
enum { FOLDERS = 4, FILES = 3 };
static char tree[FOLDERS][64] = {"/tmp/fault_blocking.XXXXXX"};

/* The same on each machine, and soon read. */
static void tree_make(void)
{
    char path[128];
    CHECK(mkdtemp(tree[0]) != NULL);
    for (int i = 0; i < FOLDERS; i++) {
        if (i > 0) {
            memcpy(tree[i], tree[i - 1], sizeof tree[i]);
            strcat(tree[i], "/in");
            CHECK_EQUAL(mkdir(tree[i], 0700), 0);
        }
        for (int k = 0; k < FILES; k++) {
            snprintf(path, sizeof path, "%.63s/%d", tree[i], k);
            CHECK_EQUAL(mknod(path, S_IFREG | 0600, 0), 0);
        }
    }
}

static void tree_remove(void)
{
    char path[128];
    for (int i = FOLDERS; i-- > 0;) {
        for (int k = 0; k < FILES; k++) {
            snprintf(path, sizeof path, "%.63s/%d", tree[i], k);
            CHECK_EQUAL(unlink(path), 0);
        }
        CHECK_EQUAL(rmdir(tree[i]), 0);
    }
}

static int count_entry(const struct weft_walk_entry *entry, void *arg)
{
    CHECK(entry->path != NULL);
    ++*(int *)arg;
    return 0;
}

static int read_folder(void *arg)
{
    weft_folder *folder = NULL;
    struct weft_folder_entry entry;
    int n = 0;
    (void)arg;
    int err = weft_folder_open(AT_FDCWD, tree[0], &folder);
    CHECK((folder == NULL) == (err < 0));
    while (err == 0 && (err = weft_folder_next(folder, &entry)) > 0) {
        n++;
        err = 0;
    }
    CHECK(err < 0 || n == FILES + 1);
    if (folder != NULL) {
        CHECK_EQUAL(weft_folder_close(folder), 0);
    }
    n = 0;
    int e = weft_walk(AT_FDCWD, tree[0], count_entry, &n);
    CHECK(e < 0 || n == FOLDERS * FILES + FOLDERS - 1);
    return first_error(err, e);
}

static int read_whole(void *arg)
{
    void *data = NULL;
    size_t n = 0;
    (void)arg;
    int err = weft_file_read(AT_FDCWD, "/proc/self/status", &data, &n);
    CHECK((data == NULL) == (err < 0));
    CHECK(err < 0 || n > 100);
    free(data);
    return err;
}

static const struct fault_case cases[] = {
    {"weft_run_blocking", run_job, NULL, {0}},
    {"weft_submit_blocking", submit_jobs, NULL, {0}},
    {"weft_pool_create", use_own_pool, NULL, {0}},
    {"weft_resolve", look_up, NULL, {0}},
    {"weft_folder_next", read_folder, NULL, {0}},
    {"weft_file_read", read_whole, NULL, {0}},
};

static void want_of_memory_and_threads_is_told(void **state)
{
    static const struct fault faults[] = {
        {INJECT_MEMORY, ENOMEM, 1}, {INJECT_MEMORY, ENOMEM, 3},     {INJECT_THREAD, EAGAIN, 1},
        {INJECT_THREAD, EAGAIN, 4}, {INJECT_DESCRIPTOR, EMFILE, 1}, {INJECT_TIMER, EAGAIN, 0},
        {INJECT_MAP, ENOMEM, 2},    {INJECT_SIGNAL, EINVAL, 1},
    };
    (void)state;
    fault_run_fresh(cases, COUNT(cases), faults, COUNT(faults));
}

static void a_name_server_that_fails_is_told_of(void **state)
{
    static const struct fault_case look_ups[] = {
        {"weft_resolve", look_up, NULL, {-EAGAIN, -ENOMEM, -ENOENT, -EIO}},
    };
    static const struct fault faults[] = {
        {INJECT_RESOLVE, -EAI_AGAIN, 1},
        {INJECT_RESOLVE, -EAI_MEMORY, 1},
        {INJECT_RESOLVE, -EAI_FAIL, 1},
    };
    (void)state;
    fault_run(look_ups, COUNT(look_ups), faults, COUNT(faults));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(want_of_memory_and_threads_is_told),
        cmocka_unit_test(a_name_server_that_fails_is_told_of),
    };
    fault_begin();
    tree_make();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tree_remove();
    return failed;
}
