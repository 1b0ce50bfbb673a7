// SPDX-License-Identifier: MIT

// 100 goroutines in time.Sleep, beside another process that burns CPU, then beside a goroutine that
// does. It does not show several that burn.
package main

import (
	"os"
	"os/exec"
	"sort"
	"sync"
	"time"
)

const (
	sleepers   = 100
	burnFor    = 50 * time.Millisecond
	burnerName = "BENCH_BURNER" // in the environment: burn, and do nothing else
)

var sink uint64

func burn() {
	x := sink
	for end := time.Now().Add(burnFor); time.Now().Before(end); {
		for i := 0; i < 1000; i++ {
			x = x*3 + 1
		}
	}
	sink = x
}

// How late everybody woke until a time, in order; nothing when one woke early.
func sleepAll(end time.Time) []int64 {
	var all sync.WaitGroup
	var lock sync.Mutex
	late := []int64{}
	isEarly := false
	all.Add(sleepers)
	for i := uint64(0); i < sleepers; i++ {
		go func(state uint64) {
			defer all.Done()
			own := []int64{}
			for time.Now().Before(end) {
				state = state*6364136223846793005 + 1442695040888963407
				length := time.Millisecond + time.Duration(state>>33)%(9*time.Millisecond)
				due := time.Now().Add(length)
				time.Sleep(length)
				own = append(own, int64(time.Since(due)))
			}
			lock.Lock()
			defer lock.Unlock()
			for _, ns := range own {
				isEarly = isEarly || ns < 0
			}
			late = append(late, own...)
		}(i)
	}
	all.Wait()
	if isEarly {
		return nil
	}
	sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
	return late
}

func p99(sorted []int64) float64 {
	return float64(sorted[(len(sorted)-1)*99/100])
}

func round(ms uint64) uint64 {
	half := time.Duration(ms) * time.Millisecond
	other := exec.Command("/proc/self/exe")
	other.Env = []string{burnerName + "=1"}
	if err := other.Start(); err != nil {
		panic(err)
	}
	apart := sleepAll(time.Now().Add(half))
	other.Process.Kill()
	other.Wait()

	end, ended := time.Now().Add(half), make(chan bool)
	go func() {
		for time.Now().Before(end) {
			burn()
			time.Sleep(burnFor)
		}
		close(ended)
	}()
	late := sleepAll(end)
	<-ended
	if len(apart) == 0 || len(late) == 0 {
		return 0
	}
	benchTook = 0
	for _, ns := range late {
		benchTook += time.Duration(ns)
	}
	benchLatencies = append(benchLatencies, late...)
	benchFigures["apart_p99"] = p99(apart)
	benchFigures["times_apart"] = p99(late) / p99(apart)
	return uint64(len(late))
}

func main() {
	if os.Getenv(burnerName) != "" {
		for {
			burn()
			time.Sleep(burnFor)
		}
	}
	benchMain(benchSpec{workload: "burner_sleepers", size: 1000,
		sizeOf: "milliseconds of each half of a round", round: round, isCold: true})
}
