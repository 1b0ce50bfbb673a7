/* SPDX-License-Identifier: MIT */
/*
 * The parser of requests of the key-value server (tests/examples/resp_request.h): what it finds is
 * inside the bytes, and is the same when they have come in part before, in whatever part.
 */
#include "fuzz_help.h"

#include "examples/resp_request.h"

/* What is parsed of a part of the bytes: nothing yet, or what is parsed of all. */
static void check_part(const struct request *whole, size_t end, const uint8_t *data, size_t bytes)
{
    struct request r;
    char *part = malloc(bytes + 1); /* of its own, so that reading on is noticed */
    CHECK(part != NULL);
    memcpy(part, data, bytes);
    part = realloc(part, bytes > 0 ? bytes : 1);
    size_t n = request_parse(&r, part, bytes);
    if (n > 0) {
        CHECK_EQUAL(n, end);
        CHECK_EQUAL(r.count, whole->count);
    } else if (r.error != NULL) {
        CHECK_EQUAL(end, 0);
        CHECK(whole->error != NULL);
    } else {
        CHECK(r.needed > bytes);
        CHECK(r.needed <= REQUEST_MAX);
        CHECK(end == 0 || r.needed <= end);
    }
    free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct request r;
    size_t at = 0;
    size_t n;
    do {
        const char *from = (const char *)data + at;
        n = request_parse(&r, from, bytes - at);
        CHECK(n <= bytes - at);
        CHECK(r.count >= 0 && r.count <= REQUEST_WORDS_MAX);
        for (int i = 0; i < (n > 0 ? r.count : 0); i++) {
            CHECK(r.words[i].data >= from && r.words[i].data + r.words[i].bytes <= from + n);
        }
        for (size_t part = 0; part < (n > 0 ? n : bytes - at) && part < 64; part++) {
            check_part(&r, n, data + at, part);
        }
        at += n;
    } while (n > 0);
    return 0;
}
