// SPDX-License-Identifier: MIT
// The headers are C++ too, and a C++ program runs tasks; an exception crosses a suspension.
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

static void *start(void *)
{
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
