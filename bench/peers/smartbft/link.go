package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"time"
)

// Frames between two members: u32 length, one byte for the kind, body.
const (
	kindConsensus byte = 0
	kindRequest   byte = 1
	kindFetch     byte = 2
	kindDecisions byte = 3
	frameBytesMax      = 64 << 20
)

func seededKey(name string, id uint64) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, id))
	return ed25519.NewKeyFromSeed(seed[:])
}

// link holds one mutually authenticated TLS 1.3 connection per pair of members, pinned by public key as on the other side.
type link struct {
	self    uint64
	lock    sync.RWMutex
	peers   map[uint64]chan []byte
	receive func(from uint64, kind byte, body []byte)
}

func (l *link) tls(peer uint64) *tls.Config {
	key := seededKey("link", l.self)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // No names and no chain: the peer is who has the pinned key.
		VerifyConnection: func(state tls.ConnectionState) error {
			if peer != 0 && !pinned(state, peer) {
				return errors.New("not the pinned key")
			}
			return nil
		},
	}
}

func pinned(state tls.ConnectionState, peer uint64) bool {
	shown, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return ok && bytes.Equal(shown, seededKey("link", peer).Public().(ed25519.PublicKey))
}

// listen accepts members of higher number; connect dials those of lower.
func (l *link) listen() (net.Listener, error) {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", l.tls(0))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go l.accept(connection.(*tls.Conn))
		}
	}()
	return listener, nil
}

func (l *link) accept(connection *tls.Conn) {
	if connection.Handshake() != nil {
		return
	}
	for peer := l.self + 1; peer <= members; peer++ {
		if pinned(connection.ConnectionState(), peer) {
			l.open(peer, connection)
			return
		}
	}
	_ = connection.Close()
}

func (l *link) connect(addresses []string) error {
	for peer := uint64(1); peer < l.self; peer++ {
		connection, err := tls.Dial("tcp", addresses[peer-1], l.tls(peer))
		if err != nil {
			return err
		}
		go l.open(peer, connection)
	}
	return nil
}

func (l *link) connected() int {
	l.lock.RLock()
	defer l.lock.RUnlock()
	return len(l.peers)
}

func (l *link) open(peer uint64, connection net.Conn) {
	out := make(chan []byte, 4096)
	l.lock.Lock()
	l.peers[peer] = out
	l.lock.Unlock()
	go write(connection, out)
	in := bufio.NewReaderSize(connection, 1<<16)
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		length := binary.BigEndian.Uint32(head[:])
		if length == 0 || length > frameBytesMax {
			return
		}
		frame := make([]byte, length)
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		l.receive(peer, frame[0], frame[1:])
	}
}

// write puts what waits into one TLS record.
func write(connection net.Conn, out <-chan []byte) {
	writer := bufio.NewWriterSize(connection, 1<<16)
	for frame := range out {
		if _, err := writer.Write(frame); err != nil {
			return
		}
		if len(out) == 0 && writer.Flush() != nil {
			return
		}
	}
}

func (l *link) send(peer uint64, kind byte, body []byte) {
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 5+len(body)), uint32(1+len(body)))
	frame = append(append(frame, kind), body...)
	l.lock.RLock()
	out := l.peers[peer]
	l.lock.RUnlock()
	if out != nil {
		out <- frame
	}
}
