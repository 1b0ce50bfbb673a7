// SPDX-License-Identifier: MIT
//
// The frame of a workload's program in C++; bench.h says what a frame does. How threads and tasks
// come about is the program's: bench_main calls the rounds on whatever thread it is called on.
#ifndef WEFT_BENCH_BENCH_H
#define WEFT_BENCH_BENCH_H

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace bench {

using clock = std::chrono::steady_clock;

// What is measured.
struct spec {
    const char *workload;
    const char *implementation;
    uint64_t size;        // --size, when it is not given
    bool is_cold = false; // the first round counts; without it one is run before
};

// The command line.
struct options {
    unsigned workers = std::max(1u, std::thread::hardware_concurrency());
    unsigned rounds = 3;
    uint64_t size = 0;
};

// The rounds so far.
struct run {
    spec what;
    options given;
    int64_t took_ns = -1;                 // set in a round: this is how long it took
    std::vector<int64_t> latencies;       // appended to in a round
    std::map<std::string, double> figures;
    std::vector<double> values;           // ns a unit
};

inline options parse(const spec &what, int argc, char **argv)
{
    options given;
    given.size = what.size;
    for (int i = 1; i < argc; i += 2) {
        char *end = nullptr;
        uint64_t n = i + 1 < argc ? std::strtoull(argv[i + 1], &end, 10) : 0;
        bool is_number = n > 0 && *end == '\0';
        if (is_number && std::strcmp(argv[i], "--workers") == 0) {
            given.workers = static_cast<unsigned>(n);
        } else if (is_number && std::strcmp(argv[i], "--rounds") == 0) {
            given.rounds = static_cast<unsigned>(n);
        } else if (is_number && std::strcmp(argv[i], "--size") == 0) {
            given.size = n;
        } else {
            std::fprintf(stderr, "usage: %s [--workers N] [--rounds N] [--size N]\n", argv[0]);
            std::exit(64);
        }
    }
    return given;
}

// CPU time of the process so far.
inline int64_t cpu_ns()
{
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

// A figure of /proc/self/status, such as VmRSS, in bytes; 0 when it cannot be read.
inline double status_bytes(const std::string &name)
{
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);) {
        if (line.compare(0, name.size() + 1, name + ":") == 0) {
            return std::strtod(line.c_str() + name.size() + 1, nullptr) * 1024;
        }
    }
    return 0;
}

inline void print(run &r)
{
    std::printf("{\"workload\": \"%s\", \"implementation\": \"%s\", \"unit\": \"ns\","
                " \"workers\": %u, \"values\": [", r.what.workload, r.what.implementation,
                r.given.workers);
    for (size_t i = 0; i < r.values.size(); i++) {
        std::printf("%s%.3f", i == 0 ? "" : ", ", r.values[i]);
    }
    std::printf("]");
    if (!r.latencies.empty()) {
        const std::pair<const char *, double> points[] = {
            {"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}};
        std::sort(r.latencies.begin(), r.latencies.end());
        for (const auto &point : points) {
            size_t at = static_cast<size_t>(static_cast<double>(r.latencies.size() - 1) *
                                            point.second);
            std::printf(", \"%s\": %lld", point.first, static_cast<long long>(r.latencies[at]));
        }
    }
    for (const auto &figure : r.figures) {
        std::printf(", \"%s\": %.3f", figure.first.c_str(), figure.second);
    }
    std::printf(", \"cpu_s\": %.3f}\n", static_cast<double>(cpu_ns()) / 1e9);
}

// Run the rounds and print the line. round(run, size) returns how many units it did, or 0 when its
// result was wrong; then the status that is returned is 1.
template <typename Round> int rounds_run(const spec &what, const options &given, Round &&round)
{
    run r{what, given, -1, {}, {}, {}};
    unsigned warmups = what.is_cold ? 0 : 1;
    for (unsigned i = 0; i < warmups + given.rounds; i++) {
        if (i == warmups) {
            r.latencies.clear();
        }
        r.took_ns = -1;
        auto begin = clock::now();
        uint64_t units = round(r, given.size);
        int64_t took_ns = std::chrono::nanoseconds(clock::now() - begin).count();
        if (r.took_ns >= 0) {
            took_ns = r.took_ns;
        }
        if (units == 0) {
            std::fprintf(stderr, "%s: a round gave a wrong result\n", what.workload);
            return 1;
        }
        if (i >= warmups) {
            r.values.push_back(static_cast<double>(took_ns) / static_cast<double>(units));
        }
    }
    print(r);
    return 0;
}

} // namespace bench

#endif
