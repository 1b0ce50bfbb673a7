/* SPDX-License-Identifier: MIT */
/*
 * A small generator of random numbers for one owner (splitmix64): victims of a steal, pivots.
 *
 * One addition and two multiplications a number; any seed will do, also 0. Its stream passes the
 * usual batteries of tests, but it can be predicted from one output: it is not for secrets.
 */
#ifndef WEFT_RNG_H
#define WEFT_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state; /* its owner's */
};

static inline uint64_t rng_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The seed is mixed, since seeds that differ by the step of the state give the same stream. */
static inline void rng_init(struct rng *r, uint64_t seed)
{
    r->state = rng_mix(seed + 0x9e3779b97f4a7c15u);
}

static inline uint64_t rng_next(struct rng *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    return rng_mix(r->state);
}

/*
 * A number below n, which is not 0. No division: the upper half of a product. No value is more
 * likely than another by more than n parts in 2^32.
 */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)(((rng_next(r) >> 32) * n) >> 32);
}

#endif
