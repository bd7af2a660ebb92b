package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/hyperledger-labs/SmartBFT/pkg/types"
)

// A request is a list of entries under one signature, laid out as on the other side (bench/ledger/entry-log.ts): entries
// of 192 bytes, then an Ed25519 signature of 64. The first entry begins with client key 32 | nonce u64 | expiry u64.
const (
	entryBytes     = 192
	signatureBytes = ed25519.SignatureSize
	nonceEnd       = 40
)

var errRequest = errors.New("the request is not signed by its client")

func newRequest(key ed25519.PrivateKey, nonce, expiresAt uint64, entries int) []byte {
	request := make([]byte, entries*entryBytes, entries*entryBytes+signatureBytes)
	copy(request, key.Public().(ed25519.PublicKey))
	binary.BigEndian.PutUint64(request[32:], nonce)
	binary.BigEndian.PutUint64(request[nonceEnd:], expiresAt)
	return append(request, ed25519.Sign(key, request)...)
}

func infoOf(request []byte) types.RequestInfo {
	return types.RequestInfo{ClientID: string(request[:32]), ID: string(request[32:nonceEnd])}
}

// verified remembers requests whose signature was checked, so that a replica checks each once: when it enters the pool,
// or when it is proposed. Forgotten when delivered.
type verified struct {
	lock  sync.Mutex
	known map[string]struct{}
}

func (v *verified) check(request []byte) error {
	v.lock.Lock()
	_, ok := v.known[string(request)]
	v.lock.Unlock()
	if ok {
		return nil
	}
	length := len(request) - signatureBytes
	if length < entryBytes || length%entryBytes != 0 ||
		!ed25519.Verify(request[:32], request[:length], request[length:]) {
		return errRequest
	}
	v.lock.Lock()
	v.known[string(request)] = struct{}{}
	v.lock.Unlock()
	return nil
}

func (v *verified) forget(requests [][]byte) {
	v.lock.Lock()
	for _, request := range requests {
		delete(v.known, string(request))
	}
	v.lock.Unlock()
}

// encodeBatch is a u32 count, then each request behind its u32 length.
func encodeBatch(requests [][]byte) []byte {
	size := 4
	for _, request := range requests {
		size += 4 + len(request)
	}
	out := binary.BigEndian.AppendUint32(make([]byte, 0, size), uint32(len(requests)))
	for _, request := range requests {
		out = binary.BigEndian.AppendUint32(out, uint32(len(request)))
		out = append(out, request...)
	}
	return out
}

func decodeBatch(payload []byte) ([][]byte, error) {
	malformed := errors.New("malformed batch")
	if len(payload) < 4 {
		return nil, malformed
	}
	requests := make([][]byte, 0, 128)
	count := binary.BigEndian.Uint32(payload)
	rest := payload[4:]
	for ; count > 0; count-- {
		if len(rest) < 4 || uint64(len(rest)) < 4+uint64(binary.BigEndian.Uint32(rest)) {
			return nil, malformed
		}
		length := 4 + binary.BigEndian.Uint32(rest)
		requests = append(requests, rest[4:length:length])
		rest = rest[length:]
	}
	if len(rest) != 0 {
		return nil, malformed
	}
	return requests, nil
}
