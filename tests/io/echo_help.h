/* SPDX-License-Identifier: MIT */
/*
 * For tests of weft-echo with weft-load or other programs against it: the two, and a folder for
 * sockets and files, which is there while the tests run.
 */
#ifndef WEFT_ECHO_HELP_H
#define WEFT_ECHO_HELP_H

#include "program_help.h"

static struct process server;
static struct process load;
static char folder[] = "/tmp/weft_programs.XXXXXX";
static char path[64]; /* of a Unix socket */
static char address[64];

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return shell("rm -rf %s", folder);
}

/* After each test: whatever one that failed left running. */
static int kill_leftovers(void **state)
{
    (void)state;
    process_kill(&server);
    process_kill(&load);
    return 0;
}

#endif
