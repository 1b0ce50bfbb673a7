/* SPDX-License-Identifier: MIT */
/*
 * Requests as Redis clients send them, parsed where they are: words that point into the bytes.
 *
 *     *2\r\n$3\r\nGET\r\n$1\r\na\r\n        an array of strings (RESP2)
 *     GET a\r\n                            or a line, its words between blanks
 *
 * hiredis has a reader for the first kind, made for replies. It wants the bytes copied into a
 * buffer of its own, which it lets grow as long as a string has not come to its end, and takes
 * nested arrays and numbers where Redis takes strings alone; lines it does not know. With functions
 * that make no objects it took 57 ns a request (SET, 16 in a row), the ones below take 17, of the
 * 480 ns that the server takes for all. So: fifty lines, which tests/fuzz breaks its teeth on.
 */
#ifndef WEFT_RESP_REQUEST_H
#define WEFT_RESP_REQUEST_H

#include <stddef.h>
#include <string.h>

#define REQUEST_MAX ((size_t)1024 * 1024) /* bytes of one */
#define REQUEST_LINE_MAX ((size_t)4096)   /* of one that is a line */
#define REQUEST_WORDS_MAX 128             /* in one */
#define REQUEST_DIGITS_MAX 8              /* of a length */

struct word {
    const char *data;
    size_t bytes;
};

struct request {
    struct word words[REQUEST_WORDS_MAX];
    int count;         /* of words; 0: an empty one, which asks for nothing */
    size_t needed;     /* of one that has come in part: so many bytes at least make it whole */
    const char *error; /* of one that breaks the rules, else NULL */
};

static inline size_t request_broken(struct request *r, const char *error)
{
    r->error = error;
    return 0;
}

/* Parse the number after a mark that is at data[at], and the end of its line. Returns where that
 * ends, or 0 as request_parse. */
static inline size_t request_number(struct request *r, const char *data, size_t bytes, size_t at,
                                    size_t *number)
{
    size_t n = 0;
    size_t i = at + 1;
    while (i < bytes && data[i] >= '0' && data[i] <= '9' && i - at <= REQUEST_DIGITS_MAX) {
        n = n * 10 + (size_t)(data[i++] - '0');
    }
    if (i < bytes && (i == at + 1 || data[i] != '\r')) {
        return request_broken(r, "invalid length");
    }
    if (i + 1 < bytes && data[i + 1] != '\n') {
        return request_broken(r, "invalid length");
    }
    *number = n;
    r->needed = i + 2;
    return r->needed <= bytes ? r->needed : 0;
}

/* Parse a word of an array at data[at]. Returns where it ends, or 0 as request_parse. */
static inline size_t request_word(struct request *r, const char *data, size_t bytes, size_t at)
{
    size_t n;
    if (at < bytes && data[at] != '$') {
        return request_broken(r, "expected '$'");
    }
    at = request_number(r, data, bytes, at, &n);
    if (at == 0) {
        return 0;
    }
    r->needed = at + n + 2;
    if (r->needed > REQUEST_MAX) {
        return request_broken(r, "too big");
    }
    if (r->needed > bytes) {
        return 0;
    }
    if (data[at + n] != '\r' || data[at + n + 1] != '\n') {
        return request_broken(r, "a string is longer than its length");
    }
    r->words[r->count++] = (struct word){data + at, n};
    return at + n + 2;
}

static inline size_t request_line(struct request *r, const char *data, size_t bytes)
{
    size_t most = bytes < REQUEST_LINE_MAX ? bytes : REQUEST_LINE_MAX;
    const char *end = memchr(data, '\n', most);
    if (end == NULL) {
        r->needed = bytes + 1;
        return bytes < REQUEST_LINE_MAX ? 0 : request_broken(r, "too long a line");
    }
    for (const char *at = data; at < end;) {
        size_t n = 0;
        while (at + n < end && strchr(" \t\r", at[n]) == NULL) {
            n++;
        }
        if (n > 0 && r->count == REQUEST_WORDS_MAX) {
            return request_broken(r, "too many words");
        }
        if (n > 0) {
            r->words[r->count++] = (struct word){at, n};
        }
        at += n + 1;
    }
    return (size_t)(end - data) + 1;
}

/*
 * Parse the request that begins at data. Returns how many bytes it has; or 0 when it has come in
 * part, and r->needed says how many it takes at least; or 0 and r->error. Nothing is kept between
 * two calls: one that has come in part is parsed from its beginning, with no more than
 * REQUEST_WORDS_MAX steps.
 */
static inline size_t request_parse(struct request *r, const char *data, size_t bytes)
{
    size_t words = 0;
    r->count = 0;
    r->needed = 1;
    r->error = NULL;
    if (bytes == 0) {
        return 0;
    }
    if (data[0] != '*') {
        return request_line(r, data, bytes);
    }
    size_t at = request_number(r, data, bytes, 0, &words);
    if (at > 0 && words > REQUEST_WORDS_MAX) {
        return request_broken(r, "too many words");
    }
    while (at > 0 && words > 0) {
        at = request_word(r, data, bytes, at);
        words--;
    }
    return at;
}

#endif
