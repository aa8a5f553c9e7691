package main

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
)

// The JSON of results. It has no keys and no passwords, only where they are.
type identityJSON struct {
	Person       agent.Person       `json:"person"`
	Server       string             `json:"server"`
	Folder       string             `json:"folder"`
	P12          string             `json:"p12"`
	PasswordFile string             `json:"password_file,omitempty"` // absent where the password is the person's own
	RenewAt      time.Time          `json:"renew_at"`
	Pairs        []pairJSON         `json:"pairs"`             // the newest first
	History      []*certificateJSON `json:"history,omitempty"` // keys from the archive or another device
	Stores       []filledJSON       `json:"stores,omitempty"`
}

type pairJSON struct {
	Enrolment  string           `json:"enrolment"`
	Request    uuid.UUID        `json:"request"`
	KeptAt     time.Time        `json:"kept_at"`
	Signing    *certificateJSON `json:"signing,omitempty"`
	Encryption *certificateJSON `json:"encryption,omitempty"`
	Receipt    *uuid.UUID       `json:"receipt,omitempty"`
}

type certificateJSON struct {
	Issuer     string    `json:"issuer"`
	Serial     string    `json:"serial"`
	Algorithm  string    `json:"algorithm"`
	SPKISHA256 string    `json:"spki_sha256"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	Key        bool      `json:"key_here"`
	Place      string    `json:"place,omitempty"` // where the key is: software, token, tpm
}

type begunJSON struct {
	Person    agent.Person `json:"person"`
	Enrolment string       `json:"enrolment"`
	Server    string       `json:"server"`
	BegunAt   time.Time    `json:"begun_at"`
	Request   *uuid.UUID   `json:"request,omitempty"`
}

// write writes a result to standard output: as JSON, or as a table by the function.
func (s *session) write(v any, table func(io.Writer)) error {
	if s.json {
		e := json.NewEncoder(s.stdout)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	table(w)
	return w.Flush()
}

func (s *session) show(id *agent.Identity, filled []agent.Filled) error {
	v, err := s.viewIdentity(id)
	if err != nil {
		return err
	}
	v.Stores = viewFilled(filled)
	return s.write(v, func(w io.Writer) { v.print(w) })
}

func (s *session) showFilled(filled []agent.Filled) error {
	v := viewFilled(filled)
	return s.write(v, func(w io.Writer) { printFilled(w, v) })
}

func (s *session) viewIdentity(id *agent.Identity) (v identityJSON, err error) {
	v = identityJSON{Person: id.Person, Server: id.Server, Folder: id.Folder, P12: filepath.Join(id.Folder, agent.P12File)}
	if !id.OwnPassword {
		v.PasswordFile = filepath.Join(id.Folder, agent.PasswordFile)
	}
	due, err := s.made.NextDue(id)
	if err != nil {
		return v, err
	}
	v.RenewAt = due.At
	for _, pair := range id.Pairs {
		p := pairJSON{Enrolment: pair.Enrolment, Request: pair.Request, KeptAt: pair.KeptAt}
		if pair.Receipt != nil {
			p.Receipt = &pair.Receipt.ID
		}
		if p.Signing, err = viewCertificate(pair.Signing); err != nil {
			return v, err
		}
		if p.Encryption, err = viewCertificate(pair.Encryption); err != nil {
			return v, err
		}
		v.Pairs = append(v.Pairs, p)
	}
	for i := range id.History {
		one, err := viewCertificate(&id.History[i])
		if err != nil {
			return v, err
		}
		v.History = append(v.History, one)
	}
	return v, nil
}

func viewCertificate(h *agent.Held) (*certificateJSON, error) {
	if h == nil {
		return nil, nil
	}
	leaf, err := h.Leaf()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return &certificateJSON{Issuer: h.Issuer, Serial: h.Serial, Algorithm: algorithm(leaf), SPKISHA256: hex.EncodeToString(sum[:]),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Key: !h.Key.IsZero(), Place: h.Key.Place()}, nil
}

func algorithm(cert *x509.Certificate) string {
	switch k := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return k.Params().Name
	}
	return cert.PublicKeyAlgorithm.String()
}

func (v identityJSON) print(w io.Writer) {
	fmt.Fprintf(w, "%s <%s>\n", plain(v.Person.Name), plain(strings.Join(v.Person.Mailboxes, ", ")))
	for i, p := range v.Pairs {
		for _, half := range []struct {
			use string
			c   *certificateJSON
		}{{"signing", p.Signing}, {"encryption", p.Encryption}} {
			if half.c == nil || i > 0 && !half.c.Key {
				continue
			}
			use := half.use
			if i > 0 {
				use = "old " + use
			}
			fmt.Fprintf(w, "  %s\t%s\tuntil %s\t%s%s\n", use, half.c.Algorithm, day(half.c.NotAfter), plain(half.c.Serial), inPlace(half.c.Place))
		}
	}
	for _, c := range v.History {
		fmt.Fprintf(w, "  old encryption\t%s\tuntil %s\t%s\n", c.Algorithm, day(c.NotAfter), plain(c.Serial))
	}
	fmt.Fprintf(w, "  renew on\t%s\n", day(v.RenewAt))
	fmt.Fprintf(w, "  keys in\t%s\n", v.P12)
	if v.PasswordFile != "" {
		fmt.Fprintf(w, "  password in\t%s\n", v.PasswordFile)
	}
	printFilled(w, v.Stores)
}

// inPlace says where a key is that is in no file.
func inPlace(place string) string {
	if place == "" || place == agent.PlaceSoftware {
		return ""
	}
	return " (key in the " + plain(place) + ")"
}

func day(t time.Time) string { return t.Local().Format(time.DateOnly) }
