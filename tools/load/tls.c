/* SPDX-License-Identifier: MIT */
/*
 * The client's side of TLS. All connections have one configuration, so that one which is made anew
 * resumes a session that was had before, as a program's connections to its server do.
 *
 * What was agreed on, and why not, is kept of the first handshake of either end: they are all to
 * the same servers, with the same options.
 */
#include <stdatomic.h>

#include "load.h"

#if WEFT_HAVE_TLS

/* Texts that are written once. */
static struct {
    _Atomic(bool) is_taken;
    char text[256];
} agreed, refused;

/* Whether the caller is the first. */
static bool take(_Atomic(bool) *is_taken)
{
    /* ORD none: who is first; the conductor reads the text after it has joined the writer. */
    return !atomic_load_explicit(is_taken, memory_order_relaxed) &&
           !atomic_exchange_explicit(is_taken, true, memory_order_relaxed);
}

int load_tls_create(const struct load_options *o, weft_tls_config **tls)
{
    struct weft_tls_options options = {
        .ca_file = o->ca_file,
        .verify = o->is_insecure ? WEFT_TLS_VERIFY_NONE : WEFT_TLS_VERIFY_DEFAULT,
        .close_at_once = true};
    int err = weft_tls_config_create(&options, tls);
    if (err < 0 && o->ca_file != NULL) {
        fprintf(stderr, "weft-load: --ca %s: %s\n", o->ca_file,
                err == -EBADMSG ? "there is no certificate in it, as PEM" : cli_error_text(err));
    } else if (err < 0) {
        fprintf(stderr, "weft-load: --tls: %s\n", cli_error_text(err));
    }
    return err;
}

void load_tls_destroy(weft_tls_config *tls)
{
    weft_tls_config_destroy(tls);
}

static void keep_agreed(const weft_stream *s)
{
    struct weft_tls_info info;
    if (weft_tls_info(s, &info) == 0 && take(&agreed.is_taken)) {
        snprintf(agreed.text, sizeof agreed.text, "%s, %s, the server is %s", info.version,
                 info.cipher, info.is_verified ? "verified" : "not verified");
    }
}

/* Why not, and what helps. */
static void keep_refused(int err)
{
    const char *why = weft_tls_error_string(NULL);
    if (take(&refused.is_taken)) {
        snprintf(refused.text, sizeof refused.text, "%s%s", why,
                 err == -EKEYREJECTED
                     ? " (--ca FILE: whom to trust; --server-name: whom the certificate is for;"
                       " --insecure: do not verify)"
                     : "");
    }
}

int load_tls_start(const struct load_run *run, weft_stream *s, unsigned target)
{
    const struct load_options *o = run->options;
    const char *host = o->server_name != NULL ? o->server_name : o->hosts[target];
    int err = weft_tls_start(s, run->tls, host);
    if (err == 0) {
        keep_agreed(s);
    } else if (err != -ECANCELED) {
        keep_refused(err);
    }
    return err;
}

const char *load_tls_agreed(void)
{
    return agreed.text;
}

const char *load_tls_refused(void)
{
    return refused.text;
}

#else

int load_tls_create(const struct load_options *o, weft_tls_config **tls)
{
    (void)o;
    *tls = NULL;
    return -ENOTSUP;
}

void load_tls_destroy(weft_tls_config *tls)
{
    (void)tls;
}

int load_tls_start(const struct load_run *run, weft_stream *s, unsigned target)
{
    (void)run;
    (void)s;
    (void)target;
    return -ENOTSUP;
}

const char *load_tls_agreed(void)
{
    return "";
}

const char *load_tls_refused(void)
{
    return "";
}

#endif
