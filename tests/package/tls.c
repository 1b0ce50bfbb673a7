/* SPDX-License-Identifier: MIT */
/* An outside program that uses TLS: two ends in memory, one of which says what is no TLS. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

static void *talk(void *arg)
{
    weft_stream *ends[2];
    weft_tls_config *tls = NULL;
    struct weft_tls_options options = {.verify = WEFT_TLS_VERIFY_NONE};
    (void)arg;
    int err = weft_tls_config_create(&options, &tls);
    if (err == 0) {
        err = weft_stream_pair(NULL, ends);
    }
    if (err < 0) {
        return weft_fail(err);
    }
    (void)weft_stream_write(ends[1], "hello, this is no TLS", 21);
    (void)weft_stream_shutdown_write(ends[1]);
    err = weft_tls_start(ends[0], tls, "example.org");
    printf("%d: %s\n", err, weft_tls_error_string(ends[0]));
    (void)weft_stream_close(ends[1]);
    (void)weft_stream_close(ends[0]);
    weft_tls_config_destroy(tls);
    return err == -EPROTO ? NULL : weft_fail(-EBADMSG);
}

int main(void)
{
    int err = weft_run(talk, NULL, NULL);
    if (err < 0) {
        fprintf(stderr, "weft_run: %d\n", err);
    }
    return err < 0;
}
