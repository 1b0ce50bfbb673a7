// SPDX-License-Identifier: MIT
// The headers are C++ too, and a C++ program runs tasks; an exception crosses a suspension.
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <stdexcept>

#include <weft/weft.h>

static void *twice(void *arg)
{
    try {
        throw std::runtime_error("thrown on a fiber");
    } catch (const std::runtime_error &) {
        weft_yield();
    }
    return reinterpret_cast<void *>(reinterpret_cast<std::intptr_t>(arg) * 2);
}

static int time_out()
{
    weft_scope s;
    WEFT_TIMEOUT_AS(s, WEFT_MS) {
        WEFT_SHIELD WEFT_TIMEOUT(WEFT_MINUTE) {
            (void)weft_yield();
        }
        try {
            WEFT_TIMEOUT(WEFT_MINUTE) {
                throw std::runtime_error("out of a scope");
            }
        } catch (const std::runtime_error &) {
            return weft_sleep(WEFT_MINUTE);
        }
    }
    return 0;
}

static void *start(void *)
{
    if (time_out() != -ETIMEDOUT || weft_deadline() != WEFT_FOREVER) {
        return weft_fail(-EPROTO);
    }
    void *answer = nullptr;
    int err = weft_join(weft_spawn(twice, reinterpret_cast<void *>(21)), &answer);
    return err < 0 ? weft_fail(err) : answer;
}

int main()
{
    void *answer = nullptr;
    int err = weft_version_check();
    if (err == 0) {
        err = weft_run(start, nullptr, &answer);
    }
    if (err < 0) {
        std::fprintf(stderr, "weft: %d\n", err);
        return 1;
    }
    return reinterpret_cast<std::intptr_t>(answer) != 42;
}
