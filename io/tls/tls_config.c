/* SPDX-License-Identifier: MIT */
/* TLS configurations: which context handshakes get; see tls_context.h. */
#include <errno.h>
#include <stdlib.h>

#include "tls_context.h"

/* Four times what a handshake was measured to take, with P-256 and RSA, whole and resumed:
 * tests/tls/test_tls_handshake.c. Longer chains and keys take more of it. */
#define TLS_STACK_BYTES ((size_t)64 * 1024)

static int upgrade_start(struct weft_stream_upgrade *upgrade, weft_stream *s, bool is_server,
                         const char *host)
{
    weft_tls_config *config = (weft_tls_config *)(void *)upgrade;
    return is_server == upgrade->for_server ? weft_tls_start(s, config, host) : -EINVAL;
}

int weft_tls_config_create(const struct weft_tls_options *options, weft_tls_config **config)
{
    weft_tls_config *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return -ENOMEM;
    }
    int err = weft__tls_context_create(options, &c->context);
    if (err < 0) {
        free(c);
        return err;
    }
    c->upgrade = (struct weft_stream_upgrade){
        .start = upgrade_start,
        .for_server = c->context->options.is_server,
        .stack_bytes = TLS_STACK_BYTES,
    };
    pthread_mutex_init(&c->lock, NULL);
    *config = c;
    return 0;
}

int weft_tls_config_reload(weft_tls_config *config, const struct weft_tls_options *options)
{
    struct tls_context *new;
    bool is_server = options != NULL && options->is_server;
    if (is_server != config->upgrade.for_server) {
        return -EINVAL;
    }
    int err = weft__tls_context_create(options, &new);
    if (err < 0) {
        return err;
    }
    pthread_mutex_lock(&config->lock);
    struct tls_context *old = config->context;
    config->context = new;
    pthread_mutex_unlock(&config->lock);
    weft__tls_context_put(old);
    return 0;
}

void weft_tls_config_destroy(weft_tls_config *config)
{
    if (config != NULL) {
        weft__tls_context_put(config->context);
        pthread_mutex_destroy(&config->lock);
        free(config);
    }
}

struct tls_context *weft__tls_config_context(weft_tls_config *config)
{
    pthread_mutex_lock(&config->lock);
    struct tls_context *c = weft__tls_context_get(config->context);
    pthread_mutex_unlock(&config->lock);
    return c;
}
