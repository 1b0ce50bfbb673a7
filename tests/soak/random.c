/* SPDX-License-Identifier: MIT */
/* Chance, and contents that can be checked wherever they come out: both follow from a seed. */
#include "soak.h"

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t soak_random(uint64_t *state)
{
    return mix(*state += 0x9e3779b97f4a7c15u);
}

uint64_t soak_below(uint64_t *state, uint64_t n)
{
    return soak_random(state) % n;
}

unsigned char soak_byte(uint64_t seed, uint64_t at)
{
    return (unsigned char)(mix(seed + (at >> 3) * 0x9e3779b97f4a7c15u) >> ((at & 7) * 8));
}

void soak_fill(uint64_t seed, uint64_t at, unsigned char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        data[i] = soak_byte(seed, at + i);
    }
}

bool soak_same(uint64_t seed, uint64_t at, const unsigned char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] != soak_byte(seed, at + i)) {
            return false;
        }
    }
    return true;
}
