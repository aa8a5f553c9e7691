package agent

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
)

const rostersFile = "rosters.json"

var (
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidAnyUsage    = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
)

// rosters are the rosters of officers that this workstation has seen, by the archive's key: what a later one is compared
// with.
type rosters struct {
	Version int          `json:"version"`
	Seen    []seenRoster `json:"seen"`
}

type seenRoster struct {
	KeyID  string    `json:"key_id"`
	Hash   string    `json:"hash"`
	Since  time.Time `json:"since"`
	Roster []byte    `json:"roster"`
}

func decodeRosters(data []byte) (*rosters, error) {
	r := &rosters{}
	if err := decodeState(data, r); err != nil {
		return nil, err
	}
	if r.Version != stateVersion {
		return nil, versionFault(r.Version)
	}
	return r, nil
}

// remember compares a verified roster with those seen before and keeps it. What it returns is for a person to read; it is
// empty if there is nothing to say.
func (a *Agent) remember(dir string, r *record.Roster) (warning string, err error) {
	seen, err := load(dir, rostersFile, decodeRosters)
	if err != nil {
		return "", err
	}
	if seen == nil {
		seen = &rosters{Version: stateVersion}
	}
	now := seenRoster{KeyID: r.KeyID().String(), Hash: r.Hash().String(), Since: a.cfg.Now().UTC(), Roster: r.Bytes()}
	i := slices.IndexFunc(seen.Seen, func(s seenRoster) bool { return s.KeyID == now.KeyID })
	switch {
	case i >= 0 && seen.Seen[i].Hash == now.Hash:
		return "", nil
	case i >= 0:
		warning = changedRoster(&seen.Seen[i], r)
		seen.Seen[i] = now
	default:
		if len(seen.Seen) > 0 {
			warning = "WARNING: the server names officers for an archive key that this machine has never seen. " +
				"That is right only if your organisation has made a new archive key. Ask the officers on the telephone before you go on."
		}
		seen.Seen = append(seen.Seen, now)
	}
	return warning, save(dir, rostersFile, seen)
}

func changedRoster(before *seenRoster, r *record.Roster) string {
	old, err := record.ParseRoster(before.Roster)
	if err == nil && r.VerifySuccessor(old) == nil {
		return "WARNING: the officers have changed since " + before.Since.Format(time.DateOnly) + ". The new list says that it was made from the old one. " +
			"If nobody told you of that, ask one of the officers you knew."
	}
	return "WARNING: the server names other officers than on " + before.Since.Format(time.DateOnly) + ", and their list was NOT made from the one seen then. " +
		"Somebody may have put other officers in their place. Ask the officers you knew on the telephone before you go on."
}

// rosterOf reads a roster that the server sent, and holds that it was signed by all its officers, and that their certificates
// and the recipients' chain to the trusted roots and are for that purpose.
func (a *Agent) rosterOf(raw []byte, intermediates [][]byte) (*record.Roster, error) {
	r, err := record.ParseRoster(raw)
	if err != nil {
		return nil, ErrOfficers.Withf("The list of officers that came cannot be read.").Because(err)
	}
	// The pin is the hash itself: which roster it must be, the officers' own tools know.
	opt := record.VerifyOptions{Pins: []record.Hash{r.Hash()}, SingleAgentMayOpenAlone: r.Plan.SingleAgentMayOpenAlone}
	if err := r.Verify(opt); err != nil {
		return nil, ErrOfficers.Because(err)
	}
	between, err := parseBetween(intermediates)
	if err != nil {
		return nil, ErrOfficers.Withf("An issuing certificate that came with the officers' cannot be read.").Because(err)
	}
	for _, o := range r.Plan.Agents {
		for usage, cert := range map[*asn1.ObjectIdentifier]*x509.Certificate{&api.OIDAgentSigning: o.Signing, &api.OIDAgentDecryption: o.Decryption} {
			if err := a.certifiedFor(cert, between, *usage, o.Name); err != nil {
				return nil, err
			}
		}
	}
	for _, c := range r.Plan.Recipients {
		if err := a.certifiedFor(c.Certificate, between, api.OIDRecipient, c.Name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// maxBetween is how many issuing certificates may come with a roster.
const maxBetween = 200

func parseBetween(list [][]byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range list[:min(len(list), maxBetween)] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, cert)
	}
	return out, nil
}

// certifiedFor holds that a certificate of somebody's was issued for the usage, by authorities that may, under a trusted
// root. That it has ended is no fault: who may still answer, [inTime] tells.
func (a *Agent) certifiedFor(cert *x509.Certificate, between []*x509.Certificate, usage asn1.ObjectIdentifier, name string) error {
	switch {
	case cert.Subject.CommonName != name:
		return ErrOfficers.Withf("The list of officers calls somebody %s whose certificate is for %s.", name, cert.Subject.CommonName)
	case cert.IsCA || len(cert.ExtKeyUsage) > 0 || len(cert.UnknownExtKeyUsage) != 1 || !cert.UnknownExtKeyUsage[0].Equal(usage):
		return ErrOfficers.Withf("The certificate of %s in the list of officers was not issued for that purpose.", name)
	}
	chain, err := a.chainAt(cert, between, a.cfg.Now(), x509.ExtKeyUsageAny)
	if err != nil {
		return ErrOfficers.Withf("The certificate of %s in the list of officers does not chain to the trusted roots.", name).Because(err)
	}
	for _, der := range chain {
		issuer, err := x509.ParseCertificate(der)
		if err != nil || !mayCertify(issuer, usage) {
			return ErrOfficers.Withf("The certificate of %s in the list of officers was issued by an authority that may not issue it.", name)
		}
	}
	return nil
}

// mayCertify reports whether an issuer does not restrict what it certifies to other usages.
func mayCertify(c *x509.Certificate, usage asn1.ObjectIdentifier) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidExtKeyUsage) {
			continue
		}
		var list []asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(e.Value, &list); err != nil || len(rest) > 0 {
			return false
		}
		if !slices.ContainsFunc(list, func(o asn1.ObjectIdentifier) bool { return o.Equal(usage) || o.Equal(oidAnyUsage) }) {
			return false
		}
	}
	return true
}

// inTime reports whether an officer's signature certificate is valid at a time.
func inTime(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
}

// Officer is one of those who are asked in a case.
type Officer struct {
	Agent  uint16 `json:"officer"` // number in the roster
	Name   string `json:"name"`
	Answer string `json:"answer,omitempty"` // approve, deny, or disputed; empty: none yet
	// May is false if the officer cannot answer this case, because they ask or receive, or their certificate is not valid.
	May bool `json:"may_answer"`
}

// officers lists who may be asked about a case and what they said.
func officersOf(r *record.Roster, c *record.SignedCase, answers []api.CaseAnswer, now time.Time) []Officer {
	var out []Officer
	for _, agent := range r.Plan.Agents {
		o := Officer{Agent: agent.ID, Name: agent.Name, May: inTime(agent.Signing, now) && c.CheckApprover(r, agent.ID) == nil}
		for _, x := range answers {
			a, err := record.ParseApproval(x.Signed)
			if err != nil || a.Agent != agent.ID || a.Verify(r, c) != nil {
				continue
			}
			if o.Answer = a.Decision.String(); x.Disputed {
				o.Answer = "disputed"
			}
		}
		out = append(out, o)
	}
	return out
}
