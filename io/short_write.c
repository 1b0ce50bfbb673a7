/* SPDX-License-Identifier: MIT */
/* After a write that came out short; see short_write.h. */
#include "short_write.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weft/scope.h>

#include "op.h"

/* A write of twice as much as there is room for comes out short at this boundary of pages. */
#define TRIAL_BYTES 4096u

/* A file of TRIAL_BYTES that may not grow; < 0: none. */
static int trial_file(void)
{
    int fd = memfd_create("weft-short-write", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (ftruncate(fd, TRIAL_BYTES) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static enum short_write trial_run(void)
{
    static const char zeros[2 * TRIAL_BYTES];
    enum short_write found = SHORT_WRITE_STAYS; /* where it cannot be tried */
    int fd = trial_file();
    if (fd < 0) {
        return found;
    }
    struct op_request r = {
        .code = OP_WRITE,
        .fd = fd,
        .address = zeros,
        .length = sizeof zeros,
        .offset = OP_HERE,
    };
    WEFT_SHIELD {
        if (weft__op_run(&r) > 0 && lseek(fd, 0, SEEK_CUR) > 0) {
            found = SHORT_WRITE_MOVES;
        }
    }
    close(fd);
    return found;
}

static enum short_write *known_here(void)
{
    return &((struct io_poller *)(void *)weft__poller_current())->short_write;
}

void weft__short_write(int fd, size_t n)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))) {
        return;
    }
    if (*known_here() == SHORT_WRITE_UNKNOWN) {
        enum short_write found = trial_run();
        *known_here() = found; /* of the worker that goes on with it, whose kernel is the same */
    }
    if (*known_here() == SHORT_WRITE_STAYS) {
        bool is_appending = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
        (void)lseek(fd, is_appending ? 0 : (off_t)n, is_appending ? SEEK_END : SEEK_CUR);
    }
}
