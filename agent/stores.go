package agent

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent/mozilla"
	"github.com/sealpost/sealpost/internal/fault"
)

// Stores are the key stores that an identity is kept in besides its files; nil where it is not.
type Stores struct {
	NSS         Databases `json:"nss,omitempty"`
	Thunderbird *Profiles `json:"thunderbird,omitempty"` // its profiles with an account of the person's, as they are found
	Firefox     *Profiles `json:"firefox,omitempty"`     // its profiles, as they are found
	GPGSM       *GPGSM    `json:"gpgsm,omitempty"`
	Keychain    *Keychain `json:"keychain,omitempty"`
	Windows     *Windows  `json:"windows,omitempty"`
	Auto        bool      `json:"auto,omitempty"` // whatever mail programs' stores are found on the machine
}

// store is one place that mail programs find keys in. Each is in a file of its own.
type store interface {
	// name returns the kind of store, and where it is if there may be several.
	name() (kind, place string)
	// install puts certificates, keys and trust there. What cannot be done while the rest can is a note. Installing again changes
	// nothing, and completes what was stopped in the middle.
	install(ctx context.Context, d keyFiles) (outcome, error)
}

// outcome is what a store says when it has the keys.
type outcome struct {
	notes []string
	again bool // a later filling has something left to do
}

// with returns the stores, those of other taking the place of ours.
func (s Stores) with(other Stores) Stores {
	s.NSS = s.NSS.with(other.NSS)
	s.Thunderbird = cmp.Or(other.Thunderbird, s.Thunderbird)
	s.Firefox = cmp.Or(other.Firefox, s.Firefox)
	s.GPGSM = cmp.Or(other.GPGSM, s.GPGSM)
	s.Keychain = cmp.Or(other.Keychain, s.Keychain)
	s.Windows = cmp.Or(other.Windows, s.Windows)
	s.Auto = s.Auto || other.Auto
	return s
}

// With is with, the paths being made independent of where the next run is started.
func (s Stores) With(other Stores) (Stores, error) {
	err := other.absolute()
	return s.with(other), err
}

// None reports whether there is no store.
func (s Stores) None() bool {
	return len(s.NSS) == 0 && s.Thunderbird == nil && s.Firefox == nil && s.GPGSM == nil && s.Keychain == nil && s.Windows == nil && !s.Auto
}

// FillOptions say what to put where.
type FillOptions struct {
	Person   uuid.UUID // whose; nil: see Mailbox
	Mailbox  string    // whose, where there are several people
	Password string    // of identity.p12, where the person keeps it
	Stores   Stores    // beside those that were named before; renewals keep them up to date too
	Only     bool      // Stores take the place of those that were named before; what is in those stays there
}

// Filled is what became of one key store.
type Filled struct {
	Store string   // its kind: "nss", "gpgsm", "keychain", "windows"; "thunderbird" or "firefox" where no profile of theirs was found
	Place string   // its folder, where there may be several
	Notes []string // what it did not take, and why
	Again bool     // a later filling has something left to do: a program must be closed first
	Code  string   // of Err, for programs to read; see [fault.Error]
	Err   error    // nil: the rest is in
}

// Nowhere reports whether it was looked for, and there is none yet.
func (f Filled) Nowhere() bool {
	return f.Place == "" && f.Err == nil && (f.Store == "thunderbird" || f.Store == "firefox")
}

// Fill writes the files again and puts the keys into the stores. A store that fails does not keep the others from
// being filled; the error is of the first that failed.
func (a *Agent) Fill(ctx context.Context, opt FillOptions) (_ []Filled, err error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	attempt := a.attempt("fill")
	defer attempt.ends(ctx, &err)
	id, err := a.identityOf(opt)
	if err != nil {
		return nil, err
	}
	attempt.person = id.Person.ID
	if opt.Only {
		id.Stores = Stores{}
	}
	if id.Stores, err = id.Stores.With(opt.Stores); err != nil {
		return nil, err
	}
	if err := a.takes(id, opt.Password); err != nil {
		return nil, err
	}
	d, err := id.deliver(opt.Password)
	if err != nil {
		return nil, err
	}
	if !opt.Stores.None() || opt.Only {
		if err := a.saveIdentity(a.folder(id.Person.ID), id); err != nil {
			return nil, err
		}
	}
	stores, out := a.find(id)
	for _, st := range stores {
		out = append(out, a.fill(ctx, st, d))
	}
	var failed error
	for _, i := range out {
		failed = errors.Join(failed, i.Err)
	}
	a.noteStores(id.Person.ID, out)
	return out, failed
}

func (a *Agent) fill(ctx context.Context, s store, d keyFiles) Filled {
	kind, place := s.name()
	a.cfg.Progress("fill", strings.TrimSpace("importing into "+kind+" "+place))
	got, err := s.install(ctx, d)
	return filled(kind, place, got, err)
}

func filled(kind, place string, got outcome, err error) Filled {
	f := Filled{Store: kind, Place: place, Notes: got.notes, Again: got.again, Err: err}
	if err != nil {
		f.Code = cmp.Or(fault.Of(err), ErrStore).Code
	}
	return f
}

func (a *Agent) identityOf(opt FillOptions) (*Identity, error) {
	if opt.Person == uuid.Nil {
		return a.forMailbox(opt.Mailbox)
	}
	id, err := a.loadIdentity(a.folder(opt.Person))
	if err == nil && id == nil {
		err = ErrNoIdentity
	}
	return id, err
}

// absolute makes paths independent of where the next run is started.
func (s *Stores) absolute() (err error) {
	var paths []*string
	s.NSS = slices.Clone(s.NSS)
	for i := range s.NSS {
		paths = append(paths, &s.NSS[i].Dir, &s.NSS[i].PasswordFile)
	}
	for _, p := range []*Profiles{s.Thunderbird, s.Firefox} {
		if p != nil {
			paths = append(paths, &p.PasswordFile)
		}
	}
	if s.GPGSM != nil {
		paths = append(paths, &s.GPGSM.Home)
	}
	if s.Keychain != nil {
		paths = append(paths, &s.Keychain.Path)
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return ErrConfig.Because(err)
		}
	}
	return nil
}

// keyFiles are what a store takes in.
type keyFiles struct {
	folder       string              // with the files of writeFiles
	password     string              // of the files
	certificates []*x509.Certificate // whose keys are in the files, in their order
	roots        []*x509.Certificate
	choice       mozilla.Choice // the current certificates, and whose accounts should use them
}

func (d keyFiles) file(name ...string) string {
	return filepath.Join(append([]string{d.folder}, name...)...)
}

// deliver writes the files anew and says what is in them.
func (id *Identity) deliver(own string) (keyFiles, error) {
	if err := id.needs(own); err != nil {
		return keyFiles{}, err
	}
	if err := id.writeFiles(own); err != nil {
		return keyFiles{}, err
	}
	d := keyFiles{folder: id.Folder, password: own}
	if !id.OwnPassword {
		password, err := id.GeneratedPassword()
		if err != nil {
			return d, err
		}
		d.password = password
	}
	entries, _, err := id.entries()
	if err != nil {
		return d, err
	}
	for _, e := range entries {
		d.certificates = append(d.certificates, e.Certificate)
	}
	if d.choice, err = id.choice(); err != nil {
		return d, err
	}
	for _, h := range id.held() {
		if h.Foreign {
			continue
		}
		root, err := x509.ParseCertificate(h.Chain[len(h.Chain)-1]) // a root that the person named
		if err != nil {
			return d, ErrState.Because(err)
		}
		if !slices.ContainsFunc(d.roots, root.Equal) {
			d.roots = append(d.roots, root)
		}
	}
	return d, nil
}
