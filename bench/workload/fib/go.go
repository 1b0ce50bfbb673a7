// SPDX-License-Identifier: MIT

// A goroutine a call, and a channel with room for its answer. It does not show Go as one would
// write this: without goroutines below some size.
package main

func fib(n uint64) uint64 {
	if n < 2 {
		return n
	}
	answer := make(chan uint64, 1)
	go func() { answer <- fib(n - 1) }()
	b := fib(n - 2)
	return <-answer + b
}

func round(n uint64) uint64 {
	a, b := uint64(0), uint64(1)
	for i := uint64(0); i < n; i++ {
		a, b = b, a+b
	}
	if fib(n) != a {
		return 0
	}
	return b - 1
}

func main() {
	benchMain(benchSpec{workload: "fib", size: 27, sizeOf: "which number", round: round})
}
