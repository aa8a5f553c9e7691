package foreign

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/fault"
)

// State is what became of a file or key.
type State string

// The states.
const (
	Archived         State = "archived"
	CertificateAdded State = "certificate-added" // the key was archived before, under another certificate
	ArchivedBefore   State = "already-archived"
	Ready            State = "ready"   // it would be archived; only in a dry run
	Refused          State = "refused" // see the code and detail
	Skipped          State = "skipped" // no file that keys are in
	Duplicate        State = "duplicate"
	Untried          State = "not-tried" // the import stopped before
)

// Item is what became of one key, or of a file of which no key was read.
type Item struct {
	File        string     `json:"file"`
	State       State      `json:"state"`
	Code        string     `json:"code,omitempty"`
	Detail      string     `json:"detail,omitempty"`
	Person      *uuid.UUID `json:"person,omitempty"` // whose the key is
	Name        string     `json:"name,omitempty"`
	Mail        string     `json:"mail,omitempty"`
	Certificate *Named     `json:"certificate,omitempty"`
	Receipt     *uuid.UUID `json:"receipt,omitempty"`
}

// Named says which certificate it is.
type Named struct {
	Subject    string    `json:"subject"`
	Mailboxes  []string  `json:"mailboxes,omitempty"`
	Issuer     string    `json:"issuer"`
	Serial     string    `json:"serial"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	SPKISHA256 string    `json:"spki_sha256"`
}

// Report is what became of everything. It has no passwords and no keys.
type Report struct {
	Started time.Time     `json:"started"`
	Ended   time.Time     `json:"ended"`
	DryRun  bool          `json:"dry_run"`
	Counts  map[State]int `json:"counts"`
	Items   []*Item       `json:"items"`
}

// Good reports whether everything that was found is in the archive, or would be.
func (r *Report) Good() bool { return r.Counts[Refused] == 0 && r.Counts[Untried] == 0 }

func (r *Report) count() {
	r.Counts = map[State]int{}
	for _, i := range r.Items {
		r.Counts[i.State]++
	}
}

func refusedItem(file string, err error) Item {
	i := Item{File: file}
	i.refuse(err)
	return i
}

// refuse writes down why. Causes are left out: they could quote what was read.
func (i *Item) refuse(err error) {
	i.State, i.Code, i.Detail = Refused, "internal", "Something went wrong with this file."
	if f := fault.Of(err); f != nil {
		i.Code, i.Detail = f.Code, f.Detail
	}
}

func named(c *x509.Certificate) *Named {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return &Named{Subject: c.Subject.String(), Mailboxes: c.EmailAddresses, Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), SPKISHA256: hex.EncodeToString(sum[:])}
}
