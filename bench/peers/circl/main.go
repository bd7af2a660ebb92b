// Command circl measures CIRCL's CP-ABE (tkn20) on the operations that bench/abe.ts measures, and prints the
// same rows as JSON. Policies are an AND of n attributes, the message is a 32-byte key, keys and policies are
// parsed before the clock starts, exactly as on the other side.
package main

import (
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cloudflare/circl/abe/cpabe/tkn20"
)

type row struct {
	Suite   string  `json:"suite"`
	Op      string  `json:"op"`
	N       int     `json:"n"`
	Backend string  `json:"backend"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	CPU     float64 `json:"cpu_ms"`
	Runs    int     `json:"runs"`
	Bytes   int     `json:"bytes"`
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

// cpu is the processor time of this process so far, all threads, in milliseconds.
func cpu() float64 {
	var used syscall.Rusage
	must(0, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e6
}

// measure repeats f until the budget is spent, at least five times after one warm-up, and returns one row.
func measure(op string, n int, budget time.Duration, f func() int) row {
	bytes := f()
	var times []float64
	before := cpu()
	for begin := time.Now(); len(times) < 5 || time.Since(begin) < budget; {
		start := time.Now()
		f()
		times = append(times, float64(time.Since(start).Nanoseconds())/1e6)
	}
	used := (cpu() - before) / float64(len(times))
	sort.Float64s(times)
	at := func(q float64) float64 { return times[int(q*float64(len(times)-1))] }
	return row{"abe", op, n, "circl", at(0.5), at(0.95), used, len(times), bytes}
}

func main() {
	sizes := flag.String("n", "1,10,100", "numbers of attributes, comma separated")
	budget := flag.Duration("budget", 2*time.Second, "time for each operation and size")
	flag.Parse()

	var rows []row
	public, secret, err := tkn20.Setup(rand.Reader)
	must(0, err)
	message := make([]byte, 32)
	for _, text := range strings.Split(*sizes, ",") {
		n := must(strconv.Atoi(text))
		values := map[string]string{}
		terms := make([]string, n)
		for i := range terms {
			label := fmt.Sprintf("a%d", i)
			values[label] = "v"
			terms[i] = label + ": v"
		}
		var attributes tkn20.Attributes
		attributes.FromMap(values)
		var policy tkn20.Policy
		must(0, policy.FromString(strings.Join(terms, " and ")))
		key := must(secret.KeyGen(rand.Reader, attributes))
		sealed := must(public.Encrypt(rand.Reader, policy, message))

		rows = append(rows,
			measure("keygen", n, *budget, func() int {
				made := must(secret.KeyGen(rand.Reader, attributes))
				return len(must(made.MarshalBinary()))
			}),
			measure("encrypt", n, *budget, func() int {
				return len(must(public.Encrypt(rand.Reader, policy, message)))
			}),
			measure("decrypt", n, *budget, func() int {
				must(key.Decrypt(sealed))
				return len(sealed)
			}))
	}

	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/cloudflare/circl" {
				version = module.Version
			}
		}
	}
	must(0, json.NewEncoder(os.Stdout).Encode(map[string]any{
		"environment": map[string]any{"go": runtime.Version(), "arch": runtime.GOARCH, "circl": version},
		"rows":        rows,
	}))
}
