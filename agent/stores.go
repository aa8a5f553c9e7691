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

	"github.com/sealpost/sealpost/agent/store"
	"github.com/sealpost/sealpost/internal/fault"
)

// Stores are the key stores that an identity is kept in besides its files; nil where it is not.
type Stores struct {
	NSS         Databases       `json:"nss,omitempty"`
	Thunderbird *Profiles       `json:"thunderbird,omitempty"` // its profiles with an account of the person's, as they are found
	Firefox     *Profiles       `json:"firefox,omitempty"`     // its profiles, as they are found
	GPGSM       *store.GPGSM    `json:"gpgsm,omitempty"`
	Keychain    *store.Keychain `json:"keychain,omitempty"`
	Windows     *store.Windows  `json:"windows,omitempty"`
	Auto        bool            `json:"auto,omitempty"` // whatever mail programs' stores are found on the machine
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

func (a *Agent) fill(ctx context.Context, s store.Store, d store.Keys) Filled {
	kind, place := s.Name()
	a.cfg.Progress("fill", strings.TrimSpace("importing into "+kind+" "+place))
	got, err := s.Install(ctx, d)
	return filled(kind, place, got, err)
}

func filled(kind, place string, got store.Outcome, err error) Filled {
	f := Filled{Store: kind, Place: place, Notes: got.Notes, Again: got.Again, Err: err}
	if err != nil {
		f.Code = cmp.Or(fault.Of(err), store.ErrStore).Code
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

// deliver writes the files anew and says what is in them.
func (id *Identity) deliver(own string) (store.Keys, error) {
	if err := id.needs(own); err != nil {
		return store.Keys{}, err
	}
	if err := id.writeFiles(own); err != nil {
		return store.Keys{}, err
	}
	in := func(name ...string) string { return filepath.Join(append([]string{id.Folder}, name...)...) }
	d := store.Keys{All: in(P12File), Chain: in(ChainFile), Password: own}
	if !id.OwnPassword {
		password, err := id.GeneratedPassword()
		if err != nil {
			return d, err
		}
		d.Password = password
	}
	entries, _, err := id.entries()
	if err != nil {
		return d, err
	}
	for i, e := range entries {
		d.Certificates = append(d.Certificates, e.Certificate)
		d.Single = append(d.Single, in(GPGSMFolder, gpgsmFile(i)))
	}
	if d.Choice, err = id.choice(); err != nil {
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
		if !slices.ContainsFunc(d.Roots, root.Equal) {
			d.Roots = append(d.Roots, root)
		}
	}
	return d, nil
}
