package portal

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
)

// registrarRevoke is the page on which certificates are revoked, put on hold or released.
type registrarRevoke struct {
	*subject
	Which        string // one certificate by name; "" means all
	Certificates [][]cell
	Held         bool // all of them are on hold
	Reasons      []string
	Reason       string // as it was chosen
	Since        string // as it was typed: YYYY-MM-DD
	Today        string
	Note         string
	Fault        string
}

// reasons are why certificates are revoked, as people say it, in the order in which they are offered. Which code of RFC 5280
// (5.3.1) each is.
var reasons = []struct {
	name   string
	reason ca.Reason
}{
	{"lost", ca.KeyCompromise}, {"left", ca.AffiliationChanged}, {"replaced", ca.Superseded}, {"stopped", ca.CessationOfOperation},
	{"withdrawn", ca.PrivilegeWithdrawn}, {"other", ca.Unspecified}, {"hold", ca.CertificateHold},
}

// open reports whether there is something left to revoke: it has not ended, and is not revoked for good.
func (d registrars) open(c ca.Certificate) bool {
	return (c.Status.State == ca.Good || c.Status.Reason == ca.CertificateHold) && !d.Now().After(c.NotAfter)
}

// revocable are a person's certificates that are left to revoke: one by name, or all.
func (d registrars) revocable(ctx context.Context, person uuid.UUID, which string) ([]ca.Certificate, error) {
	if which != "" {
		issuer, number, _ := strings.Cut(which, "/")
		serial, err := ca.ParseSerial(number)
		if err != nil {
			return nil, ca.ErrNotFound
		}
		c, err := d.Authority.Certificate(ctx, issuer, serial)
		if err == nil && c.Person != person {
			err = ca.ErrNotFound
		}
		return []ca.Certificate{c}, err
	}
	found, err := d.Authority.Find(ctx, ca.Query{Person: &person, ValidAt: d.Now(), Limit: 1000})
	return slices.DeleteFunc(found, func(c ca.Certificate) bool { return !d.open(c) }), err
}

func (d registrars) revokeForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.showRevoke(w, r, v, url.Values{"certificate": {r.URL.Query().Get("certificate")}}, nil)
}

// showRevoke shows what is about to happen, again if it could not.
func (d registrars) showRevoke(w http.ResponseWriter, r *http.Request, v *visit, form url.Values, failed error) error {
	s, err := d.subject(r, v)
	if err != nil {
		return err
	}
	page := registrarRevoke{subject: s, Which: form.Get("certificate"), Reason: form.Get("reason"), Since: form.Get("since"), Note: form.Get("note"), Today: d.Now().UTC().Format(time.DateOnly)}
	found, err := d.revocable(r.Context(), s.ID, page.Which)
	if err != nil {
		return err
	}
	page.Held = len(found) > 0
	for _, c := range found {
		page.Certificates = append(page.Certificates, d.certificateCells(v.language, c))
		page.Held = page.Held && c.Status.State == ca.Revoked && c.Status.Reason == ca.CertificateHold
	}
	if len(found) == 1 && !d.open(found[0]) {
		page.Certificates = nil
	}
	for _, r := range reasons {
		if r.reason != ca.CertificateHold || !page.Held {
			page.Reasons = append(page.Reasons, r.name)
		}
	}
	status := http.StatusOK
	if failed != nil {
		said, code, ok := d.refusal(r, v, failed)
		if !ok {
			return failed
		}
		page.Fault, status = said, again(code)
	}
	return d.show(w, r, v, status, "registrar-revoke", "registrar.revoke-title", page)
}

// revocationIn reads what a form asks for, but for what it is about.
func revocationIn(form url.Values) (ca.Revocation, error) {
	out := ca.Revocation{Note: oneLine(form.Get("note"))}
	i := slices.IndexFunc(reasons, func(r struct {
		name   string
		reason ca.Reason
	}) bool {
		return r.name == form.Get("reason")
	})
	if i < 0 {
		return out, ca.ErrReason.Withf("Choose why.")
	}
	out.Reason = reasons[i].reason
	if since := form.Get("since"); since != "" && out.Reason == ca.KeyCompromise {
		at, err := time.Parse(time.DateOnly, since)
		if err != nil {
			return out, ca.ErrReason.Because(err)
		}
		out.Invalid = at
	}
	return out, nil
}

func (d registrars) revoke(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	s, err := d.subject(r, v)
	if err != nil {
		return err
	}
	revocation, err := revocationIn(form)
	if err != nil {
		return d.showRevoke(w, r, v, form, err)
	}
	found, err := d.revocable(r.Context(), s.ID, form.Get("certificate"))
	if err != nil {
		return err
	}
	done := "registrar-revoked"
	if revocation.Reason == ca.CertificateHold {
		done = "registrar-held"
	}
	if form.Get("certificate") != "" {
		revocation.Issuer, revocation.Serial = found[0].Issuer, found[0].Serial
		err = d.Authority.Revoke(r.Context(), v.Caller.Actor, revocation)
	} else {
		var changed []ca.Certificate
		if changed, err = d.Authority.RevokeAll(r.Context(), v.Caller.Actor, ca.Query{Person: &s.ID}, revocation, nil); len(changed) == 0 {
			done = "registrar-nothing"
		}
	}
	if err != nil {
		return d.showRevoke(w, r, v, form, err)
	}
	return d.done(w, r, s.Path, done)
}

// release ends the hold of certificates.
func (d registrars) release(w http.ResponseWriter, r *http.Request, v *visit) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	s, err := d.subject(r, v)
	if err != nil {
		return err
	}
	found, err := d.revocable(r.Context(), s.ID, form.Get("certificate"))
	if err != nil {
		return err
	}
	done := "registrar-released"
	if form.Get("certificate") != "" {
		err = d.Authority.ReleaseNoted(r.Context(), v.Caller.Actor, found[0].Issuer, found[0].Serial, oneLine(form.Get("note")))
	} else {
		var changed []ca.Certificate
		if changed, err = d.Authority.ReleaseAll(r.Context(), v.Caller.Actor, ca.Query{Person: &s.ID}, oneLine(form.Get("note"))); len(changed) == 0 {
			done = "registrar-nothing"
		}
	}
	if err != nil {
		return d.showRevoke(w, r, v, form, err)
	}
	return d.done(w, r, s.Path, done)
}
