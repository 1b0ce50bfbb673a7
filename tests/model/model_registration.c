/* SPDX-License-Identifier: MIT */
/*
 * Registrations: when a descriptor is closed, no epoll instance has it registered any more, and who
 * uses its number next knows that it is another file's.
 *
 * Threads make calls on one descriptor, in which their instance registers it, and close it, as
 * poller_epoll.c and close.c do. What an instance has registered is a plain variable, written by a
 * call, and by the closer's epoll_ctl; the descriptor table orders the two.
 */
#include "explorer/model.h"

#include "atomic.h"

#include <sys/epoll.h>

#define FD 3
#define EPOLL_FDS 100 /* the descriptor of the first instance */
#define INSTANCES 34  /* the first two and the last two share bits */

enum mutant {
    MUTANT_NONE,
    MUTANT_FORGET_EARLY, /* while calls are in */
    MUTANT_NOTE_LATE,    /* after the call */
    MUTANT_SAME_FILE,    /* the closer does not say that it is another file */
};

static enum mutant mutant;

static int model_epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event);
#define epoll_ctl model_epoll_ctl

#define FD_CHUNK 16
#define FD_CHUNKS 4
#include "fd_table.c"
#include "registration.c"

static struct fd_entry entry;
static struct registrations all;
static struct registration records[FD_CHUNK];
static int is_registered[INSTANCES];
static int file; /* which has the number */

static int model_epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
    int instance = epoll_fd - EPOLL_FDS;
    model_assert(what == EPOLL_CTL_DEL && fd == FD && event == NULL);
    model_plain_write(&is_registered[instance]);
    is_registered[instance] = 0;
    return 0;
}

static void setup(void)
{
    memset(&entry, 0, sizeof(entry));
    memset(&all, 0, sizeof(all));
    memset(records, 0, sizeof(records));
    memset(is_registered, 0, sizeof(is_registered));
    file = 0;
    atomic_store_relaxed(&all.chunk[0], records);
    for (int i = 0; i < INSTANCES; i++) {
        (void)weft__registrations_join(&all, EPOLL_FDS + i);
    }
}

/* A call on a worker's instance, which remembers of which file it was told. */
static void call_at(unsigned instance)
{
    struct registration *r = weft__registration_of(&all, FD);
    if (fd_entry_enter(&entry) < 0) {
        return;
    }
    uint32_t files = atomic_load_relaxed(&r->files);
    model_plain_read(&file);
    model_assert(files == (uint32_t)file);
    model_plain_write(&is_registered[instance]);
    is_registered[instance] = 1;
    if (mutant == MUTANT_NOTE_LATE) {
        fd_entry_leave(&entry);
        weft__registration_note(r, instance);
    } else {
        weft__registration_note(r, instance);
        fd_entry_leave(&entry);
    }
}

static void call_first(void)
{
    call_at(1);
}

static void call_last(void)
{
    call_at(INSTANCES - 1);
}

static void close_it(void)
{
    if (mutant == MUTANT_FORGET_EARLY) {
        weft__registration_forget(&all, FD);
    }
    int64_t calls = -EAGAIN;
    model_wait_until((calls = fd_entry_close(&entry)) != -EAGAIN);
    if (calls < 0) {
        return;
    }
    model_wait_until(atomic_load_acquire(&entry.word) == FD_CLOSING);
    fd_entry_end(&entry);
    if (mutant == MUTANT_SAME_FILE) {
        (void)atomic_exchange_acq_rel(&records[FD].watchers, 0);
        memset(is_registered, 0, sizeof(is_registered));
    } else if (mutant != MUTANT_FORGET_EARLY) {
        weft__registration_forget(&all, FD);
    }
    for (int i = 0; i < INSTANCES; i++) {
        model_plain_read(&is_registered[i]);
        model_assert(is_registered[i] == 0);
    }
    model_plain_write(&file);
    file++;
    fd_entry_ended(&entry);
}

static void check(void)
{
    model_assert(atomic_load_relaxed(&entry.word) == 0);
}

static struct model_scenario scenario(const char *name)
{
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {call_first, call_last, close_it},
    };
}

static int run_mutant(enum mutant which, const char *name)
{
    mutant = which;
    struct model_scenario s = scenario(name);
    return model_finds(&s, "");
}

int main(void)
{
    int failed = 0;
    mutant = MUTANT_NONE;
    struct model_scenario s = scenario("registration: two workers, one closer");
    failed += model_run(&s);
    s = scenario("registration: one worker, two closers");
    s.threads[1] = close_it;
    failed += model_run(&s);
    failed += run_mutant(MUTANT_FORGET_EARLY, "registration: forgotten while calls are in");
    failed += run_mutant(MUTANT_NOTE_LATE, "registration: noted after the call");
    failed += run_mutant(MUTANT_SAME_FILE, "registration: the same file for ever");
    return failed == 0 ? 0 : 1;
}
