// SPDX-License-Identifier: MIT

// The frame of a workload's program in Go; bench.h says what a frame does. The garbage collector
// and everything else of the runtime have their defaults.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
)

// What is measured.
type benchSpec struct {
	workload string
	size     uint64 // --size, when it is not given
	sizeOf   string // what it counts
	// One round. Returns how many units it did, or 0 when its result was wrong.
	round  func(size uint64) uint64
	isCold bool // the first round counts; without it one is run before
}

var (
	benchWorkers   int
	benchTook      time.Duration // set in a round: this is how long it took
	benchLatencies []int64       // appended to in a round
	benchFigures   = map[string]float64{}
	benchBefore    map[string]float64
)

func benchMain(spec benchSpec) {
	flag.IntVar(&benchWorkers, "workers", runtime.NumCPU(), "threads that run goroutines")
	rounds := flag.Int("rounds", 3, "rounds that count")
	size := flag.Uint64("size", spec.size, spec.sizeOf)
	flag.Parse()
	if flag.NArg() > 0 || benchWorkers < 1 || *rounds < 1 {
		flag.Usage()
		os.Exit(64)
	}
	runtime.GOMAXPROCS(benchWorkers)
	warmups := 1
	if spec.isCold {
		warmups = 0
	}
	values := []float64{}
	for i := 0; i < warmups+*rounds; i++ {
		if i == warmups {
			benchLatencies = benchLatencies[:0]
		}
		benchTook = -1
		begin := time.Now()
		units := spec.round(*size)
		took := time.Since(begin)
		if benchTook >= 0 {
			took = benchTook
		}
		if units == 0 {
			fmt.Fprintf(os.Stderr, "%s: a round gave a wrong result\n", spec.workload)
			os.Exit(1)
		}
		if i >= warmups {
			values = append(values, float64(took.Nanoseconds())/float64(units))
		}
	}
	benchPrint(spec.workload, values)
}

func benchPrint(workload string, values []float64) {
	line := map[string]any{"workload": workload, "implementation": "go", "unit": "ns",
		"workers": benchWorkers, "values": values}
	for key, value := range benchFigures {
		line[key] = value
	}
	if n := len(benchLatencies); n > 0 {
		sort.Slice(benchLatencies, func(i, j int) bool { return benchLatencies[i] < benchLatencies[j] })
		for key, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "p999": 0.999} {
			line[key] = benchLatencies[int(float64(n-1)*share)]
		}
	}
	line["cpu_s"] = benchCPU().Seconds()
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

// CPU time of the process so far.
func benchCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// A figure of /proc/self/status, such as VmRSS, in bytes.
func benchStatus(name string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	var kib float64
	for _, line := range strings.Split(string(text), "\n") {
		if len(line) > len(name) && line[:len(name)+1] == name+":" {
			fmt.Sscan(line[len(name)+1:], &kib)
		}
	}
	return kib * 1024
}

// Notes how much memory there is at most until what it returns is called; what is more than at the
// begin of the first round becomes the figures rss_each and page_tables_each of so many units.
func benchWatch(units uint64) (end func()) {
	keys := map[string]string{"rss_each": "VmRSS", "page_tables_each": "VmPTE"}
	most := map[string]float64{}
	look := func() {
		for key, name := range keys {
			now := benchStatus(name)
			if now > most[key] {
				most[key] = now
			}
		}
	}
	look()
	if benchBefore == nil {
		benchBefore = map[string]float64{}
		for key, now := range most {
			benchBefore[key] = now
		}
	}
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				look()
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		for key, now := range most {
			benchFigures[key] = (now - benchBefore[key]) / float64(units)
		}
	}
}
