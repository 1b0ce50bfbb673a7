/* SPDX-License-Identifier: MIT */
/*
 * Certificates and keys in PEM: any text is taken or refused, and nothing of it is kept then. The
 * first byte says what it is given as; a zero parts the chain and the key.
 */
#include "fuzz_help.h"

#include <weft/tls.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input in = {data, bytes};
    uint32_t how = fuzz_byte(&in);
    char *text = calloc(in.bytes + 2, 1); /* the second string ends, too */
    CHECK(text != NULL);
    memcpy(text, in.data, in.bytes);
    struct weft_tls_certificate own = {.chain_pem = text};
    own.key_pem = how % 2 == 0 ? text + strlen(text) + 1 : NULL;
    struct weft_tls_options options = {.is_server = how % 8 < 4};
    if (how % 8 < 6) {
        options.certificates = &own;
        options.certificate_count = 1;
    } else {
        options.ca_pem = text;
    }
    weft_tls_config *config = NULL;
    int err = weft_tls_config_create(&options, &config);
    CHECK(err == 0 || err == -EBADMSG || err == -EKEYREJECTED || err == -EINVAL);
    CHECK_EQUAL(err == 0, config != NULL);
    if (err == 0) {
        weft_tls_config_destroy(config);
    }
    free(text);
    return 0;
}
