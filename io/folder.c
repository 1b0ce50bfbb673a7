/* SPDX-License-Identifier: MIT */
/*
 * Folders; the contract is in weft/file.h.
 *
 * io_uring cannot read a folder. So a thread of the blocking pool does, a block of entries at a
 * time. A walk keeps the folders on the way to where it is open, so that it needs no names of more
 * than one part, and goes on in the right one if they are renamed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/io.h>

#include "blocking.h"
#include "op.h"

/* As glibc's: a call takes 10 us of a folder that is cached, and handing it over as much again.
 * Double is read ahead for nothing by those that look at the first entries only. */
#define FOLDER_BYTES 32768

/* Folders in each other that a walk keeps open. */
#define WALK_DEPTH_MAX 128

struct weft_folder {
    int fd;
    int got; /* bytes in entries, or an error */
    int at;  /* of them used */
    _Alignas(uint64_t) char entries[FOLDER_BYTES];
};

static int folder_open(int dirfd, const char *path, int flags, weft_folder **folder)
{
    *folder = NULL;
    weft_folder *made = malloc(sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    made->got = 0;
    made->at = 0;
    made->fd = weft_openat(dirfd, path, O_RDONLY | O_DIRECTORY | flags, 0);
    if (made->fd < 0) {
        int err = made->fd;
        free(made);
        return err;
    }
    *folder = made;
    return 0;
}

int weft_folder_open(int dirfd, const char *path, weft_folder **folder)
{
    return folder_open(dirfd, path, 0, folder);
}

/* On a thread. */
static void *folder_fill(void *arg)
{
    weft_folder *f = arg;
    long got = syscall(SYS_getdents64, f->fd, f->entries, sizeof f->entries);
    f->got = got < 0 ? -errno : (int)got;
    return NULL;
}

static bool is_itself_or_above(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

int weft_folder_next(weft_folder *folder, struct weft_folder_entry *entry)
{
    for (;;) {
        if (folder->at >= folder->got) {
            folder->at = 0;
            folder->got = 0;
            int err = weft__run_blocking("weft_folder_next", folder_fill, folder, NULL);
            if (err < 0 || folder->got <= 0) {
                return err < 0 ? err : folder->got;
            }
        }
        const struct dirent64 *d =
            (const struct dirent64 *)(const void *)(folder->entries + folder->at);
        folder->at += d->d_reclen;
        if (!is_itself_or_above(d->d_name)) {
            entry->name = d->d_name;
            entry->inode = d->d_ino;
            entry->type = d->d_type;
            return 1;
        }
    }
}

int weft_folder_fd(const weft_folder *folder)
{
    return folder->fd;
}

int weft_folder_close(weft_folder *folder)
{
    if (folder == NULL) {
        return 0;
    }
    int err = weft_close(folder->fd);
    free(folder);
    return err;
}

/* ---- a walk ---- */

struct walk {
    int (*fn)(const struct weft_walk_entry *entry, void *arg);
    void *arg;
    weft_folder *folders[WALK_DEPTH_MAX];
    size_t ends[WALK_DEPTH_MAX]; /* how much of path is that folder's, with a slash */
    unsigned count;
    char *path;
    size_t room;
};

/* Put a name behind the path of the innermost folder. 0 or -ENOMEM. */
static int walk_name(struct walk *w, const char *name)
{
    size_t begin = w->ends[w->count - 1];
    size_t bytes = strlen(name);
    if (begin + bytes + 2 > w->room) { /* a slash, and the zero */
        size_t room = 2 * (begin + bytes + 2);
        char *larger = realloc(w->path, room);
        if (larger == NULL) {
            return -ENOMEM;
        }
        w->path = larger;
        w->room = room;
    }
    memcpy(w->path + begin, name, bytes + 1);
    return 0;
}

static int walk_enter(struct walk *w, int dirfd, const char *name, size_t end)
{
    if (w->count == WALK_DEPTH_MAX) {
        return -ENAMETOOLONG;
    }
    int flags = w->count > 0 ? O_NOFOLLOW : 0;
    int err = folder_open(dirfd, name, flags, &w->folders[w->count]);
    if (err == 0) {
        w->ends[w->count++] = end;
    }
    return err;
}

/* DT_UNKNOWN is what some file systems say. 0 or -errno. */
static int walk_type(int dirfd, struct weft_folder_entry *e)
{
    struct statx status;
    if (e->type != DT_UNKNOWN) {
        return 0;
    }
    int err = weft_statx(dirfd, e->name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status);
    e->type = err < 0 ? DT_UNKNOWN : (unsigned char)IFTODT(status.stx_mode);
    return err;
}

/* One entry. 0 or an error that ends the walk. */
static int walk_entry(struct walk *w, struct weft_folder_entry *e)
{
    int dirfd = w->folders[w->count - 1]->fd;
    size_t begin = w->ends[w->count - 1];
    int err = walk_type(dirfd, e);
    if (err == 0) {
        err = walk_name(w, e->name);
    }
    if (err < 0) {
        return err == -ENOENT ? 0 : err;
    }
    struct weft_walk_entry entry = {
        .path = w->path,
        .name = w->path + begin,
        .dirfd = dirfd,
        .depth = w->count - 1,
        .type = e->type,
    };
    int said = w->fn(&entry, w->arg);
    if (said != 0 || e->type != DT_DIR) {
        return said == WEFT_WALK_SKIP ? 0 : said;
    }
    size_t end = begin + strlen(w->path + begin);
    err = walk_enter(w, dirfd, w->path + begin, end + 1);
    if (err == 0) {
        w->path[end] = '/';
    }
    bool is_other = err == -ENOENT || err == -ENOTDIR || err == -ELOOP; /* by now */
    return is_other ? 0 : err;
}

int weft_walk(int dirfd, const char *path,
              int (*fn)(const struct weft_walk_entry *entry, void *arg), void *arg)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    struct walk *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return -ENOMEM;
    }
    w->fn = fn;
    w->arg = arg;
    int err = walk_enter(w, dirfd, path, 0);
    while (err == 0 && w->count > 0) {
        struct weft_folder_entry e;
        int got = weft_folder_next(w->folders[w->count - 1], &e);
        if (got > 0) {
            err = walk_entry(w, &e);
        } else {
            err = got;
            w->count--;
            (void)weft_folder_close(w->folders[w->count]);
        }
    }
    while (w->count > 0) {
        w->count--;
        (void)weft_folder_close(w->folders[w->count]);
    }
    free(w->path);
    free(w);
    return err;
}
