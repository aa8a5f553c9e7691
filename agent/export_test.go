package agent

import (
	"crypto/x509"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

// SetAfter has f called after every step; an error of f's is a crash there.
func (a *Agent) SetAfter(f func(step string) error) { a.after = f }

// Steps are the steps after which a crash is of interest, in their order.
var Steps = []string{"begin", "send", "note", "await", "verify", "keep", "write", "finish"}

// Functions that tests look at from close by.
var (
	MakeKey         = makeKey
	ChooseAlgorithm = chooseAlgorithm
	MakeCSR         = makeCSR
	NormalMailbox   = normalMailbox
	AltNames        = altNames
	UTF8Mailboxes   = utf8Mailboxes
)

// Begun is a request as it is kept between runs.
type Begun struct{ p *pending }

// NewBegun makes one from keys (PKCS#8; nil for none).
func NewBegun(person Person, signing, encryption []byte, escrowed bool) Begun {
	p := &pending{Version: stateVersion, Server: "https://ca.example.test", As: "login alice", Name: uuid.NewString(), Person: person,
		Enrolment: "smime", Folder: "f", SigningKey: softwareKey(signing), EncryptionKey: softwareKey(encryption)}
	if escrowed {
		p.EscrowedKey = []byte{0x30, 0}
	}
	return Begun{p}
}

// Verify judges an answer.
func (b Begun) Verify(st api.EnrolmentStatus, anchors *x509.CertPool, now time.Time) (*Pair, error) {
	return verifyAnswer(b.p, st, anchors, now)
}

// DecodePending and DecodeIdentity read the agent's files.
func DecodePending(data []byte) error { _, err := decodePending(data); return err }

func DecodeIdentity(data []byte) (*Identity, error) { return decodeIdentity(data) }

// DecodeSettings reads another of them.
func DecodeSettings(data []byte) error { _, err := decodeSettings(data); return err }

// DecodeRestore reads the rest of them, and ReadMessage what another device may have sent.
func DecodeRestore(data []byte) error {
	_, err := decodeRestoring(data)
	if err == nil {
		_, err = decodeRosters(data)
	}
	return err
}

func ReadMessage(name string, data []byte) error {
	parseTransferName(name)
	for _, v := range []any{&offer{}, &challenge{}, &reveal{}, &grant{}, &handover{}} {
		if err := decodeState(data, &v); err != nil {
			return err
		}
	}
	return nil
}

// Tell has f hear what happens.
func (a *Agent) Tell(f func(step, text string)) { a.cfg.Progress = f }

// Due returns when the first of the current pairs is to be renewed where no policy says when.
func (id *Identity) Due() (time.Time, error) {
	var first time.Time
	for _, name := range id.enrolments() {
		due, err := id.current(name).RenewAt(id.RenewAfter)
		if err != nil {
			return first, err
		}
		if first.IsZero() || due.Before(first) {
			first = due
		}
	}
	return first, nil
}

// OpensPending reports whether a passphrase opens the keys of a request's file.
func OpensPending(path, text string) bool {
	p, err := load(filepath.Dir(path), filepath.Base(path), decodePending)
	if err != nil || p == nil || len(p.keys()) == 0 {
		return false
	}
	ring := &keyring{pass: passphrase{text: text}}
	for _, k := range p.keys() {
		k.ring = ring
		if _, err := k.PKCS8(); err != nil {
			return false
		}
	}
	return true
}
