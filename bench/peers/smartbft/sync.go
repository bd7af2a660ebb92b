package main

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
)

// SmartBFT leaves the transfer of blocks to its host. A replica that missed votes asks the others for what it lacks.
const (
	decisionsKept = 2048
	fetchMax      = 64
	fetchWait     = 200 * time.Millisecond
	quorum        = 3
)

func (r *replica) serve(peer uint64, body []byte) {
	if len(body) != 8 {
		return
	}
	from := binary.BigEndian.Uint64(body)
	found := []types.Decision{}
	r.lock.Lock()
	for sequence := from; len(found) < fetchMax; sequence++ {
		decision, ok := r.decisions[sequence]
		if !ok {
			break
		}
		found = append(found, decision)
	}
	r.lock.Unlock()
	answer, err := json.Marshal(found)
	if err != nil {
		panic(err)
	}
	r.link.send(peer, kindDecisions, answer)
}

func (r *replica) take(body []byte) {
	var decisions []types.Decision
	if json.Unmarshal(body, &decisions) != nil {
		return
	}
	select {
	case r.fetched <- decisions:
	default:
	}
}

// Sync returns when a peer has nothing newer, or nobody answers.
func (r *replica) Sync() types.SyncResponse {
	for {
		r.lock.Lock()
		next := r.sequence + 1
		r.lock.Unlock()
		for peer := uint64(1); peer <= members; peer++ {
			if peer != r.id {
				r.link.send(peer, kindFetch, binary.BigEndian.AppendUint64(nil, next))
			}
		}
		if !r.adopt() {
			r.lock.Lock()
			defer r.lock.Unlock()
			return types.SyncResponse{Latest: r.latest}
		}
	}
}

// adopt delivers what others send within the wait; whether that was anything.
func (r *replica) adopt() bool {
	adopted := false
	timeout := time.After(fetchWait)
	for range members - 1 {
		select {
		case decisions := <-r.fetched:
			for _, decision := range decisions {
				adopted = r.follow(decision) || adopted
			}
		case <-timeout:
			return adopted
		}
	}
	return adopted
}

func (r *replica) follow(decision types.Decision) bool {
	sequence, err := sequenceOf(decision.Proposal.Metadata)
	r.lock.Lock()
	next := r.sequence + 1
	r.lock.Unlock()
	if err != nil || sequence != next {
		return false
	}
	if _, err := r.VerifyProposal(decision.Proposal); err != nil {
		return false
	}
	signers := map[uint64]bool{}
	for _, signature := range decision.Signatures {
		if _, err := r.VerifyConsenterSig(signature, decision.Proposal); err == nil {
			signers[signature.ID] = true
		}
	}
	if len(signers) < quorum {
		return false
	}
	infos := r.RequestsFromProposal(decision.Proposal)
	r.Deliver(decision.Proposal, decision.Signatures)
	for _, info := range infos {
		_ = r.engine.Pool.RemoveRequest(info)
	}
	return true
}
