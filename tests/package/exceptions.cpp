// SPDX-License-Identifier: MIT
// Exceptions stay inside their task: what is being handled when a task suspends is handled still
// when it goes on, whatever others have thrown meanwhile and on whichever worker; a task that is
// begun meanwhile, and may run on its waiter's stack, handles none.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include <weft/weft.h>

enum { TASKS = 40, ROUNDS = 60 };

static long faults_of(weft_task *t)
{
    void *faults = nullptr;
    int err = weft_join(t, &faults);
    return err < 0 ? 1 : static_cast<long>(reinterpret_cast<std::intptr_t>(faults));
}

static void *result(long faults)
{
    return reinterpret_cast<void *>(static_cast<std::intptr_t>(faults));
}

static bool is_handling(const std::string &text)
{
    try {
        std::exception_ptr now = std::current_exception();
        if (!now) {
            return false;
        }
        std::rethrow_exception(now);
    } catch (const std::runtime_error &e) {
        return text == e.what();
    } catch (...) {
        return false;
    }
}

static void suspend(int i)
{
    for (int k = 0; k < 3; k++) {
        weft_yield();
    }
    if (i % 20 == 0) {
        weft_sleep(WEFT_US);
    }
}

// Throws, catches, suspends while it handles, throws again.
static void *throw_and_catch(void *arg)
{
    const std::string text = "of task " + std::to_string(reinterpret_cast<std::uintptr_t>(arg));
    long faults = std::current_exception() != nullptr;
    for (int i = 0; i < ROUNDS; i++) {
        bool is_caught = false;
        try {
            try {
                throw std::runtime_error(text);
            } catch (const std::exception &) {
                suspend(i);
                faults += !is_handling(text);
                throw;
            }
        } catch (const std::exception &e) {
            suspend(i);
            is_caught = text == e.what() && is_handling(text);
        }
        faults += !is_caught || std::current_exception() != nullptr;
    }
    return result(faults);
}

// A child begun in a catch block, awaited there: it has exceptions of its own, and none before.
static void *child(void *depth)
{
    const std::uintptr_t left = reinterpret_cast<std::uintptr_t>(depth);
    const std::string text = "at depth " + std::to_string(left);
    long faults = std::current_exception() != nullptr;
    try {
        throw std::runtime_error(text);
    } catch (const std::exception &) {
        if (left > 0) {
            faults += faults_of(weft_spawn(child, reinterpret_cast<void *>(left - 1)));
        } else {
            weft_yield();
        }
        faults += !is_handling(text);
    }
    return result(faults + (std::current_exception() != nullptr));
}

static void *await_in_catch(void *)
{
    long faults = 0;
    for (std::uintptr_t i = 0; i < ROUNDS; i++) {
        faults += faults_of(weft_spawn(child, reinterpret_cast<void *>(i % 4)));
    }
    return result(faults);
}

// Waits for a child while an exception passes through.
class waits_in_destructor
{
  public:
    explicit waits_in_destructor(long *f) : faults(f)
    {
    }

    ~waits_in_destructor()
    {
        weft_yield();
        *faults += faults_of(weft_spawn(child, nullptr));
    }

  private:
    long *faults;
};

static void *unwind_over_waits(void *)
{
    long faults = 0;
    for (int i = 0; i < ROUNDS; i++) {
        bool is_caught = false;
        try {
            waits_in_destructor outer(&faults);
            waits_in_destructor inner(&faults);
            throw std::runtime_error("passing");
        } catch (const std::runtime_error &e) {
            is_caught = std::string("passing") == e.what();
        }
        faults += !is_caught;
    }
    return result(faults);
}

// An exception that was caught in one task can be thrown in another.
static void *fail(void *arg)
{
    try {
        throw std::runtime_error("handed over");
    } catch (...) {
        weft_yield();
        *static_cast<std::exception_ptr *>(arg) = std::current_exception();
    }
    return nullptr;
}

static void *throw_on(void *)
{
    long faults = 0;
    for (int i = 0; i < ROUNDS; i++) {
        std::exception_ptr caught;
        faults += faults_of(weft_spawn(fail, &caught));
        try {
            std::rethrow_exception(caught);
        } catch (const std::runtime_error &e) {
            faults += std::string("handed over") != e.what();
        }
    }
    return result(faults);
}

static void *start(void *)
{
    static const weft_fn kinds[] = {throw_and_catch, await_in_catch, unwind_over_waits, throw_on};
    weft_task *tasks[TASKS];
    long faults = 0;
    for (std::uintptr_t i = 0; i < TASKS; i++) {
        tasks[i] = weft_spawn(kinds[i % 4], reinterpret_cast<void *>(i));
    }
    try {
        throw std::runtime_error("of the first");
    } catch (const std::exception &) {
        for (weft_task *t : tasks) {
            faults += faults_of(t);
        }
        faults += !is_handling("of the first");
    }
    return result(faults);
}

int main()
{
    static const unsigned workers[] = {1, 2, 4, 16};
    for (unsigned count : workers) {
        weft_options options = weft_options();
        options.workers = count;
        void *faults = nullptr;
        int err = weft_run_with(&options, start, nullptr, &faults);
        if (err < 0 || faults != nullptr) {
            std::fprintf(stderr, "%u workers: error %d, %ld faults\n", count, err,
                         static_cast<long>(reinterpret_cast<std::intptr_t>(faults)));
            return 1;
        }
    }
    return 0;
}
