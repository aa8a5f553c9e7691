package ca

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Times of issuing.
const (
	// backdate lets a certificate begin a little before it is made: clocks differ.
	backdate = 10 * time.Minute
	// prepareLasts is how long prepared bytes may be signed. Later their serial is abandoned.
	prepareLasts = 10 * time.Minute
)

// Prepared names bytes that have been linted and written down and may be signed. It is what Sign redeems.
type Prepared struct {
	Issuer  string
	Serial  Serial
	Request uuid.UUID
	Profile string
	Person  uuid.UUID
	Key     keyuse.Hash
	At      time.Time
}

// subjectOf names a certificate in the audit log.
func subjectOf(issuer string, serial Serial) string {
	return "certificate:" + issuer + "/" + serial.String()
}

// draft is a certificate before it is stored.
type draft struct {
	*asked
	serial    Serial
	notBefore time.Time
	notAfter  time.Time
	tbs       []byte
	digest    []byte
}

// Prepare builds, lints and stores what is to be signed for all requests, or for none; the keys are claimed and the
// events written in the same transaction. It is idempotent by a request's id and profile: the same request again yields
// the same Prepared, also after it was signed, and another one is ErrRequestChanged. What was abandoned, or prepared too
// long ago to be signed and is abandoned now, is prepared anew.
func (a *Authority) Prepare(ctx context.Context, by audit.Actor, reqs ...Request) ([]Prepared, error) {
	now := a.now().UTC().Truncate(time.Microsecond)
	drafts := make([]*draft, len(reqs))
	for n, r := range reqs {
		if f := reqs[0]; r.ID == f.ID && (r.Person != f.Person || r.Subject != f.Subject || !slices.Equal(r.Mailboxes, f.Mailboxes)) {
			return nil, ErrRequest.Withf("The certificates of one enrolment must name the same person, name and mail addresses.")
		}
		q, err := a.read(r)
		if err != nil {
			return nil, err
		}
		if drafts[n], err = a.draft(q, now); err != nil {
			return nil, err
		}
	}
	out := make([]Prepared, len(reqs))
	write := func(store func(pgx.Tx) error) error { return a.db.InTx(ctx, role, store) }
	first := func(tx pgx.Tx) error { return a.prepare(ctx, tx, by, now, drafts, out, true) }
	again := func(tx pgx.Tx) error { return a.prepare(ctx, tx, by, now, drafts, out, false) }
	err := write(first)
	if errors.Is(err, errPreparedBefore) {
		err = write(again)
	}
	if errors.Is(err, ErrStale) {
		for _, r := range reqs {
			if _, err := a.Abandon(ctx, by, r.ID); err != nil {
				return nil, err
			}
		}
		err = write(again)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// errPreparedBefore says that not all drafts are new.
var errPreparedBefore = errors.New("prepared before")

// prepare stores drafts with their claims and events. It supposes that all are new when told so, and then takes one round
// trip; if they are not it returns errPreparedBefore, and nothing must be committed.
func (a *Authority) prepare(ctx context.Context, tx pgx.Tx, by audit.Actor, now time.Time, drafts []*draft, out []Prepared, allNew bool) error {
	claims, isNew := make([]keyuse.Claim, len(drafts)), make([]bool, len(drafts))
	var events []audit.Event
	for n, d := range drafts {
		claims[n] = keyuse.Claim{Key: keyuse.HashOf(d.key.spki), Use: d.profile.use, Person: d.Person}
		out[n] = Prepared{d.profile.issuer.id, d.serial, d.ID, d.profile.name, d.Person, claims[n].Key, now}
		events = append(events, d.prepared())
	}
	b := &pgx.Batch{}
	// The claim comes first: it waits for whoever else is at work with the same key, so that what is read below is final.
	finish := keyuse.Queue(b, now, claims...)
	queuePrepared(b, now, drafts, isNew)
	if allNew {
		if _, err := audit.Queue(b, now, by, events...); err != nil {
			return err
		}
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	if err := finish(ctx, tx); err != nil {
		return err
	}
	if allNew {
		if slices.Contains(isNew, false) {
			return errPreparedBefore
		}
		return nil
	}
	events = nil
	for n, d := range drafts {
		var err error
		if isNew[n] {
			events = append(events, d.prepared())
		} else if out[n], err = preparedBefore(ctx, tx, now, d); err != nil {
			return err
		}
	}
	_, err := audit.Append(ctx, tx, now, by, events...)
	return err
}

// prepared is the event of a draft that is stored.
func (d *draft) prepared() audit.Event {
	return audit.Event{Kind: "certificate.prepared", Subject: subjectOf(d.profile.issuer.id, d.serial), Person: d.Person, Data: d.event()}
}

// event is what the audit log says of a draft.
func (d *draft) event() any {
	mailboxes := make([]string, len(d.mailboxes))
	for n, m := range d.mailboxes {
		mailboxes[n] = m.String()
	}
	return struct {
		Request   uuid.UUID `json:"request"`
		Profile   string    `json:"profile"`
		Key       string    `json:"key"`
		Digest    string    `json:"digest"`
		Mailboxes []string  `json:"mailboxes,omitempty"`
		Hosts     []string  `json:"hosts,omitempty"`
		NotAfter  time.Time `json:"not_after"`
		Lint      string    `json:"lint"`
	}{d.ID, d.profile.name, fmt.Sprintf("%x", keyuse.HashOf(d.key.spki)), fmt.Sprintf("%x", d.digest), mailboxes, d.hosts, d.notAfter, lintVersion}
}

// draft builds the bytes and lints them.
func (a *Authority) draft(q *asked, now time.Time) (*draft, error) {
	i := q.profile.issuer
	if !i.CanSign() {
		return nil, ErrNoSigner.Withf("The key of the issuer %s is not at hand.", i.id)
	}
	d := &draft{asked: q}
	var err error
	if d.serial, err = a.serial(); err != nil {
		return nil, err
	}
	if err := d.setValidity(now); err != nil {
		return nil, err
	}
	t, err := d.parts()
	if err != nil {
		return nil, err
	}
	if d.tbs, err = t.marshal(); err != nil {
		return nil, err
	}
	if err := a.lint.check(q, d.tbs); err != nil {
		return nil, err
	}
	h := i.algorithm.hash.New()
	h.Write(d.tbs)
	d.digest = h.Sum(nil)
	return d, nil
}

// parts returns what the bytes are built from. Most extensions were encoded when the profile and the issuer were checked.
func (d *draft) parts() (tbs, error) {
	p, i := d.profile, d.profile.issuer
	id, err := keyIdentifier(d.key.spki)
	if err != nil {
		return tbs{}, err
	}
	keyID, err := subjectKeyID(id)
	if err != nil {
		return tbs{}, err
	}
	var names []byte
	if len(d.mailboxes)+len(d.hosts) > 0 {
		empty := len(d.subject) == 2
		if names, err = subjectAltNames(d.mailboxes, d.hosts, empty); err != nil {
			return tbs{}, err
		}
	}
	points, info := i.crlPoints, i.authorityInfo
	if p.ocsp() {
		points, info = nil, nil
	}
	e := p.encoded
	return tbs{serial: d.serial, algorithm: i.algorithm.der, issuer: i.cert.RawSubject, notBefore: d.notBefore, notAfter: d.notAfter,
		subject: d.subject, spki: d.key.spki, extensions: [][]byte{e.keyUsage[d.key.algorithm], e.extKeyUsage, keyID,
			i.authorityKeyID, e.policies, names, points, info, e.capabilities, e.noCheck}}, nil
}

// setValidity sets the first and the last second: both belong to the certificate (S/MIME BR §6.3.2).
func (d *draft) setValidity(now time.Time) error {
	issuer := d.profile.issuer.cert
	d.notBefore = now.Add(-backdate).Truncate(time.Second)
	if d.notBefore.Before(issuer.NotBefore) {
		d.notBefore = issuer.NotBefore
	}
	d.notAfter = d.notBefore.Add(d.profile.validity - time.Second)
	if d.notAfter.After(issuer.NotAfter) {
		d.notAfter = issuer.NotAfter
	}
	if now.Before(issuer.NotBefore) || !now.Before(d.notAfter) {
		return ErrIssuerEnd.Withf("The certificate of the issuer %s is valid from %s to %s.", d.profile.issuer.id,
			issuer.NotBefore.Format(time.DateOnly), issuer.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// mailboxKeys are the addresses as they are searched for.
func (d *draft) mailboxKeys() []string {
	keys := make([]string, len(d.mailboxes))
	for n, m := range d.mailboxes {
		keys[n] = m.key()
	}
	return keys
}

// mailboxKey returns the form in which addresses are searched: in lower case. It accepts anything.
func mailboxKey(s string) string {
	if m, err := ParseMailbox(s); err == nil {
		return m.key()
	}
	return strings.ToLower(s)
}
