// Command smartbft measures hyperledger-labs/SmartBFT as bench/ledger.ts measures pbft-lite: four validators in processes
// of their own, mutual TLS 1.3 between them, signed entries of 256 bytes that every replica verifies, durable before they
// are acknowledged. It reads one load a line from its standard input and writes one JSON object a line.
package main

import (
	"bufio"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
)

const members = 4

var validators = func() map[uint64]ed25519.PublicKey {
	keys := map[uint64]ed25519.PublicKey{}
	for id := uint64(1); id <= members; id++ {
		keys[id] = seededKey("validator", id).Public().(ed25519.PublicKey)
	}
	return keys
}()

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// load is what one client does: requests of so many entries each, so many under way at once, for so long.
type load struct {
	Outstanding int `json:"outstanding"`
	Entries     int `json:"entries"`
	Ms          int `json:"ms"`
}

// done answers a load, of one client or of all.
type done struct {
	LatenciesMs []float64 `json:"latencies_ms"`
	// When each was acknowledged, milliseconds since 1970.
	Times []float64 `json:"times"`
	// Processor time of the process meanwhile.
	CPUMs  float64 `json:"cpu_ms"`
	Blocks int64   `json:"blocks"`
}

func cpuMs() float64 {
	var usage syscall.Rusage
	fail(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
}

func (r *replica) run(key ed25519.PrivateKey, nonce *uint64, l load) done {
	var lock sync.Mutex
	var clients sync.WaitGroup
	var result done
	before, blocks := cpuMs(), r.blocks.Load()
	until := time.Now().Add(time.Duration(l.Ms) * time.Millisecond)
	for range l.Outstanding {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for time.Now().Before(until) {
				lock.Lock()
				*nonce++
				mine := *nonce
				lock.Unlock()
				request := newRequest(key, mine, uint64(until.Add(10*time.Minute).UnixMilli()), l.Entries)
				start := time.Now()
				fail(r.order(request))
				end := time.Now()
				lock.Lock()
				result.LatenciesMs = append(result.LatenciesMs, float64(end.Sub(start).Nanoseconds())/1e6)
				result.Times = append(result.Times, float64(end.UnixNano())/1e6)
				lock.Unlock()
			}
		}()
	}
	clients.Wait()
	// A member without clients works for the others meanwhile.
	time.Sleep(time.Until(until))
	result.CPUMs, result.Blocks = cpuMs()-before, r.blocks.Load()-blocks
	return result
}

// member is one validator process: address out, addresses in, "ready" out, then loads in and results out.
func member(id uint64, dir string, batch uint64) {
	in := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	l := &link{self: id, peers: map[uint64]chan []byte{}}
	r, err := startReplica(id, dir, batch, l)
	fail(err)
	l.receive = r.receive
	listener, err := l.listen()
	fail(err)
	fail(out.Encode(listener.Addr().String()))
	line, err := in.ReadString('\n')
	fail(err)
	var addresses []string
	fail(json.Unmarshal([]byte(line), &addresses))
	fail(l.connect(addresses))
	for l.connected() < members-1 {
		time.Sleep(time.Millisecond)
	}
	fail(r.engine.Start())
	fail(out.Encode("ready"))
	key := seededKey("client", id)
	nonce := uint64(0)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		var next load
		fail(json.Unmarshal([]byte(line), &next))
		fail(out.Encode(r.run(key, &nonce, next)))
	}
}

type process struct {
	in  *json.Encoder
	out *bufio.Reader
}

func (p process) read(value any) {
	line, err := p.out.ReadString('\n')
	fail(err)
	fail(json.Unmarshal([]byte(line), value))
}

func start(dir string, batch uint64) []process {
	processes := make([]process, members)
	addresses := make([]string, members)
	for i := range processes {
		id := i + 1
		own := filepath.Join(dir, fmt.Sprint(id))
		fail(os.MkdirAll(own, 0o700))
		child := exec.Command(os.Args[0], "-self", fmt.Sprint(id), "-dir", own, "-batch", fmt.Sprint(batch))
		child.Stderr = os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		in, err := child.StdinPipe()
		fail(err)
		out, err := child.StdoutPipe()
		fail(err)
		fail(child.Start())
		processes[i] = process{json.NewEncoder(in), bufio.NewReaderSize(out, 1<<20)}
		processes[i].read(&addresses[i])
	}
	for _, p := range processes {
		fail(p.in.Encode(addresses))
	}
	var ready string
	for _, p := range processes {
		p.read(&ready)
	}
	return processes
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if strings.HasSuffix(module.Path, "/SmartBFT") {
				return module.Version
			}
		}
	}
	return "unknown"
}

func main() {
	self := flag.Uint64("self", 0, "number of the validator to be; 0 starts all four")
	dir := flag.String("dir", "", "folder for logs")
	batch := flag.Uint64("batch", 100, "most requests in a block")
	flag.Parse()
	// Threads are locked for the parent's death signal.
	runtime.LockOSThread()
	if *self > 0 {
		member(*self, *dir, *batch)
		return
	}
	processes := start(*dir, *batch)
	out := json.NewEncoder(os.Stdout)
	fail(out.Encode(map[string]string{"smartbft": version(), "go": runtime.Version()}))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var next load
		fail(json.Unmarshal(lines.Bytes(), &next))
		// Fewer than a member each: one client at the leader, which is the first.
		shares := make([]load, members)
		for i := range shares {
			shares[i] = load{next.Outstanding / members, next.Entries, next.Ms}
		}
		shares[0].Outstanding += next.Outstanding % members
		for i, p := range processes {
			fail(p.in.Encode(shares[i]))
		}
		var all done
		for _, p := range processes {
			var one done
			p.read(&one)
			all.LatenciesMs = append(all.LatenciesMs, one.LatenciesMs...)
			all.Times = append(all.Times, one.Times...)
			all.CPUMs += one.CPUMs
			all.Blocks = one.Blocks
		}
		fail(out.Encode(all))
	}
}
