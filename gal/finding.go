package gal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
)

// Shown returns the certificates with which these people are written to: of each the newest that is valid, not revoked, and
// reads mail, and the same for the role mailboxes that they stand for; unless they have left, or lost an address that it names. The ones before it stay usable
// to their owner, but nobody should encrypt to them any more, except for the policy's Overlap. It is the one rule for every
// place where certificates are shown.
func (p *Publisher) Shown(ctx context.Context, people []uuid.UUID) ([]ca.Certificate, error) {
	return p.shown(ctx, people, p.Policy.Overlap)
}

func (p *Publisher) shown(ctx context.Context, people []uuid.UUID, overlap time.Duration) ([]ca.Certificate, error) {
	var found []ca.Certificate
	for _, names := range [][]string{p.profiles.people, p.profiles.roles} {
		list, err := p.Authority.Newest(ctx, people, names, 2)
		if err != nil {
			return nil, err
		}
		found = append(found, p.current(list, overlap)...)
	}
	return p.withoutThoseWhoLeft(ctx, people, found)
}

// withoutThoseWhoLeft leaves out certificates of people who left, and what names an address that its owner has lost.
func (p *Publisher) withoutThoseWhoLeft(ctx context.Context, people []uuid.UUID, found []ca.Certificate) (_ []ca.Certificate, err error) {
	var left map[uuid.UUID]bool
	var lost map[uuid.UUID][]string
	if p.Left != nil {
		if left, err = p.Left(ctx, people); err != nil {
			return nil, err
		}
	}
	if p.Lost != nil {
		if lost, err = p.Lost(ctx, people); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(found, func(c ca.Certificate) bool {
		return left[c.Person] || slices.ContainsFunc(c.Mailboxes, func(m string) bool { return slices.Contains(lost[c.Person], m) })
	}), nil
}

// maxFound bounds how many certificates of one address are looked at.
const maxFound = 500

// Find returns the certificates with which a mail address is written to, the newest first: those shown that name it. The
// domain may be in any case and in U-labels, and the part before the @ in any case. None is no error; what is no address is
// ca.ErrMailbox. How long it takes hardly depends on whether there is something.
func (p *Publisher) Find(ctx context.Context, mailbox string) ([]ca.Certificate, error) {
	m, err := ca.ParseMailbox(mailbox)
	if err != nil {
		return nil, err
	}
	found, err := p.Authority.Find(ctx, ca.Query{Mailbox: m.String(), ValidAt: p.Now(), State: ca.Good, Limit: maxFound})
	if err != nil {
		return nil, err
	}
	people := []uuid.UUID{uuid.Nil} // nobody: so that there is something to ask in any case
	for _, c := range found {
		if !slices.Contains(people, c.Person) {
			people = append(people, c.Person)
		}
	}
	shown, err := p.Shown(ctx, people)
	if err != nil {
		return nil, err
	}
	key := strings.ToLower(m.String())
	shown = slices.DeleteFunc(shown, func(c ca.Certificate) bool { return !slices.Contains(c.Mailboxes, key) })
	slices.SortFunc(shown, func(a, b ca.Certificate) int { return cmp.Compare(b.Number, a.Number) })
	return shown, nil
}

// Audience says to whom the certificates of which addresses are shown. The zero Audience shows nothing to anybody.
type Audience struct {
	// Show is nobody (default), domains: to everybody, but only of addresses in the domains below, or everybody: to everybody
	// of all addresses.
	Show string `yaml:"show"`
	// Domains are mail domains, without those below them, as people write them.
	Domains []string `yaml:"domains"`
}

// The values of Audience.Show.
const (
	ShowNobody    = "nobody"
	ShowDomains   = "domains"
	ShowEverybody = "everybody"
)

// Validate returns what is wrong, with the key that it is wrong in.
func (a Audience) Validate() error {
	switch a.Show {
	case "", ShowNobody, ShowEverybody:
		if len(a.Domains) > 0 {
			return fmt.Errorf("domains: are shown only with show: domains")
		}
	case ShowDomains:
		if len(a.Domains) == 0 {
			return fmt.Errorf("domains: names none")
		}
	default:
		return fmt.Errorf("show: %q is not nobody, domains or everybody", a.Show)
	}
	for i, d := range a.Domains {
		if _, err := domain(d); err != nil {
			return fmt.Errorf("domains[%d]: %q is no mail domain", i, d)
		}
	}
	return nil
}

// Closed reports whether nothing is shown to anybody.
func (a Audience) Closed() bool { return a.Show != ShowDomains && a.Show != ShowEverybody }

// Shows reports whether a mail address is among those that are shown.
func (a Audience) Shows(m ca.Mailbox) bool {
	return a.Show == ShowEverybody || a.Show == ShowDomains && slices.ContainsFunc(a.Domains, func(have string) bool {
		d, err := domain(have)
		return err == nil && d == m.Domain
	})
}

// domain returns a mail domain as certificates have it: in lower-case A-labels.
func domain(s string) (string, error) {
	m, err := ca.ParseMailbox("x@" + s)
	return m.Domain, err
}
