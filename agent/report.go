package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

const (
	reportAgain   = 20 * time.Hour   // what has not changed is said again after
	reportTimeout = 15 * time.Second // that it may take: nobody waits for it
	maxReported   = 32               // certificates
)

// Report tells the server how things stand on this machine, for each person in the folder: what is here, and what went wrong since it
// last heard. It does so when something has changed, or a day has passed. That it cannot is no failure of anything: the next run tries again.
func (a *Agent) Report(ctx context.Context) error {
	machine, err := a.Machine()
	if err != nil || machine == uuid.Nil {
		return err
	}
	ids, err := a.Identities()
	if err != nil {
		return err
	}
	var failed error
	for _, id := range ids {
		failed = errors.Join(failed, a.report(ctx, machine, id, len(ids) == 1))
	}
	return failed
}

// ReportAfter is Report at the end of a run: that it fails is a note, for who looks for one.
func (a *Agent) ReportAfter(ctx context.Context) {
	if a.memory.isAway() { // nobody should wait for it once more
		return
	}
	if err := a.Report(ctx); err != nil {
		a.cfg.Log.Info("the server was not told how things stand here; the next run tries again", "error", err)
	}
}

// report tells of one person's certificates here.
func (a *Agent) report(ctx context.Context, machine uuid.UUID, id *Identity, alone bool) error {
	r, err := a.machineReport(id, alone)
	if err != nil {
		return err
	}
	said, err := reportHash(r)
	if err != nil {
		return err
	}
	now := a.cfg.Now()
	fresh := false
	a.readOutcomes(func(o *outcomes) {
		p := o.person(id.Person.ID)
		fresh = p.Told == said && p.ToldAt != nil && now.Sub(*p.ToldAt).Abs() < reportAgain
	})
	if fresh {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	c, err := a.dialToReport(ctx, id)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.ReportMachine(ctx, machine, r); err != nil {
		return err
	}
	unlock, err := a.lock()
	if errors.Is(err, ErrBusy) { // another run has begun: it will say the same once more
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	a.noteOutcomes(func(o *outcomes) {
		p, at := o.person(id.Person.ID), now.UTC()
		p.Told, p.ToldAt = said, &at
	})
	return nil
}

// dialToReport returns a client with whatever says that this person asks, the certificate first.
func (a *Agent) dialToReport(ctx context.Context, id *Identity) (*client.Client, error) {
	cfg := a.cfg.Server
	cfg.Retries = -1
	var err error
	if cfg.Machine, err = a.Machine(); err != nil {
		return nil, err
	}
	cert, err := id.clientCertificate(a.cfg.Now())
	if err == nil {
		cfg.Login, cfg.Password, cfg.Token, cfg.Kerberos, cfg.ClientCertificate = "", "", "", nil, cert
		return client.New(cfg)
	}
	if !a.hasCredentials() || cfg.Token != "" { // a token is for enrolling
		return nil, err
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, err
	}
	policy, err := c.Policy(ctx) // a login may be another's, who must not have this said as theirs
	if err == nil && policy.Person.ID != id.Person.ID {
		err = ErrAnswerPerson
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// machineReport says how things stand with one person's certificates here.
func (a *Agent) machineReport(id *Identity, alone bool) (r api.MachineReport, err error) {
	r = api.MachineReport{At: a.cfg.Now().UTC().Truncate(time.Second), System: runtime.GOOS, Architecture: runtime.GOARCH, Schedule: a.cfg.Schedule}
	if r.Name, err = os.Hostname(); err != nil {
		r.Name = "" // then it is not said
	}
	r.Version, _, _ = strings.Cut(a.cfg.Server.UserAgent, " ")
	next, err := a.NextDue(id)
	if err != nil {
		return r, err
	}
	if due := next.At.UTC(); !due.IsZero() {
		r.RenewAt = &due
	}
	r.Places = a.reportPlaces()
	if r.Certificates, r.OldKeys.Here, err = id.reportCertificates(); err != nil {
		return r, err
	}
	begun, err := a.loadRestoring(id)
	if err != nil {
		return r, err
	}
	if begun != nil {
		r.OldKeys.Wanted, r.OldKeys.Code = true, ErrCaseWaiting.Code
	}
	a.readOutcomes(func(o *outcomes) {
		p := o.person(id.Person.ID)
		r.SucceededAt, r.Succeeded, r.Stores = p.SucceededAt, p.Succeeded, slices.Clone(p.Stores)
		for _, f := range o.Failures {
			if f.Person != id.Person.ID && f.Person != uuid.Nil || len(r.Failures) == maxOutcomes {
				continue
			}
			if f.Person == uuid.Nil && !alone { // it may be about somebody else
				f.Detail = ""
			}
			r.Failures = append(r.Failures, api.MachineFailure{Code: f.Code, Step: f.Step, Detail: f.Detail, Since: f.Since, At: f.At, Count: f.Count, EndedAt: f.EndedAt})
		}
	})
	return r, nil
}

// reportPlaces says where signing keys can be.
func (a *Agent) reportPlaces() []api.MachinePlace {
	out := []api.MachinePlace{{Place: PlaceSoftware}}
	for _, p := range a.cfg.Places {
		place := api.MachinePlace{Place: p.Name()}
		if _, err := p.Algorithms(); err != nil {
			place.Code = codeInternal
			if f := fault.Of(err); f != nil {
				place.Code = f.Code
			}
		}
		out = append(out, place)
	}
	return out
}

// reportCertificates lists what is here, the current ones first, and counts the keys for old mail.
func (id *Identity) reportCertificates() (out []api.MachineCertificate, old int, err error) {
	current := id.currentHalves()
	all := slices.Clone(current)
	for i := range id.Pairs {
		if h := id.Pairs[i].Encryption; h != nil && !slices.Contains(current, h) {
			all = append(all, h)
		}
	}
	for i := range id.History {
		all = append(all, &id.History[i])
	}
	for i, h := range all {
		now := i < len(current)
		if !now && !h.Key.IsZero() {
			old++
		}
		if len(out) == maxReported || h.Foreign {
			continue
		}
		leaf, err := h.Leaf()
		if err != nil {
			return nil, 0, err
		}
		use := "encryption"
		if now && id.signs(h) {
			use = "signing"
		}
		out = append(out, api.MachineCertificate{Issuer: h.Issuer, Serial: h.Serial, Use: use, Place: h.Key.Place(), NotAfter: leaf.NotAfter.UTC(), Current: now})
	}
	return out, old, nil
}

// signs reports whether a certificate is one to sign with.
func (id *Identity) signs(h *Held) bool {
	return slices.ContainsFunc(id.Pairs, func(p Pair) bool { return p.Signing == h })
}

// reportHash names what a report says, but for when.
func reportHash(r api.MachineReport) (string, error) {
	r.At, r.SucceededAt = time.Time{}, nil
	r.Stores = slices.Clone(r.Stores)
	for i := range r.Stores {
		r.Stores[i].At = nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
