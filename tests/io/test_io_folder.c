/* SPDX-License-Identifier: MIT */
/* Whole files, the entries of folders, walks. */
#include "file_help.h"

#include <weft/blocking.h>

static void *whole(void *arg)
{
    void *data = NULL;
    size_t bytes = 77;
    size_t n = 300 * 1000;
    char *want = malloc(n);
    (void)arg;
    CHECK(want != NULL);
    pattern_fill(want, 0, n);
    CHECK_EQUAL(weft_file_write(folder_fd, "whole", want, n, 0640), 0);
    CHECK_EQUAL(size_of("whole"), n);
    CHECK_EQUAL(weft_file_read(folder_fd, "whole", &data, &bytes), 0);
    CHECK_EQUAL(bytes, n);
    CHECK_EQUAL(memcmp(data, want, n), 0);
    CHECK_EQUAL(((char *)data)[n], '\0');
    free(data);
    CHECK_EQUAL(weft_file_write(folder_fd, "whole", "short", 5, 0640), 0);
    CHECK_EQUAL(weft_file_read(folder_fd, "whole", &data, NULL), 0);
    assert_string_equal(data, "short");
    free(data);
    CHECK_EQUAL(weft_file_write(folder_fd, "whole", NULL, 0, 0640), 0);
    CHECK_EQUAL(weft_file_read(folder_fd, "whole", &data, &bytes), 0);
    CHECK_EQUAL(bytes, 0);
    free(data);
    CHECK_EQUAL(weft_file_read(AT_FDCWD, "/proc/self/status", &data, &bytes), 0);
    CHECK(bytes > 0 && strstr(data, "Pid:") != NULL);
    CHECK_EQUAL(bytes, strlen(data));
    free(data);
    CHECK_EQUAL(weft_file_read(folder_fd, "none", &data, &bytes), -ENOENT);
    CHECK(data == NULL && bytes == 0);
    CHECK_EQUAL(weft_file_read(folder_fd, ".", &data, &bytes), -EISDIR);
    CHECK(data == NULL);
    CHECK_EQUAL(weft_file_write(folder_fd, ".", "x", 1, 0600), -EISDIR);
    CHECK_EQUAL(weft_file_write(AT_FDCWD, "/dev/full", "x", 1, 0600), -ENOSPC);
    cancel_myself();
    CHECK_EQUAL(weft_file_read(folder_fd, "whole", &data, &bytes), -ECANCELED);
    CHECK_EQUAL(weft_file_write(folder_fd, "whole", "x", 1, 0600), -ECANCELED);
    uncancel_myself();
    CHECK_EQUAL(size_of("whole"), 0);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "whole", 0), 0);
    free(want);
    return NULL;
}

static void files_at_one_go(void **state)
{
    (void)state;
    run_io(whole, NULL);
}

/* A file that grows while it is read: pipes do. */
static void *write_slowly(void *arg)
{
    char block[1000];
    int fd = weft_openat(folder_fd, "fifo", O_WRONLY, 0);
    (void)arg;
    CHECK(fd >= 0);
    for (size_t i = 0; i < 20; i++) {
        pattern_fill(block, i * sizeof block, sizeof block);
        CHECK_EQUAL(weft_write_full(fd, block, sizeof block, NULL), 0);
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void *read_fifo(void *arg)
{
    void *data;
    size_t bytes;
    (void)arg;
    CHECK_EQUAL(mkfifoat(folder_fd, "fifo", 0600), 0);
    weft_task *t = spawn(write_slowly, NULL);
    CHECK_EQUAL(weft_file_read(folder_fd, "fifo", &data, &bytes), 0);
    CHECK_EQUAL(bytes, 20000);
    CHECK(pattern_fits(data, 0, bytes));
    CHECK_EQUAL(weft_join(t, NULL), 0);
    free(data);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "fifo", 0), 0);
    return NULL;
}

static void what_has_no_size_is_read_to_its_end(void **state)
{
    (void)state;
    run_io(read_fifo, NULL);
}

/* As read(2) has it, whether or not somebody comes later. */
static void *read_unwritten(void *arg)
{
    (void)arg;
    CHECK_EQUAL(mkfifoat(folder_fd, "fifo", 0600), 0);
    int fd = openat(folder_fd, "fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQUAL(joined(spawn(read_byte, BOXED(fd))), 0);
    int other = openat(folder_fd, "fifo", O_WRONLY | O_CLOEXEC);
    CHECK(other >= 0);
    weft_task *t = spawn(read_byte, BOXED(fd));
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_write(other, "x", 1), 1);
    CHECK_EQUAL(joined(t), 1);
    t = spawn(read_byte, BOXED(fd));
    settle();
    CHECK_EQUAL(weft_close(other), 0);
    CHECK_EQUAL(joined(t), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "fifo", 0), 0);
    return NULL;
}

static void a_fifo_without_a_writer_is_at_its_end(void **state)
{
    (void)state;
    run_io(read_unwritten, NULL);
}

#define MANY 2000 /* more than one block of entries */

static void *entries(void *arg)
{
    static bool seen[MANY];
    char name[32];
    struct weft_folder_entry e;
    weft_folder *f = NULL;
    int count = 0;
    int got;
    (void)arg;
    memset(seen, 0, sizeof seen);
    CHECK_EQUAL(weft_mkdirat(folder_fd, "many", 0700), 0);
    CHECK_EQUAL(weft_folder_open(folder_fd, "many", &f), 0);
    CHECK_EQUAL(weft_folder_next(f, &e), 0);
    CHECK_EQUAL(weft_folder_close(f), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "many/with-a-name-%d", i);
        CHECK_EQUAL(mknodat(folder_fd, name, S_IFREG | 0600, 0), 0);
    }
    CHECK_EQUAL(weft_folder_open(folder_fd, "many", &f), 0);
    CHECK(weft_folder_fd(f) >= 0);
    while ((got = weft_folder_next(f, &e)) > 0) {
        int number = -1;
        CHECK_EQUAL(sscanf(e.name, "with-a-name-%d", &number), 1);
        CHECK(number >= 0 && number < MANY && !seen[number]);
        CHECK(e.type == DT_REG || e.type == DT_UNKNOWN);
        CHECK(e.inode != 0);
        seen[number] = true;
        count++;
        CHECK_EQUAL(unlinkat(weft_folder_fd(f), e.name, 0), 0);
    }
    CHECK_EQUAL(got, 0);
    CHECK_EQUAL(count, MANY);
    CHECK_EQUAL(weft_folder_next(f, &e), 0); /* it stays at its end */
    cancel_myself();
    CHECK_EQUAL(weft_folder_next(f, &e), -ECANCELED);
    CHECK_EQUAL(weft_folder_close(f), 0);
    uncancel_myself();
    CHECK_EQUAL(weft_unlinkat(folder_fd, "many", AT_REMOVEDIR), 0);
    CHECK_EQUAL(weft_folder_open(folder_fd, "many", &f), -ENOENT);
    CHECK(f == NULL);
    CHECK_EQUAL(weft_folder_open(AT_FDCWD, "/dev/null", &f), -ENOTDIR);
    CHECK_EQUAL(weft_folder_close(NULL), 0);
    return NULL;
}

static void folders_tell_what_they_have(void **state)
{
    (void)state;
    run_io(entries, NULL);
}

/* ---- walks ---- */

struct found {
    char lines[40][32];
    int count;
    const char *skip;
    const char *stop;
    bool removes;
};

static int find(const struct weft_walk_entry *e, void *arg)
{
    struct found *f = arg;
    struct stat status;
    CHECK(f->count < 40);
    CHECK_EQUAL(fstatat(e->dirfd, e->name, &status, AT_SYMLINK_NOFOLLOW), 0);
    CHECK_EQUAL(IFTODT(status.st_mode), e->type);
    snprintf(f->lines[f->count++], 32, "%s %c%u", e->path,
             e->type == DT_DIR ? 'd' : e->type == DT_LNK ? 'l' : '-', e->depth);
    CHECK_EQUAL(weft_yield(), 0);
    if (f->stop != NULL && strcmp(e->name, f->stop) == 0) {
        return -EINTR;
    }
    if (f->removes && e->type == DT_DIR && e->depth == 2) {
        CHECK_EQUAL(unlinkat(e->dirfd, e->name, AT_REMOVEDIR), 0);
    }
    return f->skip != NULL && strcmp(e->name, f->skip) == 0 ? WEFT_WALK_SKIP : 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void check_walk(struct found *f, int count, const char *const *want)
{
    CHECK_EQUAL(weft_walk(folder_fd, "tree", find, f), 0);
    qsort(f->lines, (size_t)f->count, sizeof f->lines[0], by_text);
    CHECK_EQUAL(f->count, count);
    for (int i = 0; i < count; i++) {
        assert_string_equal(f->lines[i], want[i]);
    }
}

static void *walks(void *arg)
{
    static const char *const all[] = {"a d0", "a/b d1", "a/b/c d2", "a/f -1", "g -0", "l l0"};
    static const char *const some[] = {"a d0", "a/b d1", "a/f -1", "g -0", "l l0"};
    struct found f;
    (void)arg;
    CHECK_EQUAL(mkdirat(folder_fd, "tree", 0700), 0);
    CHECK_EQUAL(mkdirat(folder_fd, "tree/a", 0700), 0);
    CHECK_EQUAL(mkdirat(folder_fd, "tree/a/b", 0700), 0);
    CHECK_EQUAL(mkdirat(folder_fd, "tree/a/b/c", 0700), 0);
    CHECK_EQUAL(mknodat(folder_fd, "tree/a/f", S_IFREG | 0600, 0), 0);
    CHECK_EQUAL(mknodat(folder_fd, "tree/g", S_IFREG | 0600, 0), 0);
    CHECK_EQUAL(symlinkat("a", folder_fd, "tree/l"), 0);
    check_walk(memset(&f, 0, sizeof f), 6, all);
    memset(&f, 0, sizeof f);
    f.skip = "b";
    check_walk(&f, 5, some);
    memset(&f, 0, sizeof f);
    f.stop = "b";
    CHECK_EQUAL(weft_walk(folder_fd, "tree", find, &f), -EINTR);
    memset(&f, 0, sizeof f);
    f.removes = true; /* a folder that goes before it is entered */
    check_walk(&f, 6, all);
    CHECK_EQUAL(weft_walk(folder_fd, "none", find, &f), -ENOENT);
    CHECK_EQUAL(weft_walk(folder_fd, "tree/g", find, &f), -ENOTDIR);
    cancel_myself();
    CHECK_EQUAL(weft_walk(folder_fd, "tree", find, &f), -ECANCELED);
    uncancel_myself();
    static const char *const names[] = {"l", "g", "a/f"};
    for (int i = 0; i < 3; i++) {
        char path[16];
        snprintf(path, sizeof path, "tree/%s", names[i]);
        CHECK_EQUAL(unlinkat(folder_fd, path, 0), 0);
    }
    CHECK_EQUAL(unlinkat(folder_fd, "tree/a/b", AT_REMOVEDIR), 0);
    CHECK_EQUAL(unlinkat(folder_fd, "tree/a", AT_REMOVEDIR), 0);
    CHECK_EQUAL(unlinkat(folder_fd, "tree", AT_REMOVEDIR), 0);
    return NULL;
}

static void a_walk_finds_all(void **state)
{
    struct found f = {.count = 0};
    (void)state;
    run_io(walks, NULL);
    CHECK_EQUAL(weft_walk(folder_fd, ".", find, &f), -EPERM);
}

static int count_one(const struct weft_walk_entry *e, void *arg)
{
    (void)e;
    ++*(int *)arg;
    return 0;
}

static void *deep(void *arg)
{
    int count = 0;
    int at = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)arg;
    for (int i = 0; i < 130; i++) {
        CHECK_EQUAL(mkdirat(at, "d", 0700), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(next >= 0);
        close(at);
        at = next;
    }
    close(at);
    CHECK_EQUAL(weft_walk(folder_fd, "d/d/d", count_one, &count), 0);
    CHECK_EQUAL(count, 127);
    count = 0;
    CHECK_EQUAL(weft_walk(folder_fd, "d", count_one, &count), -ENAMETOOLONG);
    return NULL;
}

static void a_walk_has_a_depth(void **state)
{
    (void)state;
    run_io(deep, NULL);
    CHECK_EQUAL(folder_remove(NULL), 0);
    CHECK_EQUAL(folder_make(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_at_one_go),
        cmocka_unit_test(what_has_no_size_is_read_to_its_end),
        cmocka_unit_test(a_fifo_without_a_writer_is_at_its_end),
        cmocka_unit_test(folders_tell_what_they_have),
        cmocka_unit_test(a_walk_finds_all),
        cmocka_unit_test(a_walk_has_a_depth),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
