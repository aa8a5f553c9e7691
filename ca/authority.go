package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "ca"

// Config says what an Authority works with.
type Config struct {
	DB           *pg.DB
	Jobs         *jobs.Queue // where revocations ask for a new list
	Issuers      []IssuerConfig
	Profiles     []ProfileConfig // nil means DefaultProfiles
	Arc          string          // the organisation's own OID arc for policies; "" means the placeholder Arc
	Organisation Organisation
	Names        NamePolicy
	Debounce     time.Duration    // how long a new list waits for further revocations; 0: it is made at once
	Now          func() time.Time // nil means time.Now
	Log          *slog.Logger     // nil discards
}

// Authority issues and revokes certificates. It is safe for concurrent use, by any number of processes on one database.
type Authority struct {
	db           *pg.DB
	jobs         *jobs.Queue
	issuers      []*Issuer
	profiles     map[string]*Profile
	names        *names
	organisation Organisation
	lint         *linter
	serial       func() (Serial, error)
	debounce     time.Duration
	now          func() time.Time
	log          *slog.Logger
}

// Check reports everything that is wrong with the configuration, each fault with its path, joined. It needs no database
// and no keys.
func (c Config) Check() error {
	_, err := c.authority()
	return err
}

// New checks the whole configuration, tries each issuer's key, and makes the issuers known to the database.
func New(ctx context.Context, c Config) (*Authority, error) {
	a, err := c.authority()
	if err != nil {
		return nil, err
	}
	if c.DB == nil || c.Jobs == nil {
		return nil, errors.New("ca: Config needs DB and Jobs")
	}
	if a.lint, err = newLinter(a.issuers); err != nil {
		return nil, err
	}
	for _, i := range a.issuers {
		if !i.CanSign() {
			continue
		}
		if err := i.CheckSigner(ctx); err != nil {
			return nil, err
		}
	}
	err = a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		for _, i := range a.issuers {
			if err := addIssuer(ctx, tx, a.now(), i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (c Config) authority() (*Authority, error) {
	a := &Authority{db: c.DB, jobs: c.Jobs, organisation: c.Organisation, serial: newSerial, debounce: c.Debounce, now: c.Now, log: c.Log}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	errs := c.Organisation.check()
	var err error
	if a.names, err = c.Names.check(); err != nil {
		errs = append(errs, err)
	}
	for n, ic := range c.Issuers {
		path := fmt.Sprintf("issuers[%d]", n)
		i, err := ic.check(path, a.now())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if slices.ContainsFunc(a.issuers, func(o *Issuer) bool { return o.id == i.id }) {
			errs = append(errs, ErrConfig.Withf("%s.id: there are two issuers %q", path, i.id))
		}
		a.issuers = append(a.issuers, i)
	}
	if len(c.Issuers) == 0 {
		errs = append(errs, ErrConfig.Withf("issuers: there is none"))
	}
	if len(errs) > 0 { // profiles cannot be judged without issuers
		return nil, errors.Join(errs...)
	}
	a.profiles, err = c.checkProfiles(a.issuers)
	return a, err
}

func (c Config) checkProfiles(issuers []*Issuer) (map[string]*Profile, error) {
	arc := c.Arc
	if arc == "" {
		arc = Arc
	}
	list := c.Profiles
	if list == nil {
		list = DefaultProfiles()
	}
	var errs []error
	if _, err := parseOID(arc); err != nil {
		errs = append(errs, ErrConfig.Withf("arc: %q is not an OID", c.Arc))
	}
	out := make(map[string]*Profile, len(list))
	for n, pc := range list {
		path := fmt.Sprintf("profiles[%d]", n)
		p, err := pc.check(path, arc, issuers)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := p.fitsIssuer(path); err != nil {
			errs = append(errs, err)
		}
		if out[p.name] != nil {
			errs = append(errs, ErrConfig.Withf("%s.name: there are two profiles %q", path, p.name))
		}
		out[p.name] = p
	}
	return out, errors.Join(errs...)
}

// Issuers returns the issuers, in the order of the configuration.
func (a *Authority) Issuers() []*Issuer { return slices.Clone(a.issuers) }

// Signed reports whether one of the issuers signed a certificate. Its issuer's name alone proves nothing: another authority may
// have the same one.
func (a *Authority) Signed(c *x509.Certificate) bool {
	return slices.ContainsFunc(a.issuers, func(i *Issuer) bool {
		return bytes.Equal(c.RawIssuer, i.Certificate().RawSubject) && c.CheckSignatureFrom(i.Certificate()) == nil
	})
}

// Issuer returns the issuer of that id, or ErrUnknownIssuer.
func (a *Authority) Issuer(id string) (*Issuer, error) {
	for _, i := range a.issuers {
		if i.id == id {
			return i, nil
		}
	}
	return nil, ErrUnknownIssuer.Withf("There is no issuer %q.", clip(id))
}

// Profile returns the profile of that name, or ErrUnknownProfile.
func (a *Authority) Profile(name string) (*Profile, error) {
	if p := a.profiles[name]; p != nil {
		return p, nil
	}
	return nil, ErrUnknownProfile.Withf("There is no certificate profile %q.", clip(name))
}

// Profiles returns the names of all profiles, sorted.
func (a *Authority) Profiles() []string {
	names := make([]string, 0, len(a.profiles))
	for n := range a.profiles {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
