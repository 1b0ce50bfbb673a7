/* SPDX-License-Identifier: MIT */
/* Text for standard error; see crash_text.h. */
#include "crash_text.h"

#include <errno.h>
#include <unistd.h>

void weft__crash_text_flush(struct crash_text *text)
{
    size_t done = 0;
    while (done < text->bytes) {
        ssize_t n = write(STDERR_FILENO, text->buffer + done, text->bytes - done);
        if (n < 0 && errno != EINTR) {
            break; /* there is nobody else to tell */
        }
        done += n > 0 ? (size_t)n : 0;
    }
    text->bytes = 0;
}

void weft__crash_text_add(struct crash_text *text, const char *string)
{
    while (*string != '\0') {
        if (text->bytes == sizeof text->buffer) {
            weft__crash_text_flush(text);
        }
        text->buffer[text->bytes++] = *string++;
    }
}

static void add_digits(struct crash_text *text, uint64_t number, unsigned base)
{
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    weft__crash_text_add(text, digits + at);
}

void weft__crash_text_number(struct crash_text *text, uint64_t number)
{
    add_digits(text, number, 10);
}

void weft__crash_text_hex(struct crash_text *text, uint64_t number)
{
    weft__crash_text_add(text, "0x");
    add_digits(text, number, 16);
}

void weft__crash_text_us(struct crash_text *text, int64_t ns)
{
    if (ns < 0) {
        weft__crash_text_add(text, "-");
    }
    uint64_t tenths = (ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns) / 100;
    add_digits(text, tenths / 10, 10);
    weft__crash_text_add(text, ".");
    add_digits(text, tenths % 10, 10);
}
