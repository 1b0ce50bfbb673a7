// SPDX-License-Identifier: MIT

// 32 goroutines in ReadAt, which occupies a thread for as long as the read takes. It does not show
// reads that follow each other.
package main

import (
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	blockBytes = 4096
	depth      = 32
	// The clock is looked at once in so many reads of a reader.
	readsALook = 16
)

var (
	file   *os.File
	blocks uint64
)

func open() {
	flags := os.O_RDONLY
	if os.Getenv("BENCH_FILE_DIRECT") != "" {
		flags |= syscall.O_DIRECT
	}
	var err error
	if file, err = os.OpenFile(os.Getenv("BENCH_FILE"), flags, 0); err != nil {
		panic(err)
	}
	info, err := file.Stat()
	if err != nil {
		panic(err)
	}
	blocks = uint64(info.Size()) / blockBytes
}

// A buffer that O_DIRECT may read into.
func buffer() []byte {
	room := make([]byte, 2*blockBytes)
	skip := -uintptr(unsafe.Pointer(&room[0])) & (blockBytes - 1)
	return room[skip : skip+blockBytes]
}

func readBlocks(state uint64, end time.Time) (reads uint64, isRight bool) {
	block := buffer()
	for {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		number := state % blocks
		if _, err := file.ReadAt(block, int64(number*blockBytes)); err != nil {
			return reads, false
		}
		if binary.LittleEndian.Uint64(block) != number ||
			binary.LittleEndian.Uint64(block[blockBytes-8:]) != number {
			return reads, false
		}
		reads++
		if reads%readsALook == 0 && !time.Now().Before(end) {
			return reads, true
		}
	}
}

func round(ms uint64) uint64 {
	if file == nil {
		open()
	}
	var all sync.WaitGroup
	var reads, wrong uint64
	cpu, begin := benchCPU(), time.Now()
	end := begin.Add(time.Duration(ms) * time.Millisecond)
	all.Add(depth)
	for i := uint64(1); i <= depth; i++ {
		go func(seed uint64) {
			n, isRight := readBlocks(seed, end)
			atomic.AddUint64(&reads, n)
			if !isRight {
				atomic.AddUint64(&wrong, 1)
			}
			all.Done()
		}(i * 0x9e3779b97f4a7c15)
	}
	all.Wait()
	if wrong > 0 {
		return 0
	}
	benchFigures["reads_per_s"] = float64(reads) / time.Since(begin).Seconds()
	benchFigures["cpu_us_each"] = (benchCPU() - cpu).Seconds() * 1e6 / float64(reads)
	return reads
}

func main() {
	benchMain(benchSpec{workload: "file_read", size: 300, sizeOf: "milliseconds of a round",
		round: round})
}
