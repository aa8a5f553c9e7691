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
	"github.com/sealpost/sealpost/internal/pg"
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

	stored *preparedRow // as it was when this was made; nil: Sign reads it
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
	out, err := a.prepareNew(ctx, by, now, drafts)
	for n := 0; pg.Violates(err, preparedTwice) && n < 3; n++ { // again, when another has just written what was missing
		out, err = a.prepareRest(ctx, by, now, drafts)
	}
	if errors.Is(err, ErrStale) {
		for _, r := range reqs {
			if _, err := a.Abandon(ctx, by, r.ID); err != nil {
				return nil, err
			}
		}
		out, err = a.prepareRest(ctx, by, now, drafts)
	}
	return out, err
}

// prepareNew stores drafts with their claims and events, in one round trip. When one of them is not new, it stores
// nothing.
func (a *Authority) prepareNew(ctx context.Context, by audit.Actor, now time.Time, drafts []*draft) ([]Prepared, error) {
	b := &pgx.Batch{}
	queueClaims(b, now, drafts)
	out, err := queueDrafts(b, by, now, drafts)
	if err != nil {
		return nil, err
	}
	if err := a.db.Batch(ctx, role, b); err != nil {
		return nil, err
	}
	return out, nil
}

// prepareRest stores those drafts that are new, and finds the others.
func (a *Authority) prepareRest(ctx context.Context, by audit.Actor, now time.Time, drafts []*draft) ([]Prepared, error) {
	out := make([]Prepared, len(drafts))
	err := a.db.InTx(ctx, role, func(tx pgx.Tx) error {
		// The claim comes first: it waits for whoever else is at work with the same key, so that what is read is final.
		b := &pgx.Batch{}
		queueClaims(b, now, drafts)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		var fresh []*draft
		var places []int
		for n, d := range drafts {
			p, found, err := preparedBefore(ctx, tx, now, d)
			if err != nil {
				return err
			}
			if out[n] = p; !found {
				fresh, places = append(fresh, d), append(places, n)
			}
		}
		b = &pgx.Batch{}
		added, err := queueDrafts(b, by, now, fresh)
		if err != nil {
			return err
		}
		for i, p := range added {
			out[places[i]] = p
		}
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func queueClaims(b *pgx.Batch, now time.Time, drafts []*draft) {
	for _, d := range drafts {
		keyuse.Queue(b, now, keyuse.Claim{Key: keyuse.HashOf(d.key.spki), Use: d.profile.use, Person: d.Person})
	}
}

// queueDrafts stores drafts with their events.
func queueDrafts(b *pgx.Batch, by audit.Actor, now time.Time, drafts []*draft) ([]Prepared, error) {
	out, events := make([]Prepared, len(drafts)), make([]audit.Event, len(drafts))
	for n, d := range drafts {
		row := d.row(now)
		out[n], events[n] = row.prepared(), d.prepared()
		queuePrepared(b, d, row)
	}
	_, err := audit.Queue(b, now, by, events...)
	return out, err
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
		Partition int       `json:"partition,omitempty"`
		Lint      string    `json:"lint"`
	}{d.ID, d.profile.name, fmt.Sprintf("%x", keyuse.HashOf(d.key.spki)), fmt.Sprintf("%x", d.digest), mailboxes, d.hosts, d.notAfter, d.partition, lintVersion}
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
	if !q.profile.ocsp() { // a responder's certificate names no list
		d.partition = i.partitionOf(d.serial)
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
	points, info := i.crlPoints[d.partition], i.authorityInfo
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
