package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"path/filepath"
	"slices"

	"github.com/google/uuid"
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

// With is with, the paths being made independent of where the next run is started.
func (s Stores) With(other Stores) (Stores, error) {
	err := other.absolute()
	return s.with(other), err
}

// None reports whether there is no store.
func (s Stores) None() bool { return s.NSS == nil && s.GPGSM == nil }

// FillOptions say what to put where.
type FillOptions struct {
	Person   uuid.UUID // whose; nil: see Mailbox
	Mailbox  string    // whose, where there are several people
	Password string    // of identity.p12, where the person keeps it
	Stores   Stores    // beside those that were named before; renewals keep them up to date too
}

// Filled is what became of one key store.
type Filled struct {
	Store string   // "nss" or "gpgsm"
	Notes []string // what it did not take, and why
	Err   error    // nil: the rest is in
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
	id.Stores = id.Stores.with(opt.Stores)
	if err := id.Stores.absolute(); err != nil {
		return nil, err
	}
	if err := a.takes(id, opt.Password); err != nil {
		return nil, err
	}
	d, err := id.deliver(opt.Password)
	if err != nil {
		return nil, err
	}
	if !opt.Stores.None() {
		if err := a.saveIdentity(a.folder(id.Person.ID), id); err != nil {
			return nil, err
		}
	}
	var out []Filled
	if nss := id.Stores.NSS; nss != nil {
		a.cfg.Progress("fill", "importing into the NSS database "+nss.Dir)
		out = append(out, Filled{Store: "nss", Err: nss.install(ctx, d)})
	}
	if gpgsm := id.Stores.GPGSM; gpgsm != nil {
		a.cfg.Progress("fill", "importing into gpgsm")
		notes, err := gpgsm.install(ctx, d)
		out = append(out, Filled{Store: "gpgsm", Notes: notes, Err: err})
	}
	var failed error
	for _, i := range out {
		failed = errors.Join(failed, i.Err)
	}
	a.noteStores(id.Person.ID, out)
	return out, failed
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
func (s Stores) absolute() (err error) {
	var paths []*string
	if s.NSS != nil {
		paths = append(paths, &s.NSS.Dir, &s.NSS.PasswordFile)
	}
	if s.GPGSM != nil {
		paths = append(paths, &s.GPGSM.Home)
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
