package portal

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// routeCertificates has the pages of what people have, renew, revoke and get again.
func (p *Portal) routeCertificates() {
	p.router.Get("/certificates", p.known("certificates", p.certificates))
	p.router.Get("/certificates/{issuer}/{serial}", p.known("certificate", p.certificate))
	p.router.Get("/certificates/{issuer}/{serial}/{file}", p.known("certificate-file", p.certificateFile))
	p.router.Get("/another-device", p.known("another-device", p.anotherDevice))
	p.router.Get("/lost", p.known("lost", p.lost))
	p.router.Post("/lost", p.known("lost-revoke", p.fresh(p.revokeLost)))
	p.router.Get("/lost/done", p.known("lost-done", p.lostDone))
	p.router.Get("/history", p.known("history", p.history))
}

// soon is how long before its end a certificate is shown as ending, if it lasts long enough.
const soon = 30 * 24 * time.Hour

// kept is one certificate as pages show it.
type kept struct {
	ca.Certificate
	Use    string // "sign", "read", "both", "auth", "officer", "service" or "other"
	State  string // "good", "ending", "ended", "held" or "revoked"
	Days   int    // until its end
	Path   string // of its page
	Device device // where it was asked for
	Chosen bool   // in a form
}

// Valid reports whether others accept it now.
func (k kept) Valid() bool { return k.State == "good" || k.State == "ending" }

// Mail reports whether it is for mail.
func (k kept) Mail() bool { return k.Use == "sign" || k.Use == "read" || k.Use == "both" }

// Name is how forms name it.
func (k kept) Name() string { return k.Issuer + "/" + k.Serial.String() }

func (p *Portal) keptOf(c ca.Certificate, from device) kept {
	return kept{Certificate: c, Use: p.useOf(c.Profile), State: p.stateOf(c), Days: int(c.NotAfter.Sub(p.Now()) / (24 * time.Hour)), Path: certificatePath(c.Issuer, c.Serial), Device: from}
}

func certificatePath(issuer string, serial ca.Serial) string {
	return "/certificates/" + issuer + "/" + serial.String()
}

// useOf says what certificates of a profile are for.
func (p *Portal) useOf(profile string) string {
	found, err := p.Authority.Profile(profile)
	if err != nil {
		return "other" // it is not configured any more
	}
	switch {
	case found.Use() == keyuse.Signing && found.Mail():
		return "sign"
	case found.Use() == keyuse.Encryption:
		return "read"
	case found.Use() == keyuse.Single && found.Mail():
		return "both"
	case found.Use() == keyuse.Agent:
		return "officer"
	case found.Use() == keyuse.Service:
		return "service"
	}
	return "auth"
}

func (p *Portal) stateOf(c ca.Certificate) string {
	left := c.NotAfter.Sub(p.Now())
	switch {
	case c.Status.State != ca.Good && c.Status.Reason == ca.CertificateHold:
		return "held"
	case c.Status.State != ca.Good:
		return "revoked"
	case left < 0:
		return "ended"
	case left < min(soon, c.NotAfter.Sub(p.renewalOf(c))):
		return "ending"
	}
	return "good"
}

// renewalOf is from when on a certificate is renewed: the agent does it at the same time.
func (p *Portal) renewalOf(c ca.Certificate) time.Time {
	return c.NotBefore.Add(time.Duration(p.Registry.Renewal.From * float64(c.NotAfter.Sub(c.NotBefore))))
}

// statePill is the kind of pill for a certificate's state.
func statePill(state string) string {
	return map[string]string{"good": "good", "ending": "warn", "held": "warn", "ended": "off", "revoked": "bad"}[state]
}

// withOrigins adds to certificates of a person how they were asked for.
func (p *Portal) withOrigins(ctx context.Context, v *visit, person uuid.UUID, found []ca.Certificate) ([]kept, error) {
	var requests []uuid.UUID
	for _, c := range found {
		if !slices.Contains(requests, c.Request) {
			requests = append(requests, c.Request)
		}
	}
	origins, err := p.Registry.Origins(ctx, v.Caller.Actor, person, requests)
	if err != nil {
		return nil, err
	}
	out := make([]kept, len(found))
	for i, c := range found {
		out[i] = p.keptOf(c, v.language.cameFrom(origins, c.Request))
	}
	return out, nil
}

// cameFrom says where a request was made; the zero device if that is not known.
func (l language) cameFrom(origins map[uuid.UUID]enroll.Origin, request uuid.UUID) device {
	o, known := origins[request]
	switch {
	case !known:
		return device{}
	case o.Agent == "" && o.By.Method == audit.MethodToken:
		return device{l.say("device.token"), "key-round"}
	}
	return l.deviceOf(o.Agent)
}

// certificates shows all that somebody ever had.
func (p *Portal) certificates(w http.ResponseWriter, r *http.Request, v *visit) error {
	l := list{Name: "certificates", Empty: "certificates.empty",
		Columns: []column{{Key: "what", Title: "certificates.what"}, {Key: "state", Title: "certificates.state"}, {Key: "issued", Title: "certificates.issued"},
			{Key: "until", Title: "certificates.until"}, {Key: "device", Title: "certificates.device"}, {Key: "serial", Title: "card.serial"}},
		Choices: []choice{{Key: "state", Title: "certificates.state", Options: []option{{"", "certificates.all"}, {"valid", "certificates.valid"}, {"revoked", "certificates.revoked"}}}},
		Page: func(ctx context.Context, a asked) ([][]cell, string, error) {
			q := ca.Query{Person: &v.Person.ID, Limit: a.Limit, Before: numberOf(a.After)}
			switch a.Choices["state"] {
			case "valid":
				q.ValidAt, q.State = p.Now(), ca.Good
			case "revoked":
				q.State = ca.Revoked
			}
			found, err := p.Authority.Find(ctx, q)
			if err != nil {
				return nil, "", err
			}
			all, err := p.withOrigins(ctx, v, v.Person.ID, found)
			rows := make([][]cell, len(all))
			for i, k := range all {
				rows[i] = []cell{{Text: v.language.say("card." + k.Use), To: k.Path}, {Text: v.language.say("state." + k.State), Pill: statePill(k.State)}, {At: k.IssuedAt}, {At: k.NotAfter},
					{Text: k.Device.Words}, {Text: k.Serial.String(), Code: true}}
			}
			next := ""
			if len(found) == a.Limit {
				next = strconv.FormatInt(found[len(found)-1].Number, 10)
			}
			return rows, next, err
		}}
	if answered, err := p.export(w, r, l); answered {
		return err
	}
	t, err := p.table(r, l)
	if err != nil {
		return err
	}
	return p.show(w, r, v, http.StatusOK, "certificates", "certificates.title", t)
}

// numberOf reads the place where a page begins; what is none is the beginning.
func numberOf(after string) int64 {
	n, err := strconv.ParseInt(after, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// oneCertificate is the page of one certificate.
type oneCertificate struct {
	Kept      kept
	Own       bool
	Of        string // whom it names
	Reason    string // of its revocation
	Explained []explained
	Renewal   time.Time
	Downloads []download
}

// download is a file that somebody may take along.
type download struct{ Path, Name string }

// certificate shows one certificate, field by field.
func (p *Portal) certificate(w http.ResponseWriter, r *http.Request, v *visit) error {
	c, err := p.findOwn(r, v, "certificate")
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	all, err := p.withOrigins(r.Context(), v, c.Person, []ca.Certificate{c})
	if err != nil {
		return err
	}
	one := oneCertificate{Kept: all[0], Own: c.Person == v.Person.ID, Of: readName(parsed.Subject), Explained: v.language.explain(parsed), Renewal: p.renewalOf(c)}
	if c.Status.State != ca.Good {
		one.Reason = v.language.reason(c.Status.Reason.String())
	}
	for _, name := range []string{"certificate.cer", "certificate.pem", "chain.pem", "chain.p7b"} {
		one.Downloads = append(one.Downloads, download{one.Kept.Path + "/" + name, name})
	}
	title := "kind." + one.Kept.Use
	if one.Own {
		title = "card." + one.Kept.Use
	}
	return p.show(w, r, v, http.StatusOK, "certificate", title, one)
}

// reason is why something was revoked, in words.
func (l language) reason(name string) string {
	if key := "reason." + name; texts[key].EN != "" {
		return l.say(key)
	}
	return name
}

// findOwn returns the certificate that the address names, if it is the reader's own, or the reader looks after those of others:
// then that is recorded. For everybody else there is none.
func (p *Portal) findOwn(r *http.Request, v *visit, page string) (ca.Certificate, error) {
	serial, err := ca.ParseSerial(r.PathValue("serial"))
	if err != nil {
		return ca.Certificate{}, ca.ErrNotFound.Because(err)
	}
	c, err := p.Authority.Certificate(r.Context(), r.PathValue("issuer"), serial)
	if err != nil {
		return c, err
	}
	if c.Person != v.Person.ID && !v.has(audit.Registrar, audit.Auditor, audit.Operator) {
		return ca.Certificate{}, ca.ErrNotFound
	}
	return c, p.viewed(r.Context(), v, page, c.Person)
}

// parseName reads what a form calls a certificate.
func parseName(name string) (issuer string, serial ca.Serial, err error) {
	issuer, text, ok := strings.Cut(name, "/")
	if !ok {
		return "", "", ca.ErrNotFound
	}
	if serial, err = ca.ParseSerial(text); err != nil {
		return "", "", ca.ErrNotFound.Because(err)
	}
	return issuer, serial, nil
}
