package agent

import (
	"crypto/x509"
	"path/filepath"
)

// Stores are the key stores that an identity is kept in besides its files; nil where it is not.
type Stores struct {
	NSS   *NSS   `json:"nss,omitempty"`
	GPGSM *GPGSM `json:"gpgsm,omitempty"`
}

// with returns the stores, those of other taking the place of ours.
func (s Stores) with(other Stores) Stores {
	if other.NSS != nil {
		s.NSS = other.NSS
	}
	if other.GPGSM != nil {
		s.GPGSM = other.GPGSM
	}
	return s
}

// delivery is what a store takes in.
type delivery struct {
	folder   string // with the files of writeFiles
	password string // of the files
	roots    []*x509.Certificate
}

func (d delivery) file(name ...string) string {
	return filepath.Join(append([]string{d.folder}, name...)...)
}
