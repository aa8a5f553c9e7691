package portal

import (
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// soon is how long before its end a certificate is shown as ending.
const soon = 30 * 24 * time.Hour

// card is what somebody sees of one of their two certificates.
type card struct {
	Use         string // "sign" or "read"
	State       string // "none", "good", "ending", "ended", "revoked"
	Certificate *ca.Certificate
	Days        int // until its end
	Serial      string
}

// home shows somebody's two certificates, as they stand.
func (p *Portal) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	found, err := p.Authority.Find(r.Context(), ca.Query{Person: &v.Person.ID, Limit: 200})
	if err != nil {
		return err
	}
	cards := p.cards(found)
	return p.show(w, r, v, http.StatusOK, "home", "home.title", struct {
		Name      string
		Mailboxes []string
		Cards     []card
		Missing   bool
		Person    uuid.UUID
	}{v.Person.Name, v.Person.Mailboxes, cards, slices.ContainsFunc(cards, card.Missing), v.Person.ID})
}

func (p *Portal) cards(found []ca.Certificate) []card {
	return []card{p.card("sign", found, keyuse.Signing, keyuse.Single), p.card("read", found, keyuse.Encryption, keyuse.Single)}
}

// Missing reports whether there is no certificate that is good.
func (c card) Missing() bool { return c.State != "good" && c.State != "ending" }

// card is about the best certificate for a use: one that is good, or else the newest.
func (p *Portal) card(name string, found []ca.Certificate, uses ...keyuse.Use) card {
	out := card{Use: name, State: "none"}
	for i, c := range found { // the newest first
		profile, err := p.Authority.Profile(c.Profile)
		if err != nil || !profile.Mail() || !slices.Contains(uses, profile.Use()) {
			continue
		}
		state := p.stateOf(c)
		if out.Certificate == nil || (out.State != "good" && out.State != "ending" && (state == "good" || state == "ending")) {
			out.Certificate, out.State, out.Serial = &found[i], state, c.Serial.String()
			out.Days = int(c.NotAfter.Sub(p.Now()) / (24 * time.Hour))
		}
	}
	return out
}

func (p *Portal) stateOf(c ca.Certificate) string {
	left := c.NotAfter.Sub(p.Now())
	switch {
	case c.Status.State != ca.Good:
		return "revoked"
	case left < 0:
		return "ended"
	case left < soon:
		return "ending"
	}
	return "good"
}
