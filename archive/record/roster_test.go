package record_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sealpost/sealpost/archive/record"
)

func (p people) signers() []crypto.Signer {
	var out []crypto.Signer
	for _, id := range p.ids() {
		out = append(out, p[id].signKey)
	}
	return out
}

func pinned(r *record.Roster) record.VerifyOptions {
	return record.VerifyOptions{Pins: []record.Hash{r.Hash()}}
}

func TestRosterVerify(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	r := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	again, err := record.ParseRoster(r.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Verify(pinned(r)); err != nil {
		t.Error(err)
	}
	if err := again.Verify(record.VerifyOptions{Pins: []record.Hash{{1}, r.Hash()}}); err != nil {
		t.Errorf("two pins: %v", err)
	}
	if err := again.Verify(record.VerifyOptions{}); !errors.Is(err, record.ErrPin) {
		t.Errorf("no pin: %v", err)
	}
	// Another roster in the database: the same agents made another key.
	other := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	if err := other.Verify(pinned(r)); !errors.Is(err, record.ErrPin) {
		t.Errorf("other roster: %v", err)
	}
	if err := r.CheckUsages(usageSigning, usageDecryption, usageRecipient); err != nil {
		t.Error(err)
	}
	if err := r.CheckUsages(usageSigning, usageSigning, usageRecipient); !errors.Is(err, record.ErrRoster) {
		t.Errorf("usages: %v", err)
	}
	if err := r.CheckUsages(usageSigning, usageDecryption, usageSigning); !errors.Is(err, record.ErrRoster) {
		t.Errorf("recipients' usages: %v", err)
	}
}

func TestSingleAgent(t *testing.T) {
	t.Parallel()
	r, _ := newRoster(t, 1, 2)
	opt := pinned(r)
	if err := r.Verify(opt); !errors.Is(err, record.ErrSingleAgent) {
		t.Errorf("not allowed: %v", err)
	}
	opt.SingleAgentMayOpenAlone = true
	if err := r.Verify(opt); err != nil {
		t.Error(err)
	}
}

// TestEveryByteOfARoster alters each byte: nothing keeps the pin, and nothing even with a new pin keeps the signatures,
// but for the signatures themselves.
func TestEveryByteOfARoster(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	r := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	for i := range r.Bytes() {
		b := bytes.Clone(r.Bytes())
		b[i] ^= 1
		altered, err := record.ParseRoster(b)
		if err != nil {
			continue
		}
		if err := altered.Verify(pinned(r)); !errors.Is(err, record.ErrPin) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if err := altered.Verify(pinned(altered)); err == nil {
			t.Errorf("byte %d may be altered under the agents' signatures", i)
		}
	}
}

// TestForgedRosters have all signatures, because the forger has the agents' keys or the agents are careless.
func TestForgedRosters(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	r := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	other := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	for name, change := range map[string]func(*record.Roster){
		"another's public share":    func(r *record.Roster) { r.Members[0].Public = r.Members[1].Public },
		"a public share of nothing": func(r *record.Roster) { r.Members[2].Public = other.Members[2].Public },
		"another archive key":       func(r *record.Roster) { r.Commitments[0] = other.Commitments[0] },
		"another degree":            func(r *record.Roster) { r.Commitments[1] = other.Commitments[1] },
	} {
		forged := must(record.ParseRoster(r.Bytes()))(t)
		change(forged)
		forged = must(forged.Resign(p.signers()))(t)
		if err := forged.Verify(pinned(forged)); !errors.Is(err, record.ErrRoster) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A sealed share that belongs to another archive, signed by its own agent: only that agent can see it, and does.
	forged := must(record.ParseRoster(r.Bytes()))(t)
	forged.Members[0].Sealed = other.Members[0].Sealed
	forged = must(forged.Resign(p.signers()))(t)
	if err := forged.Verify(pinned(forged)); err != nil {
		t.Fatal(err)
	}
	if _, err := forged.OpenShare(1, p[1].key()); !errors.Is(err, record.ErrShare) {
		t.Errorf("another archive's share: %v", err)
	}
	forged.Members[1].Sealed = forged.Members[2].Sealed
	if _, err := forged.OpenShare(2, p[2].key()); err == nil {
		t.Error("another agent's share opens")
	}
	if _, err := r.OpenShare(1, p[2].key()); err == nil {
		t.Error("another agent's key opens")
	}
	if _, err := r.OpenShare(9, p[1].key()); !errors.Is(err, record.ErrShare) {
		t.Errorf("an agent that does not exist: %v", err)
	}
}

func TestSuccessor(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	r := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	n := perform(t, newPlan(t, resharePlan(t, r, []uint16{1, 3}, 2, p)), r, p, p)
	if err := n.VerifySuccessor(r); err != nil {
		t.Error(err)
	}
	stranger := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	for name, err := range map[string]error{
		"a stranger":  stranger.VerifySuccessor(r),
		"of another":  n.VerifySuccessor(stranger),
		"the reverse": r.VerifySuccessor(n),
		"itself":      n.VerifySuccessor(n),
	} {
		if !errors.Is(err, record.ErrRoster) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// All agents together make a key of their own and pass it off as the reshare of the old one.
	forged := must(record.ParseRoster(n.Bytes()))(t)
	forged.Commitments = stranger.Commitments
	for i := range forged.Members {
		forged.Members[i].Public = stranger.Members[i].Public
	}
	forged = must(forged.Resign(p.signers()))(t)
	if err := forged.Verify(pinned(forged)); err != nil {
		t.Fatal(err)
	}
	if err := forged.VerifySuccessor(r); !errors.Is(err, record.ErrRoster) {
		t.Errorf("another key as a reshare: %v", err)
	}
}

// TestTwoSetsOfDealers: a rogue notice board shows one set of dealers to some new agents and another to the others. The
// two sharings are of the same key, but their shares do not fit together; no roster can come of it.
func TestTwoSetsOfDealers(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	r := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	var views []*record.Ceremony
	for _, dealers := range [][]uint16{{1, 2}, {1, 3}} {
		c := newCeremony(t, newPlan(t, resharePlan(t, r, dealers, 2, p)), r)
		var machines []*record.Ceremony
		for _, d := range dealers {
			m := newCeremony(t, c.Plan(), r)
			add(t, c, must(m.Commit(d, openShare(t, r, d, p), p[d].signKey))(t))
			machines = append(machines, m)
		}
		for i, d := range dealers {
			add(t, machines[i], c.Messages()...)
			add(t, c, must(machines[i].Reveal(p[d].signKey))(t))
		}
		views = append(views, c)
	}
	ack := must(views[1].Acknowledge(3, p[3].key(), p[3].signKey))(t)
	for _, id := range []uint16{1, 2} {
		must(views[0].Acknowledge(id, p[id].key(), p[id].signKey))(t)
	}
	named(t, "an acknowledgement of the other set", views[0].Add(ack), record.ErrAgent, "agent 3")
	for i, m := range views[1].Messages() {
		if err := views[0].Add(m); err == nil && i < 4 {
			t.Errorf("message %d of the other set is accepted", i)
		}
	}
	if _, err := views[0].Roster(); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("a roster of two sets: %v", err)
	}
}

// TestOpenSSLOpensAShare: an officer's share does not depend on our reading of CMS.
func TestOpenSSLOpensAShare(t *testing.T) {
	t.Parallel()
	r, p := newRoster(t, 2, 3)
	dir := t.TempDir()
	write := func(name, typ string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := write("key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p[2].openKey.PrivateKey))(t))
	cert := write("cert.pem", "CERTIFICATE", p[2].decryption.Raw)
	cmd := exec.Command("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", key, "-recip", cert)
	cmd.Stdin = bytes.NewReader(r.Members[1].Sealed)
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if share := openShare(t, r, 2, p); len(got) != 68 || !bytes.Equal(got[36:], share.Scalar.Bytes()) {
		t.Errorf("openssl opens %d bytes, and not the share", len(got))
	}
}

func TestParseHash(t *testing.T) {
	t.Parallel()
	h := record.Hash{1, 2, 3}
	if got, err := record.ParseHash(h.String()); err != nil || got != h {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "00", h.String() + "00", "zz" + h.String()[2:]} {
		if _, err := record.ParseHash(s); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
