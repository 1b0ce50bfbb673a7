/* SPDX-License-Identifier: MIT */
/*
 * The server's side of TLS: a certificate from a file, or one that is made when the server starts.
 *
 * What is made is for tests and for a look: nobody vouches for it, so a client has to be told to
 * trust it (--write-certificate here, --ca there), or to trust anybody. It is for localhost, the
 * loopback addresses and the address that is listened on, and its key is never written anywhere.
 */
#include <stdatomic.h>

#include "echo.h"

#if WEFT_HAVE_TLS

#include "../certificate.h"

/* --- a certificate that is made --------------------------------------------------------------- */

/* The names it is for: as subjectAltName has them. */
static void names_text(const struct echo_options *o, char *text, size_t bytes)
{
    char host[INET6_ADDRSTRLEN];
    int n = snprintf(text, bytes, "DNS:localhost,IP:127.0.0.1,IP:::1");
    if (o->address.storage.ss_family != AF_UNIX &&
        getnameinfo((const struct sockaddr *)&o->address.storage, o->address.bytes, host,
                    sizeof host, NULL, 0, NI_NUMERICHOST) == 0 &&
        strcmp(host, "127.0.0.1") != 0 && strcmp(host, "::1") != 0 && strchr(host, '%') == NULL) {
        snprintf(text + n, bytes - (size_t)n, ",IP:%s", host);
    }
}

/* Make a certificate and its key. Returns whether that succeeded. */
static bool certificate_make(const struct echo_options *o, char chain[static PEM_BYTES],
                             char key_text[static PEM_BYTES])
{
    char names[128];
    names_text(o, names, sizeof names);
    bool is_done = certificate_for("weft-echo", names, chain, key_text);
    if (!is_done) {
        fprintf(stderr, "weft-echo: --tls: OpenSSL could not make a certificate; give one with"
                        " --certificate\n");
    } else if (!o->is_quiet) {
        printf("certificate made for %s\n", names);
    }
    return is_done;
}

/* Write a text to a file. Returns 0, or the error, which it has said. */
static int file_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    int err = f == NULL || fputs(text, f) < 0 ? -errno : 0;
    if (f != NULL && fclose(f) != 0 && err == 0) {
        err = -errno;
    }
    if (err < 0) {
        fprintf(stderr, "weft-echo: --write-certificate %s: %s\n", path, cli_error_text(err));
    }
    return err;
}

/* --- the configuration ------------------------------------------------------------------------ */

/* Say why a certificate is not taken, and what would be. */
static void say_refused(const struct echo_options *o, int err)
{
    const char *why = err == -EBADMSG       ? "there is no certificate, or no key, in it"
                      : err == -EKEYREJECTED ? "the key is another certificate's"
                                             : cli_error_text(err);
    fprintf(stderr, "weft-echo: --certificate %s%s%s: %s\n", o->certificate_file,
            o->key_file != NULL ? " --key " : "", o->key_file != NULL ? o->key_file : "", why);
    fprintf(stderr, "  both are PEM; without these options the server makes one, and so does\n"
                    "  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \\\n"
                    "      -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost \\\n"
                    "      -keyout key.pem -out chain.pem\n");
}

int echo_tls_create(const struct echo_options *o, weft_tls_config **tls)
{
    char chain[PEM_BYTES], key[PEM_BYTES];
    struct weft_tls_certificate own = {.chain_file = o->certificate_file, .key_file = o->key_file};
    if (o->certificate_file == NULL) {
        own = (struct weft_tls_certificate){.chain_pem = chain, .key_pem = key};
        if (!certificate_make(o, chain, key)) {
            return -EPROTO;
        }
        int err = o->certificate_out != NULL ? file_write(o->certificate_out, chain) : 0;
        if (err < 0) {
            return err;
        }
    }
    struct weft_tls_options options = {
        .is_server = true, .certificates = &own, .certificate_count = 1};
    int err = weft_tls_config_create(&options, tls);
    OPENSSL_cleanse(key, sizeof key);
    if (err < 0 && o->certificate_file != NULL) {
        say_refused(o, err);
    } else if (err < 0) {
        fprintf(stderr, "weft-echo: --tls: %s\n", cli_error_text(err));
    }
    return err;
}

void echo_tls_destroy(weft_tls_config *tls)
{
    weft_tls_config_destroy(tls);
}

int echo_tls_accept(weft_stream *s, weft_tls_config *tls)
{
    static _Atomic(bool) is_said;
    int err = weft_tls_start(s, tls, NULL);
    /* ORD none: whether it was said; nothing is published by it. */
    if (err < 0 && err != -ECANCELED &&
        !atomic_exchange_explicit(&is_said, true, memory_order_relaxed)) {
        const char *why = weft_tls_error_string(NULL);
        fprintf(stderr, "weft-echo: a client and the server did not agree on TLS: %s (said once)\n",
                why[0] != '\0' ? why : cli_error_text(err));
    }
    return err;
}

#else

int echo_tls_create(const struct echo_options *o, weft_tls_config **tls)
{
    (void)o;
    *tls = NULL;
    return -ENOTSUP;
}

void echo_tls_destroy(weft_tls_config *tls)
{
    (void)tls;
}

int echo_tls_accept(weft_stream *s, weft_tls_config *tls)
{
    (void)s;
    (void)tls;
    return -ENOTSUP;
}

#endif
