package portal

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/fault"
)

// registrarRequest is a request beside what the directory says.
type registrarRequest struct {
	Request  *enroll.Request
	Plan     string
	State    cell
	Method   string // how whoever asked showed who they are
	Keys     []requestKey
	Standing directory.Standing // "away": the directory does not answer
	Stands   cell
	Compared []compared
	Differ   bool
	Earlier  [][]cell
	More     bool // there are more than are shown
	Token    *enroll.Minted
	Maker    string // of the token
	Refused  string // why this registrar may not decide
	Open     bool   // somebody may
	Fault    string
	Reason   string // as it was typed
}

// requestKey is a key that is to be certified.
type requestKey struct{ Use, Algorithm, Fingerprint string }

// compared is one thing that a request and the directory say of somebody.
type compared struct {
	What                string
	Asked, Now, Claimed saying
}

// saying is what one side says, and whether that is not what the directory says now.
type saying struct {
	Values  []string
	Differs bool
}

// maxEarlier is how many of a person's certificates a request's page shows.
const maxEarlier = 10

func (d registrars) request(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.showRequest(w, r, v, nil, "")
}

// showRequest shows a request, again if a decision failed.
func (d registrars) showRequest(w http.ResponseWriter, r *http.Request, v *visit, failed error, reason string) error {
	id, err := idIn(r, "request")
	if err != nil {
		return err
	}
	req, err := d.Registry.Get(r.Context(), v.Caller.Actor, id)
	if err != nil {
		return err
	}
	page := registrarRequest{Request: req, Plan: d.planTitle(req.Enrolment), State: requestState(v.language, req.State), Reason: reason,
		Method: v.language.say("registrar-word.method-" + string(req.By.Method)), Open: req.State == enroll.Submitted}
	status := http.StatusOK
	if failed != nil {
		said, code, ok := d.refusal(r, v, failed)
		if !ok {
			return failed
		}
		page.Fault, status = said, again(code)
	}
	for _, k := range []requestKey{{"sign", "", string(req.SigningSPKI)}, {"read", "", string(req.EncryptionSPKI)}} {
		if k.Fingerprint != "" {
			page.Keys = append(page.Keys, keyFacts(k.Use, []byte(k.Fingerprint)))
		}
	}
	if err := d.besideDirectory(r.Context(), v, req, &page); err != nil {
		return err
	}
	if err := d.requestHistory(r.Context(), v, req, &page); err != nil {
		return err
	}
	if err := d.viewed(r.Context(), v, "registrar-request", req.Person); err != nil {
		return err
	}
	return d.show(w, r, v, status, "registrar-request", "registrar.request-title", page)
}

// besideDirectory puts what the directory says now beside what the request says.
func (d registrars) besideDirectory(ctx context.Context, v *visit, req *enroll.Request, page *registrarRequest) error {
	now, err := d.Directory.Person(ctx, req.Person)
	switch {
	case errors.Is(err, directory.ErrUnknownPerson):
		page.Standing = directory.StandingGone
	case errors.Is(err, fault.Unavailable):
		page.Standing = "away"
	case err != nil:
		return err
	case now.Disabled:
		page.Standing = directory.StandingDisabled
	default:
		page.Standing = directory.StandingActive
	}
	page.Stands = standingPill(v.language, page.Standing)
	page.Compared = compare(req, now, err == nil)
	page.Differ = slices.ContainsFunc(page.Compared, func(c compared) bool { return c.Asked.Differs || c.Claimed.Differs })
	if page.Open && page.Standing == directory.StandingActive && len(now.Mailboxes) == 0 {
		page.Standing = "unaddressed"
	}
	return nil
}

// requestHistory adds what there was before: the person's certificates, and the token with which somebody asked.
func (d registrars) requestHistory(ctx context.Context, v *visit, req *enroll.Request, page *registrarRequest) error {
	found, err := d.Authority.Find(ctx, ca.Query{Person: &req.Person, Limit: maxEarlier + 1})
	if err != nil {
		return err
	}
	page.More = len(found) > maxEarlier
	for _, c := range found[:min(len(found), maxEarlier)] {
		page.Earlier = append(page.Earlier, d.certificateCells(v.language, c))
	}
	if page.Token, err = d.Registry.SpentOn(ctx, v.Caller.Actor, req.ID); err != nil {
		return err
	}
	if page.Token != nil {
		looks, err := d.looked(ctx, []uuid.UUID{page.Token.MadeBy})
		if err != nil {
			return err
		}
		page.Maker = called(v.language, looks[page.Token.MadeBy], page.Token.MadeBy)
	}
	switch {
	case req.Person == v.Person.ID:
		page.Refused = "registrar.own"
	case page.Token != nil && page.Token.MadeBy == v.Person.ID:
		page.Refused = "registrar.own-token"
	}
	return nil
}

// compare puts side by side what is known of a request's person. What was asked and what the CSRs name differ if they are not
// what the directory says now; nothing does where that is not known.
func compare(req *enroll.Request, now directory.Person, known bool) []compared {
	var names, mails, others []string
	for _, c := range req.Claimed {
		if c.CommonName != "" && !slices.Contains(names, c.CommonName) {
			names = append(names, c.CommonName)
		}
		for _, m := range c.Mailboxes {
			if !slices.Contains(mails, m) {
				mails = append(mails, m)
			}
		}
		if c.Subject != "" && c.Subject != "CN="+c.CommonName {
			others = append(others, c.Subject)
		}
		others = append(others, c.Hosts...)
	}
	s := req.Subject
	all := []compared{
		{"name", said(s.CommonName), said(now.Name), saying{Values: names}}, {"given", said(s.GivenName), said(now.GivenName), saying{}},
		{"surname", said(s.Surname), said(now.Surname), saying{}}, {"employee", said(s.Employee), said(now.Employee), saying{}},
		{"mail", saying{Values: s.Mailboxes}, saying{Values: now.Mailboxes}, saying{Values: mails}},
		{"others", saying{}, saying{}, saying{Values: others}},
	}
	out := all[:0]
	for _, c := range all {
		if len(c.Asked.Values)+len(c.Now.Values)+len(c.Claimed.Values) == 0 {
			continue
		}
		if known && c.What != "others" {
			c.Asked.Differs = !among(c.Asked.Values, c.Now.Values) || !among(c.Now.Values, c.Asked.Values)
			c.Claimed.Differs = !among(c.Claimed.Values, c.Now.Values)
		}
		out = append(out, c)
	}
	return out
}

func said(s string) saying {
	if s == "" {
		return saying{}
	}
	return saying{Values: []string{s}}
}

// among reports whether all of some values are among others, as directories compare: without regard to case.
func among(some, others []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool {
		return !slices.ContainsFunc(others, func(o string) bool { return strings.EqualFold(s, o) })
	})
}

// keyFacts says what kind a public key (SubjectPublicKeyInfo, DER) is of, and its SHA-256.
func keyFacts(use string, spki []byte) requestKey {
	sum := sha256.Sum256(spki)
	k := requestKey{Use: use, Algorithm: "?", Fingerprint: hex.EncodeToString(sum[:])}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return k // of a kind that Go does not read
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		k.Algorithm = fmt.Sprintf("RSA-%d", key.N.BitLen())
	case *ecdsa.PublicKey:
		k.Algorithm = "EC " + key.Curve.Params().Name
	case ed25519.PublicKey:
		k.Algorithm = "Ed25519"
	}
	return k
}

func requestState(l language, s enroll.State) cell {
	pill := map[enroll.State]string{enroll.Submitted: "warn", enroll.Issued: "good", enroll.Rejected: "bad", enroll.Failed: "bad"}[s]
	if pill == "" {
		pill = "off"
	}
	return cell{Text: l.say("registrar-word.state-" + string(s)), Pill: pill}
}

func (d registrars) endorse(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := idIn(r, "request")
	if err != nil {
		return err
	}
	if _, err := d.Registry.Endorse(r.Context(), v.Caller.Actor, id); err != nil {
		return d.showRequest(w, r, v, err, "")
	}
	return d.done(w, r, "/registrar/requests/"+id.String(), "registrar-endorsed")
}

func (d registrars) reject(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, err := idIn(r, "request")
	if err != nil {
		return err
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if _, err := d.Registry.Reject(r.Context(), v.Caller.Actor, id, form.Get("reason")); err != nil {
		return d.showRequest(w, r, v, err, form.Get("reason"))
	}
	return d.done(w, r, "/registrar/requests/"+id.String(), "registrar-rejected")
}
