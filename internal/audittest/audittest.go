// Package audittest makes audit logs in memory, as a server would show them: for tests, and for the bench, of programs that
// verify what a server shows. The log that servers keep is package audit.
package audittest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/audit/proof"
)

// Name is the name of every log.
const Name = "pki.example.test/audit"

// Log is an audit log. It is for one goroutine.
type Log struct {
	Key       string                 // verifier key
	Witnessed []api.Countersignature // what it shows as such
	signer    *proof.Signer
	bodies    [][]byte
	hashes    hashes
	at        map[uuid.UUID]int64 // the events of cases' openings
}

type hashes []tlog.Hash

// ReadHashes is the method of tlog.HashReader.
func (h hashes) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, h[i])
	}
	return out, nil
}

// New returns a log with one event, and a key of its own.
func New() (*Log, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	s, err := proof.NewSigner(Name, key)
	if err != nil {
		return nil, err
	}
	l := &Log{Key: s.VerifierKey(), signer: s, at: map[uuid.UUID]int64{}}
	return l, l.Append("test.begin", "", "")
}

// Size returns how many events there are.
func (l *Log) Size() int64 { return int64(len(l.bodies)) }

// Append adds an event, which names a case's hash unless that is empty.
func (l *Log) Append(kind, subject, hash string) error {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	body, err := json.Marshal(map[string]any{"v": 1, "nonce": base64.RawStdEncoding.EncodeToString(nonce[:]), "at": "2026-03-04T12:00:00.000000Z",
		"kind": kind, "subject": subject, "actor": map[string]string{"method": "system", "strength": "none"}, "data": map[string]string{"case": hash}})
	if err != nil {
		return err
	}
	return l.add(body)
}

func (l *Log) add(body []byte) error {
	more, err := tlog.StoredHashes(l.Size(), body, l.hashes)
	l.hashes = append(l.hashes, more...)
	l.bodies = append(l.bodies, body)
	return err
}

// Open adds the event of a case's opening.
func (l *Log) Open(id uuid.UUID, hash fmt.Stringer) error {
	l.at[id] = l.Size()
	return l.Append("archive.case-requested", "case:"+id.String(), hash.String())
}

// Fork returns a log with the same key and the first n of the events. It knows of no cases.
func (l *Log) Fork(n int64) (*Log, error) {
	f := &Log{Key: l.Key, signer: l.signer, at: map[uuid.UUID]int64{}}
	for _, b := range l.bodies[:n] {
		if err := f.add(b); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Checkpoint returns the signed checkpoint of a size.
func (l *Log) Checkpoint(size int64) ([]byte, error) {
	root, err := tlog.TreeHash(size, l.hashes)
	if err != nil {
		return nil, err
	}
	return proof.Checkpoint{Origin: Name, Size: size, Root: root}.Sign(l.signer)
}

// Show returns the log as a server shows it.
func (l *Log) Show(seen ...int64) (api.AuditLog, error) {
	msg, err := l.Checkpoint(l.Size())
	out := api.AuditLog{Key: l.Key, Checkpoint: string(msg), Consistency: []string{}, Witnessed: l.Witnessed}
	for _, w := range l.Witnessed {
		seen = append(seen, w.Size)
	}
	for _, old := range seen {
		if err != nil || old < 1 || old >= l.Size() {
			continue
		}
		p := proof.Consistency{OldSize: old, Checkpoint: msg}
		if p.Hashes, err = tlog.ProveTree(l.Size(), old, l.hashes); err == nil {
			text, _ := p.MarshalText() // never fails
			out.Consistency = append(out.Consistency, string(text))
		}
	}
	return out, err
}

// Case returns what shows that a case's opening is in the log.
func (l *Log) Case(id uuid.UUID, seen ...int64) (*api.CaseLog, error) {
	shown, err := l.Show(seen...)
	out := &api.CaseLog{AuditLog: shown}
	at, ok := l.at[id]
	if err != nil || !ok {
		return out, err
	}
	p := proof.Inclusion{Index: at, Checkpoint: []byte(shown.Checkpoint)}
	if p.Hashes, err = tlog.ProveRecord(l.Size(), at, l.hashes); err != nil {
		return nil, err
	}
	text, err := p.MarshalText()
	out.Event, out.Inclusion = string(l.bodies[at]), string(text)
	return out, err
}
