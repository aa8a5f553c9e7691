// Package store puts a person's keys and certificates where mail programs look for them: databases of NSS (Thunderbird, Firefox, and those that
// share one), the key ring of gpgsm, the Keychain of macOS, and the certificate store of Windows.
//
// It owns what those programs and systems want to be told, and what their refusals mean. It knows nothing of how keys come to be, of servers,
// or of which stores a person wants filled; nor are keys in tokens and TPMs its own, which stay there.
package store

import (
	"context"
	"crypto/x509"
	"strconv"

	"github.com/sealpost/sealpost/agent/mozilla"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of every store.
var (
	ErrProgram = fault.New(fault.Unavailable, "program-missing", "A program that is needed is not installed.")
	ErrStore   = fault.New(fault.Unavailable, "key-store", "A key store did not take the certificates.")
	// ErrNotHere says that a key store is another system's.
	ErrNotHere = ErrProgram.Withf("This key store is not one of this system.")
)

// Store is one place that mail programs find keys in. Each is in a file of its own.
type Store interface {
	// Name returns the kind of store, and where it is if there may be several.
	Name() (kind, place string)
	// Install puts certificates, keys and trust there. What cannot be done while the rest can is a note. Installing again changes
	// nothing, and completes what was stopped in the middle.
	Install(ctx context.Context, d Keys) (Outcome, error)
}

// Outcome is what a store says when it has the keys.
type Outcome struct {
	Notes []string // what it did not take, and why, in words for the person
	Again bool     // a later filling has something left to do
}

// Keys are what a store takes in: paths of files, and what is in them.
type Keys struct {
	All          string              // PKCS #12 with all keys
	Single       []string            // PKCS #12 with one key each, in the older protection that gpgsm 2.2 reads
	Chain        string              // PEM: the issuers' certificates, up to the root
	Password     string              // of the files with keys
	Certificates []*x509.Certificate // whose keys are in the files, in the order of Single
	Roots        []*x509.Certificate
	Choice       mozilla.Choice // the current certificates, and whose accounts should use them
}

// storeFault explains that a key store's program failed. A fault that explains itself stays.
func storeFault(err error, format string, args ...any) error {
	if err == nil || fault.Of(err) != nil {
		return err
	}
	return ErrStore.Withf(format, args...).Because(err)
}

func plainName(cert *x509.Certificate) string { return strconv.QuoteToASCII(cert.Subject.String()) }
