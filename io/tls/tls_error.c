/* SPDX-License-Identifier: MIT */
/*
 * Errors: what OpenSSL notes on a thread becomes a number and a sentence. It is asked right after
 * the call that failed, before anything that may wait: the task may go on in another thread.
 *
 * A task's last failed handshake is kept in a task local; it is a string of the heap.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <weft/local.h>

#include "tls_context.h"

/* From so many on, a reason is an alert that the peer has sent; there are 256. Those that all parts
 * of OpenSSL have in common are above. */
#define REASON_ALERTS SSL_AD_REASON_OFFSET
#define REASON_ALERTS_END (REASON_ALERTS + 256)

static pthread_once_t last_once = PTHREAD_ONCE_INIT;
static weft_local_t last_reason; /* NULL: there was no memory */

static void last_create(void)
{
    if (weft_local_create_with(&last_reason, free, NULL) < 0) {
        last_reason = NULL;
    }
}

void weft__tls_error_note(const char *reason)
{
    pthread_once(&last_once, last_create);
    char *copy = last_reason != NULL ? strdup(reason) : NULL;
    if (copy != NULL && weft_local_set(last_reason, copy) < 0) {
        free(copy);
    }
}

const char *weft__tls_error_last(void)
{
    pthread_once(&last_once, last_create);
    const char *reason = last_reason != NULL ? weft_local_get(last_reason) : NULL;
    return reason != NULL ? reason : "";
}

/* Whether it was memory that was missing: OpenSSL says so, or had none to say why. What it has
 * noted is gone then. */
static bool is_memory(void)
{
    unsigned long noted = ERR_get_error();
    bool is_short = noted == 0;
    for (; noted != 0; noted = ERR_get_error()) {
        is_short |= ERR_GET_REASON(noted) == ERR_R_MALLOC_FAILURE;
    }
    return is_short;
}

int weft__tls_error_or(int err)
{
    return is_memory() ? -ENOMEM : err;
}

static int certificate_error(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return -EKEYEXPIRED;
    case X509_V_ERR_OUT_OF_MEM:
        return -ENOBUFS; /* the connection is lost all the same */
    default:
        return -EKEYREJECTED;
    }
}

/* The number for what OpenSSL has noted last but one's own certificate checks. */
static int reason_error(unsigned long noted)
{
    int reason = ERR_GET_REASON(noted);
    if (ERR_GET_LIB(noted) != ERR_LIB_SSL) {
        return -EPROTO;
    }
    if (reason >= REASON_ALERTS && reason < REASON_ALERTS_END) {
        return -EACCES;
    }
    return reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ? -EKEYREJECTED : -EPROTO;
}

int weft__tls_error(SSL *ssl, char *reason, size_t bytes)
{
    unsigned long noted = ERR_peek_error(); /* the first: what it all began with */
    long result = SSL_get_verify_result(ssl);
    const char *words = ERR_reason_error_string(noted);
    int err = reason_error(noted);
    if (is_memory()) {
        snprintf(reason, bytes, "%s", "no memory for OpenSSL");
        err = -ENOBUFS; /* the connection is lost all the same */
    } else if (ERR_GET_LIB(noted) == ERR_LIB_SSL &&
        ERR_GET_REASON(noted) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        err = certificate_error(result);
        snprintf(reason, bytes, "certificate verify failed: %s",
                 X509_verify_cert_error_string(result));
    } else {
        snprintf(reason, bytes, "%s%s", err == -EACCES ? "the peer refuses: " : "",
                 words != NULL ? words : "protocol error");
    }
    return err;
}
