package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hyperledger-labs/SmartBFT/pkg/api"
	"github.com/hyperledger-labs/SmartBFT/pkg/consensus"
	"github.com/hyperledger-labs/SmartBFT/pkg/types"
	"github.com/hyperledger-labs/SmartBFT/pkg/wal"
	"github.com/hyperledger-labs/SmartBFT/smartbftprotos"
	"google.golang.org/protobuf/proto"
)

// replica is everything that SmartBFT asks of its host: a hash-chained log of blocks in a file that is flushed before
// Deliver returns, because SmartBFT's own log forgets a proposal once it is delivered.
type replica struct {
	id       uint64
	key      ed25519.PrivateKey
	link     *link
	verified verified
	engine   *consensus.Consensus
	file     *os.File
	blocks   atomic.Int64
	// From other members: checked beside the connections, so that no vote waits behind them.
	requests chan []byte

	lock      sync.Mutex
	head      [32]byte
	wait      map[string]chan struct{}
	decisions map[uint64]types.Decision
	latest    types.Decision
	sequence  uint64
	fetched   chan []types.Decision
}

type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(text string, values ...any) {
	fmt.Fprintf(os.Stderr, text+"\n", values...)
}
func (quiet) Panicf(text string, values ...any) { panic(fmt.Sprintf(text, values...)) }

func startReplica(id uint64, dir string, batch uint64, l *link) (*replica, error) {
	log, err := wal.Create(quiet{}, filepath.Join(dir, "wal"), nil)
	if err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(dir, "blocks"))
	if err != nil {
		return nil, err
	}
	r := &replica{
		id:       id,
		key:      seededKey("validator", id),
		link:     l,
		verified: verified{known: map[string]struct{}{}},
		file:     file,
		requests: make(chan []byte, 4096),
		wait:     map[string]chan struct{}{},

		decisions: map[uint64]types.Decision{},
		fetched:   make(chan []types.Decision, members),
	}
	config := types.DefaultConfig
	config.SelfID = id
	config.RequestBatchMaxCount = batch
	// The shortest wait for more requests that it takes; a batch of the full count does not wait.
	config.RequestBatchMaxInterval = time.Millisecond
	config.RequestPoolSize = 20_000
	config.RequestMaxBytes = 1 << 20
	config.IncomingMessageBufferSize = 2_000
	// The lead moves as rarely as on the other side.
	config.LeaderRotation = false
	config.DecisionsPerLeader = 0
	r.engine = &consensus.Consensus{
		Config:             config,
		ViewChangerTicker:  time.NewTicker(time.Second).C,
		Scheduler:          time.NewTicker(time.Second).C,
		Logger:             quiet{},
		Comm:               r,
		Signer:             r,
		MembershipNotifier: r,
		Verifier:           r,
		Application:        r,
		Assembler:          r,
		RequestInspector:   r,
		Synchronizer:       r,
		WAL:                log,
		Metadata:           &smartbftprotos.ViewMetadata{},
	}
	for range runtime.NumCPU() {
		go func() {
			for request := range r.requests {
				_ = r.submit(request)
			}
		}()
	}
	return r, nil
}

var _ api.Comm = (*replica)(nil)

func (r *replica) receive(from uint64, kind byte, body []byte) {
	switch kind {
	case kindRequest:
		r.requests <- body
	case kindFetch:
		r.serve(from, body)
	case kindDecisions:
		r.take(body)
	case kindConsensus:
		message := &smartbftprotos.Message{}
		if proto.Unmarshal(body, message) == nil {
			r.engine.HandleMessage(from, message)
		}
	}
}

// submit refuses what is not signed. A request that waits here already, or was delivered while it was on its way, is as good
// as submitted.
func (r *replica) submit(request []byte) error {
	if err := r.verified.check(request); err != nil {
		return err
	}
	_ = r.engine.SubmitRequest(request)
	return nil
}

// order has a request ordered and returns when this replica has delivered it. It goes to every member, as clients of
// SmartBFT send it: a follower would forward it to the leader only after a time-out.
func (r *replica) order(request []byte) error {
	done := make(chan struct{})
	r.lock.Lock()
	r.wait[string(request[:nonceEnd])] = done
	r.lock.Unlock()
	for peer := uint64(1); peer <= members; peer++ {
		if peer != r.id {
			r.link.send(peer, kindRequest, request)
		}
	}
	if err := r.submit(request); err != nil {
		return err
	}
	<-done
	return nil
}

// Comm

func (r *replica) SendConsensus(target uint64, message *smartbftprotos.Message) {
	body, err := proto.Marshal(message)
	if err != nil {
		panic(err)
	}
	r.link.send(target, kindConsensus, body)
}

func (r *replica) SendTransaction(target uint64, request []byte) {
	r.link.send(target, kindRequest, request)
}

func (r *replica) Nodes() []uint64 {
	nodes := make([]uint64, members)
	for i := range nodes {
		nodes[i] = uint64(i + 1)
	}
	return nodes
}

// Assembler and application. Header: u64 sequence | parent's hash | hash of the payload.

func header(sequence uint64, parent [32]byte, payload []byte) []byte {
	hash := sha256.Sum256(payload)
	out := binary.BigEndian.AppendUint64(make([]byte, 0, 72), sequence)
	return append(append(out, parent[:]...), hash[:]...)
}

func sequenceOf(metadata []byte) (uint64, error) {
	decoded := &smartbftprotos.ViewMetadata{}
	if err := proto.Unmarshal(metadata, decoded); err != nil {
		return 0, err
	}
	return decoded.LatestSequence, nil
}

func (r *replica) AssembleProposal(metadata []byte, requests [][]byte) types.Proposal {
	sequence, err := sequenceOf(metadata)
	if err != nil {
		panic(err)
	}
	payload := encodeBatch(requests)
	r.lock.Lock()
	defer r.lock.Unlock()
	return types.Proposal{Header: header(sequence, r.head, payload), Payload: payload, Metadata: metadata}
}

func (r *replica) Deliver(proposal types.Proposal, signatures []types.Signature) types.Reconfig {
	requests, err := decodeBatch(proposal.Payload)
	if err != nil {
		panic(err)
	}
	block := make([]byte, 0, len(proposal.Payload)+1024)
	for _, part := range [][]byte{proposal.Header, proposal.Metadata, proposal.Payload} {
		block = append(binary.BigEndian.AppendUint32(block, uint32(len(part))), part...)
	}
	for _, signature := range signatures {
		block = append(append(binary.BigEndian.AppendUint64(block, signature.ID), signature.Value...), signature.Msg...)
	}
	if _, err := r.file.Write(block); err != nil {
		panic(err)
	}
	if err := r.file.Sync(); err != nil {
		panic(err)
	}
	r.verified.forget(requests)
	r.lock.Lock()
	defer r.lock.Unlock()
	r.head = sha256.Sum256(proposal.Header)
	r.sequence = binary.BigEndian.Uint64(proposal.Header)
	r.latest = types.Decision{Proposal: proposal, Signatures: signatures}
	r.decisions[r.sequence] = r.latest
	delete(r.decisions, r.sequence-decisionsKept)
	r.blocks.Add(1)
	for _, request := range requests {
		name := string(request[:nonceEnd])
		if done, ok := r.wait[name]; ok {
			delete(r.wait, name)
			close(done)
		}
	}
	return types.Reconfig{}
}

func (r *replica) MembershipChange() bool { return false }

// Signer and verifier. What a member signs of a proposal: its digest, then SmartBFT's own data.

func (r *replica) Sign(message []byte) []byte { return ed25519.Sign(r.key, message) }

func (r *replica) SignProposal(proposal types.Proposal, auxiliary []byte) *types.Signature {
	message := append([]byte(proposal.Digest()), auxiliary...)
	return &types.Signature{ID: r.id, Msg: message, Value: r.Sign(message)}
}

const digestBytes = 2 * sha256.Size

func (r *replica) AuxiliaryData(message []byte) []byte {
	if len(message) < digestBytes {
		return nil
	}
	return message[digestBytes:]
}

var errSignature = errors.New("not the member's signature")

func (r *replica) VerifySignature(signature types.Signature) error {
	if !ed25519.Verify(validators[signature.ID], signature.Msg, signature.Value) {
		return errSignature
	}
	return nil
}

func (r *replica) VerifyConsenterSig(signature types.Signature, proposal types.Proposal) ([]byte, error) {
	if !bytes.HasPrefix(signature.Msg, []byte(proposal.Digest())) {
		return nil, errSignature
	}
	return r.AuxiliaryData(signature.Msg), r.VerifySignature(signature)
}

func (r *replica) VerifyProposal(proposal types.Proposal) ([]types.RequestInfo, error) {
	sequence, err := sequenceOf(proposal.Metadata)
	if err != nil {
		return nil, err
	}
	r.lock.Lock()
	expected := header(sequence, r.head, proposal.Payload)
	r.lock.Unlock()
	if !bytes.Equal(proposal.Header, expected) {
		return nil, errors.New("not the child of the last block")
	}
	requests, err := decodeBatch(proposal.Payload)
	if err != nil {
		return nil, err
	}
	for _, request := range requests {
		if err := r.verified.check(request); err != nil {
			return nil, err
		}
	}
	return r.RequestsFromProposal(proposal), nil
}

func (r *replica) VerifyRequest(request []byte) (types.RequestInfo, error) {
	return infoOf(request), r.verified.check(request)
}

func (r *replica) VerificationSequence() uint64 { return 0 }

func (r *replica) RequestsFromProposal(proposal types.Proposal) []types.RequestInfo {
	requests, err := decodeBatch(proposal.Payload)
	if err != nil {
		return nil
	}
	infos := make([]types.RequestInfo, len(requests))
	for i, request := range requests {
		infos[i] = infoOf(request)
	}
	return infos
}

func (r *replica) RequestID(request []byte) types.RequestInfo { return infoOf(request) }
