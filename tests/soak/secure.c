/* SPDX-License-Identifier: MIT */
/*
 * TLS, where it was built: a certificate that is made when the program starts, and a round's
 * configurations for the server and its clients. Without it no server speaks TLS.
 */
#include <errno.h>

#include "soak.h"

#if WEFT_HAVE_TLS

#include "certificate.h"

static char chain[PEM_BYTES];
static char key_text[PEM_BYTES];

bool soak_secure_begin(void)
{
    return certificate_for("weft-soak", "IP:127.0.0.1", chain, key_text);
}

void soak_secure_make(struct soak_round *r)
{
    struct weft_tls_certificate own = {.chain_pem = chain, .key_pem = key_text};
    /* A limit may be over when the process was stopped, which tells nothing: the watchdog sees to
     * a handshake that never ends. */
    struct weft_tls_options server = {.is_server = true,
                                      .certificates = &own,
                                      .certificate_count = 1,
                                      .handshake_ns = WEFT_FOREVER};
    struct weft_tls_options client = {.ca_pem = chain, .handshake_ns = WEFT_FOREVER};
    int err = weft_tls_config_create(&server, &r->tls_server);
    err = err < 0 ? err : weft_tls_config_create(&client, &r->tls_client);
    if (err < 0) {
        soak_broken("round %u: no TLS: %s", r->number, strerrordesc_np(-err));
    }
}

void soak_secure_drop(struct soak_round *r)
{
    weft_tls_config_destroy(r->tls_server);
    weft_tls_config_destroy(r->tls_client);
}

#else

bool soak_secure_begin(void)
{
    return true;
}

void soak_secure_make(struct soak_round *r)
{
    (void)r;
}

void soak_secure_drop(struct soak_round *r)
{
    (void)r;
}

#endif
