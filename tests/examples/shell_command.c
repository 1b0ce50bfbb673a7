/* SPDX-License-Identifier: MIT */
/* A line of shell, what it has written, and how it ended. */
#include <stdio.h>
#include <stdlib.h>

#include <weft/weft.h>

static void *run(void *command)
{
    struct weft_process_options options = {.out = WEFT_PROCESS_PIPE, .err = WEFT_PROCESS_PIPE};
    struct weft_process_output output;
    weft_process *p;
    int err = weft_process_shell(command, &options, &p);
    if (err < 0) {
        return weft_fail(err);
    }
    err = weft_process_communicate(p, NULL, 0, &output);
    weft_process_put(p);
    if (err < 0) {
        return weft_fail(err);
    }
    printf("['%s' exited with %d]\n", (const char *)command, output.status);
    if (output.out_bytes > 0) {
        printf("[stdout]\n%s\n", output.out);
    }
    if (output.err_bytes > 0) {
        printf("[stderr]\n%s\n", output.err);
    }
    weft_process_output_fini(&output);
    return NULL;
}

int main(void)
{
    char command[] = "ls /zzz";
    setenv("LC_ALL", "C", 1); /* what ls says is to be the same everywhere */
    return weft_run(run, command, NULL) < 0;
}
