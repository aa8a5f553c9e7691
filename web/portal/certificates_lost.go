package portal

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
)

// whys are what may have happened, in the order in which people are asked.
var whys = []string{"lost", "known", "unneeded", "changed"}

// notes are what the audit log is told beside the reason.
var notes = map[string]string{"lost": "The person said in the portal: a device is lost or stolen.", "known": "The person said in the portal: somebody else may know keys or passphrase.",
	"unneeded": "The person said in the portal: not needed any more.", "changed": "The person said in the portal: name or address changed."}

// maxChosen bounds how many certificates one form may name.
const maxChosen = 100

// loss is the page on which people say what happened to a device or a key. It asks one thing at a time; the answers so far are in
// its address, so that the way back works.
type loss struct {
	Step   string // "why", "which" or "sure"
	Why    string
	Whys   []string
	Names  []string // what is chosen
	Groups []machine
	Chosen []kept
	Alone  bool // there is one pair: it is chosen
	Since  string
	Today  string
	Uses   map[string]bool // of what is chosen
	Left   map[string]bool // uses for which something else stays valid
	Failed string
}

// lost asks what happened, to which certificates, and whether they are to be revoked.
func (p *Portal) lost(w http.ResponseWriter, r *http.Request, v *visit) error {
	return p.showLoss(w, r, v, r.URL.Query(), "", http.StatusOK)
}

func (p *Portal) showLoss(w http.ResponseWriter, r *http.Request, v *visit, q url.Values, failed string, status int) error {
	s := loss{Step: "why", Why: q.Get("why"), Whys: whys, Since: q.Get("since"), Today: p.Now().UTC().Format(time.DateOnly), Failed: failed, Uses: map[string]bool{}, Left: map[string]bool{}}
	chosen, err := p.chosen(r.Context(), v, q["c"])
	if err != nil {
		return err
	}
	for _, c := range chosen {
		s.Names = append(s.Names, c.Name())
	}
	switch {
	case !q.Has("why") && !q.Has("ask"):
	case !slices.Contains(whys, s.Why):
		s.Why, s.Failed, status = "", v.language.say("lost.no-why"), http.StatusUnprocessableEntity
	case q.Has("sure") && len(chosen) > 0:
		s.Step = "sure"
	case q.Has("sure"):
		s.Failed, status = v.language.say("lost.none-chosen"), http.StatusUnprocessableEntity
		fallthrough
	default:
		s.Step = "which"
	}
	switch s.Step {
	case "which":
		err = p.choices(r.Context(), v, &s, !q.Has("sure"))
	case "sure":
		err = p.consequences(r.Context(), v, &s, chosen)
	}
	if err != nil {
		return err
	}
	return p.show(w, r, v, status, "lost", "lost."+s.Step, s)
}

// choices are what somebody has that could be revoked. What the address names is chosen; a single pair is, unless they said
// otherwise.
func (p *Portal) choices(ctx context.Context, v *visit, s *loss, first bool) error {
	found, err := p.Authority.Find(ctx, ca.Query{Person: &v.Person.ID, State: ca.Good, ValidAt: p.Now(), Limit: maxChosen})
	if err != nil {
		return err
	}
	all, err := p.withOrigins(ctx, v, v.Person.ID, found)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(k kept) bool { return !p.revocable(k) })
	for i, k := range all {
		n := len(s.Groups)
		if n == 0 || s.Groups[n-1].Kept[0].Request != k.Request {
			s.Groups = append(s.Groups, machine{Device: k.Device, At: k.IssuedAt})
			n++
		}
		all[i].Chosen = slices.Contains(s.Names, k.Name())
		s.Groups[n-1].Kept = append(s.Groups[n-1].Kept, all[i])
	}
	for _, g := range s.Groups {
		signFirst(g.Kept)
	}
	if s.Alone = len(s.Groups) == 1; s.Alone && first && len(s.Names) == 0 {
		for i := range s.Groups[0].Kept {
			s.Groups[0].Kept[i].Chosen = true
		}
	}
	return nil
}

// consequences says what will be so when what is chosen is revoked.
func (p *Portal) consequences(ctx context.Context, v *visit, s *loss, chosen []kept) (err error) {
	found := make([]ca.Certificate, len(chosen))
	for i, k := range chosen {
		s.Uses[k.Use] = true
		found[i] = k.Certificate
	}
	if s.Chosen, err = p.withOrigins(ctx, v, v.Person.ID, found); err != nil {
		return err
	}
	good, err := p.Authority.Find(ctx, ca.Query{Person: &v.Person.ID, State: ca.Good, ValidAt: p.Now(), Limit: maxChosen})
	for _, c := range good {
		k := p.keptOf(c, device{})
		if slices.Contains(s.Names, k.Name()) {
			continue
		}
		s.Left["sign"] = s.Left["sign"] || k.Use == "sign" || k.Use == "both"
		s.Left["read"] = s.Left["read"] || k.Use == "read" || k.Use == "both"
	}
	return err
}

// revocable reports whether people revoke such a certificate here. Recovery depends on officers': an operator replaces those.
func (p *Portal) revocable(k kept) bool { return k.Mail() || k.Use == "auth" || k.Use == "other" }

// chosen are the certificates that a form names. Another's is as one that does not exist, and that it was tried is recorded.
func (p *Portal) chosen(ctx context.Context, v *visit, names []string) ([]kept, error) {
	if len(names) > maxChosen {
		return nil, ErrForm
	}
	var out []kept
	for _, name := range names {
		issuer, serial, err := parseName(name)
		if err != nil {
			return nil, err
		}
		c, err := p.Authority.Certificate(ctx, issuer, serial)
		if err != nil {
			return nil, err
		}
		k := p.keptOf(c, device{})
		if c.Person != v.Person.ID || !p.revocable(k) {
			_, err := p.Audit.Record(ctx, v.Caller.Actor, audit.Event{Kind: "certificate.revocation-refused", Subject: "certificate:" + k.Name(), Person: c.Person,
				Data: map[string]any{"code": ca.ErrNotFound.Code}})
			return nil, errors.Join(ca.ErrNotFound, err)
		}
		if !slices.ContainsFunc(out, func(have kept) bool { return have.Name() == k.Name() }) {
			out = append(out, k)
		}
	}
	return out, nil
}

// revokeLost revokes what somebody chose. What is revoked already stays as it is.
func (p *Portal) revokeLost(w http.ResponseWriter, r *http.Request, v *visit) error {
	form := r.PostForm
	why := form.Get("why")
	chosen, err := p.chosen(r.Context(), v, form["c"])
	if err != nil {
		return err
	}
	since, ok := p.sinceOf(form.Get("since"))
	form.Set("ask", "1") // if it is shown again
	form.Set("sure", "1")
	switch {
	case !slices.Contains(whys, why) || len(chosen) == 0:
		return p.showLoss(w, r, v, form, "", http.StatusUnprocessableEntity)
	case !ok:
		return p.showLoss(w, r, v, form, v.language.say("lost.since-wrong"), http.StatusUnprocessableEntity)
	}
	changed := false
	for _, k := range chosen {
		reason, err := p.reasonOf(r.Context(), v, why, k)
		if err != nil {
			return err
		}
		err = p.Authority.Revoke(r.Context(), v.Caller.Actor, ca.Revocation{Issuer: k.Issuer, Serial: k.Serial, Reason: reason, Invalid: since, Note: notes[why]})
		if err != nil && !errors.Is(err, ca.ErrRevoked) {
			return err
		}
		changed = changed || err == nil
	}
	said := "revoked"
	if !changed {
		said = "revoked-before"
	}
	return p.done(w, r, "/lost/done?"+url.Values{"why": {why}, "c": form["c"]}.Encode(), said)
}

// sinceOf reads the day since when a key is not to be trusted; nothing is fine. Days of people east of here have begun already.
func (p *Portal) sinceOf(day string) (time.Time, bool) {
	if day == "" {
		return time.Time{}, true
	}
	at, err := time.Parse(time.DateOnly, day)
	now := p.Now()
	if err != nil || at.Sub(now) > 14*time.Hour || at.Year() < 2000 {
		return time.Time{}, false
	}
	if at.After(now) {
		at = now
	}
	return at, true
}

// reasonOf is the reason that relying parties are told (RFC 5280 5.3.1).
func (p *Portal) reasonOf(ctx context.Context, v *visit, why string, k kept) (ca.Reason, error) {
	switch why {
	case "lost", "known":
		return ca.KeyCompromise, nil
	case "changed":
		return ca.AffiliationChanged, nil
	}
	newer, err := p.Authority.Find(ctx, ca.Query{Person: &v.Person.ID, Profile: k.Profile, State: ca.Good, ValidAt: p.Now(), Limit: 1})
	if err != nil {
		return 0, err
	}
	if len(newer) > 0 && newer[0].Number > k.Number {
		return ca.Superseded, nil
	}
	return ca.CessationOfOperation, nil
}

// lostDone says what was done, and what comes next.
func (p *Portal) lostDone(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	chosen, err := p.chosen(r.Context(), v, q["c"])
	if err != nil {
		return err
	}
	found, err := p.mine(r.Context(), v)
	if err != nil {
		return err
	}
	next, _ := p.next(cards(found))
	return p.show(w, r, v, http.StatusOK, "lost-done", "lost.done", struct {
		Why     string
		Chosen  []kept
		Next    string
		Restore bool
	}{q.Get("why"), chosen, next, p.leads("/restore")})
}
