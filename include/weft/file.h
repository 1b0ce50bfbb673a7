/* SPDX-License-Identifier: MIT */
/*
 * Files: the rest of the POSIX calls on them, moving bytes between descriptors, and whole files and
 * folders at once. What io.h says of its calls holds here: context, cancel, buffers, errors. There
 * are also weft_read, weft_pread, weft_openat, weft_close and weft_fsync.
 *
 *     char *text;
 *     size_t bytes;
 *     int err = weft_file_read(AT_FDCWD, "/etc/hostname", (void **)&text, &bytes);
 *     if (err == 0) { puts(text); free(text); }
 *
 * A call by name waits for the file system while other tasks run; a server that is away (NFS, FUSE)
 * holds up those who ask it and, up to 256 of them on a worker, nobody else. Such a call cannot be
 * ended: cancelled, it returns when the server has answered.
 */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <fcntl.h> /* AT_FDCWD */
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <weft/base.h>

WEFT_BEGIN_DECLS

struct statx; /* <sys/stat.h>, with _GNU_SOURCE */

/* Read into several buffers at an offset; the file position stays. As weft_pread. */
WEFT_PUBLIC ssize_t weft_preadv(int fd, const struct iovec *iov, int count, off_t offset);

/* Write from several buffers at an offset; the file position stays. As weft_pwrite. */
WEFT_PUBLIC ssize_t weft_pwritev(int fd, const struct iovec *iov, int count, off_t offset);

/* Flush a file's data to its device, and of the metadata what is needed to read them back. */
WEFT_PUBLIC int weft_fdatasync(int fd);

/*
 * Reserve, free or zero room of a file: mode is 0 or FALLOC_FL_... (fallocate(2)).
 * Returns 0; -ENOSPC, -EFBIG, -EOPNOTSUPP (not this file system): how much was done is not told.
 */
WEFT_PUBLIC int weft_fallocate(int fd, int mode, off_t offset, off_t n);

/* Make a file that is open for writing n bytes long; what is new reads as zeros. */
WEFT_PUBLIC int weft_ftruncate(int fd, off_t n);

/*
 * What is known about a file: flags are AT_..., mask is STATX_... (statx(2)). With AT_EMPTY_PATH
 * and AT_STATX_DONT_SYNC, which asks no server, it does not wait.
 * Returns 0 and *status; on an error that is as it was.
 */
WEFT_PUBLIC int weft_statx(int dirfd, const char *path, int flags, unsigned mask,
                           struct statx *status);

/* Remove a name; flags: 0, or AT_REMOVEDIR for an empty folder. */
WEFT_PUBLIC int weft_unlinkat(int dirfd, const char *path, int flags);

/* Give a file another name, replacing what has it. Either name stands for the file at any time. */
WEFT_PUBLIC int weft_renameat(int from_dirfd, const char *from, int to_dirfd, const char *to);

/* Make a folder. */
WEFT_PUBLIC int weft_mkdirat(int dirfd, const char *path, mode_t mode);

/* Give a file one more name; flags: 0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH. */
WEFT_PUBLIC int weft_linkat(int from_dirfd, const char *from, int to_dirfd, const char *to,
                            int flags);

/* Make a symbolic link at `path` that says `target`. */
WEFT_PUBLIC int weft_symlinkat(const char *target, int dirfd, const char *path);

/*
 * Move bytes between two descriptors, one of which is a pipe, without copying them to user space.
 * from_offset, to_offset: as splice(2): NULL for a pipe, and for the file position; else moved on
 * flags: SPLICE_F_...; SPLICE_F_NONBLOCK: -EAGAIN instead of waiting for a pipe
 * Returns how many were moved, up to n; 0: the end of input. -EPIPE: nobody can read what is
 * written any more, also while waiting for input.
 */
WEFT_PUBLIC ssize_t weft_splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t n,
                                unsigned flags);

/* Copy bytes from a pipe to another, and leave them in the first. For the rest as weft_splice. */
WEFT_PUBLIC ssize_t weft_tee(int from, int to, size_t n, unsigned flags);

/*
 * Send up to n bytes of a file to a socket, or to any other descriptor.
 * from: a file that can be read at an offset
 * offset: where to begin; moved on by what was sent, and the file position stays. NULL: from the
 *      file position, which is moved on; nobody else may use it meanwhile
 * Returns how many were sent: n, or fewer when the file ended, or when it was cut short: by an
 * error, a cancel, a deadline, which the next call tells of. What was sent before is in the result,
 * and offset or position stand behind its last byte. -EINVAL, -ESPIPE: `from` has no offsets.
 */
WEFT_PUBLIC ssize_t weft_sendfile(int to, int from, off_t *offset, size_t n);

/*
 * Read a file from its beginning to its end; also one that has no size: of /proc, a FIFO.
 * data: gets the contents, to be freed with free(3), and a zero byte after them
 * bytes: how many they are, without that; may be NULL
 * Returns 0, or the error of an open or a read, or -ENOMEM: then *data is NULL, and *bytes 0.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_file_read(int dirfd, const char *path, void **data,
                                               size_t *bytes);

/*
 * Make a file that holds n bytes, or let one that is there hold those.
 * mode: of a new file, less the process's umask
 * Returns 0, or the error of an open, a write or a close: then the file may hold a part of them.
 */
WEFT_PUBLIC int weft_file_write(int dirfd, const char *path, const void *data, size_t n,
                                mode_t mode);

/* A folder that is being read. */
typedef struct weft_folder weft_folder;

struct weft_folder_entry {
    const char *name;   /* the folder's, until its next call */
    uint64_t inode;
    unsigned char type; /* DT_REG, DT_DIR, ... (<dirent.h>); DT_UNKNOWN: ask weft_statx */
};

/*
 * Open a folder to read its entries; one task at a time.
 * folder: gets it; NULL unless 0 is returned
 * Returns 0, -ENOTDIR and others of an open, -ENOMEM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_folder_open(int dirfd, const char *path, weft_folder **folder);

/*
 * The next entry, in no order, without "." and "..". What is made or removed meanwhile may come or
 * not. The folder is read by a thread of the blocking pool (blocking.h), some hundred entries at a
 * time.
 * Returns 1 and *entry; 0: there are no more; an error, of weft_run_blocking or of getdents(2).
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_folder_next(weft_folder *folder,
                                                 struct weft_folder_entry *entry);

/* Its descriptor, for calls on what is in it. It stays the folder's. */
WEFT_PUBLIC int weft_folder_fd(const weft_folder *folder);

/* Close it and free it; NULL: nothing. Returns as weft_close. */
WEFT_PUBLIC int weft_folder_close(weft_folder *folder);

#define WEFT_WALK_SKIP 1 /* do not go into this folder */

/* What weft_walk finds. */
struct weft_walk_entry {
    const char *path;   /* from where the walk began: "a/b"; until the function returns */
    const char *name;   /* its last part */
    int dirfd;          /* the folder that has it */
    unsigned depth;     /* of entries of the first folder: 0 */
    unsigned char type; /* as in weft_folder_entry, but never DT_UNKNOWN */
};

/*
 * Call fn for everything in a folder and the folders in it: for a folder first, then for what it
 * has. Symbolic links are told, not followed. fn may wait.
 * fn: returns 0 to go on, WEFT_WALK_SKIP, or an error, which ends the walk
 * Returns 0, fn's error, or one of opening and reading folders; folders that were removed meanwhile
 * are no error. -ENAMETOOLONG: more than 128 folders in each other.
 */
WEFT_PUBLIC int weft_walk(int dirfd, const char *path,
                          int (*fn)(const struct weft_walk_entry *entry, void *arg), void *arg);

WEFT_END_DECLS

#endif
