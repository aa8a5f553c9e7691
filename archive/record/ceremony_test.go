package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
)

// reopened opens an older record with the agents of a newer roster.
func reopened(t *testing.T, r *record.Roster, p people, in *record.InnerRecord) {
	t.Helper()
	var shares []threshold.Share
	for _, id := range p.ids() {
		shares = append(shares, openShare(t, r, id, p))
	}
	mustOpen(t, r, in, pkcs8Of("alice"), shares[:r.Plan.Threshold]...)
	mustOpen(t, r, in, pkcs8Of("alice"), shares[len(shares)-int(r.Plan.Threshold):]...)
}

func TestAgentsMakeTheKeyAndPassItOn(t *testing.T) {
	t.Parallel()
	for _, origin := range []record.Origin{record.OriginAgents, record.OriginDealer} {
		t.Run(origin.String(), func(t *testing.T) {
			t.Parallel()
			p := agents(t, 3)
			plan := planFor(t, 2, p)
			if origin == record.OriginDealer {
				plan = dealerPlan(t, 2, p)
			}
			r := perform(t, newPlan(t, plan), nil, p, p)
			k := newWrappingKey(t, "server")
			in := unwrap(t, seal(t, r, k, "alice"), k)
			reopened(t, r, p, in)

			// Two of the three pass it on to five new agents, of whom three must act; two of the five are old ones.
			q := people{2: newPerson(t, "officer X"), 3: p[3], 5: newPerson(t, "officer Y"), 8: p[1], 300: newPerson(t, "officer Z")}
			n := perform(t, newPlan(t, resharePlan(t, r, []uint16{1, 3}, 3, q)), r, p, q)
			if n.Key() != r.Key() || n.Epoch() != 2 || n.Plan.Origin != origin {
				t.Errorf("epoch %d, origin %v, same key %v", n.Epoch(), n.Plan.Origin, n.Key() == r.Key())
			}
			reopened(t, n, q, in)
			// And all five back to two of three.
			o := perform(t, newPlan(t, resharePlan(t, n, q.ids(), 2, p)), n, q, p)
			reopened(t, o, p, in)
			old := []threshold.Share{openShare(t, r, 1, p), openShare(t, o, 2, p)}
			if _, err := open(t, o, in, old...); !errors.Is(err, record.ErrNotOpened) {
				t.Errorf("an old share with a new one: %v", err)
			}
			if err := o.VerifySuccessor(r); !errors.Is(err, record.ErrRoster) {
				t.Errorf("a grandchild passes for a child: %v", err)
			}
		})
	}
}

func TestSaveAndResumeBetweenAllSteps(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	first := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	for name, previous := range map[string]*record.Roster{"new key": nil, "reshare": first} {
		plan := newPlan(t, planFor(t, 2, p))
		if previous != nil {
			plan = newPlan(t, resharePlan(t, previous, []uint16{1, 2}, 2, p))
		}
		machines := map[uint16][]byte{}
		for id := range p {
			machines[id] = save(t, newCeremony(t, plan, previous))
		}
		board := newCeremony(t, plan, previous)
		step := func(id uint16, do func(*record.Ceremony) ([]byte, error)) {
			c, err := record.ResumeCeremony(machines[id], previous)
			if err != nil {
				t.Fatal(name, err)
			}
			add(t, c, board.Messages()...)
			m, err := do(c)
			if err != nil {
				t.Fatal(name, err)
			}
			machines[id] = save(t, c)
			again, err := record.ResumeCeremony(machines[id], previous)
			if err != nil {
				t.Fatal(name, err)
			}
			same, err := do(again)
			if err != nil || !bytes.Equal(m, same) {
				t.Errorf("%s: the same step twice gives another message: %v", name, err)
			}
			add(t, board, m, m)
		}
		expect(t, board, record.RoundCommit, plan.Dealers)
		for _, id := range plan.Dealers {
			step(id, func(c *record.Ceremony) ([]byte, error) {
				return c.Commit(id, oldShare(t, previous, id, p), p[id].signKey)
			})
		}
		expect(t, board, record.RoundReveal, plan.Dealers)
		for _, id := range plan.Dealers {
			step(id, func(c *record.Ceremony) ([]byte, error) { return c.Reveal(p[id].signKey) })
		}
		expect(t, board, record.RoundAcknowledge, p.ids())
		for id := range p {
			step(id, func(c *record.Ceremony) ([]byte, error) { return c.Acknowledge(id, p[id].key(), p[id].signKey) })
		}
		expect(t, board, record.RoundDone, nil)
		if _, err := board.Roster(); err != nil {
			t.Error(name, err)
		}
	}
}

func save(t *testing.T, c *record.Ceremony) []byte {
	t.Helper()
	b, err := c.Save()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func expect(t *testing.T, c *record.Ceremony, round record.Round, ids []uint16) {
	t.Helper()
	if r, missing := c.Missing(); r != round || !slices.Equal(missing, ids) {
		t.Errorf("round %d misses %v, want round %d and %v", r, missing, round, ids)
	}
}

// TestRevealErasesTheSecret looks for the coefficients in what is saved after round 2.
func TestRevealErasesTheSecret(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	c := newCeremony(t, newPlan(t, dealerPlan(t, 2, p)), nil)
	x := fixedScalar(t, "x")
	poly, err := threshold.PolynomialOf([]threshold.Scalar{x, fixedScalar(t, "y")})
	if err != nil {
		t.Fatal(err)
	}
	secret := x.Bytes()
	if _, err := c.CommitWith(0, poly, fixedKey(t, "machine")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(save(t, c), secret) {
		t.Error("the secret is not kept between the rounds")
	}
	if _, err := c.Reveal(fixedKey(t, "machine")); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(save(t, c), secret) || !bytes.Equal(x.Bytes(), make([]byte, 32)) {
		t.Error("the secret is still there")
	}
}

func TestPlansThatAreRefused(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	r := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	good := func() record.Plan { return planFor(t, 2, p) }
	dealer := func() record.Plan { return dealerPlan(t, 2, p) }
	reshare := func() record.Plan { return resharePlan(t, r, []uint16{1, 2}, 2, p) }
	tests := map[string]struct {
		from   func() record.Plan
		change func(*record.Plan)
	}{
		"no name":                        {good, func(p *record.Plan) { p.Archive = "" }},
		"no session":                     {good, func(p *record.Plan) { p.Session = [16]byte{} }},
		"no epoch":                       {good, func(p *record.Plan) { p.Epoch = 0 }},
		"epoch 2 without a predecessor":  {good, func(p *record.Plan) { p.Epoch = 2 }},
		"epoch 1 with a predecessor":     {reshare, func(p *record.Plan) { p.Epoch = 1 }},
		"no origin":                      {good, func(p *record.Plan) { p.Origin = 0 }},
		"t = 1":                          {good, func(p *record.Plan) { p.Threshold = 1 }},
		"single agent with t = 2":        {good, func(p *record.Plan) { p.SingleAgentMayOpenAlone = true }},
		"t = n":                          {good, func(p *record.Plan) { p.Threshold = 3 }},
		"t = 0":                          {good, func(p *record.Plan) { p.Threshold = 0 }},
		"an agent twice":                 {good, func(p *record.Plan) { p.Agents[1] = p.Agents[0] }},
		"two agents with one id":         {good, func(p *record.Plan) { p.Agents[1].ID = 1 }},
		"agent 0":                        {good, func(p *record.Plan) { p.Agents[0].ID = 0 }},
		"agents out of order":            {good, func(p *record.Plan) { slices.Reverse(p.Agents) }},
		"one person twice":               {good, func(p *record.Plan) { p.Agents[1].Person = p.Agents[0].Person }},
		"nobody":                         {good, func(p *record.Plan) { p.Agents[1].Person = [16]byte{} }},
		"no agent's name":                {good, func(p *record.Plan) { p.Agents[1].Name = "" }},
		"misleading agent's name":        {good, func(p *record.Plan) { p.Agents[1].Name = "a\u202eb" }},
		"one decryption key twice":       {good, func(p *record.Plan) { p.Agents[1].Decryption = p.Agents[0].Decryption }},
		"one key for both":               {good, func(p *record.Plan) { p.Agents[1].Decryption = p.Agents[1].Signing }},
		"certificates swapped":           {good, func(p *record.Plan) { a := &p.Agents[1]; a.Signing, a.Decryption = a.Decryption, a.Signing }},
		"no certificate":                 {good, func(p *record.Plan) { p.Agents[1].Signing = nil }},
		"an agent as recipient":          {good, func(p *record.Plan) { p.Recipients[0].Certificate = p.Agents[0].Decryption }},
		"no recipient's certificate":     {good, func(p *record.Plan) { p.Recipients[0].Certificate = nil }},
		"a recipient twice":              {good, func(p *record.Plan) { p.Recipients[0] = p.Recipients[1] }},
		"a recipient for nothing":        {good, func(p *record.Plan) { p.Recipients[0].Uses = 0 }},
		"a recipient for unknown":        {good, func(p *record.Plan) { p.Recipients[0].Uses = 4 }},
		"not all agents deal":            {good, func(p *record.Plan) { p.Dealers = p.Dealers[:2] }},
		"nobody deals":                   {good, func(p *record.Plan) { p.Dealers = nil }},
		"a dealer's key where none is":   {good, func(p *record.Plan) { p.DealerKey = []byte{1} }},
		"a machine without a key":        {dealer, func(p *record.Plan) { p.DealerKey = nil }},
		"a machine with garbage for key": {dealer, func(p *record.Plan) { p.DealerKey = []byte{0x30, 0} }},
		"a machine and an agent":         {dealer, func(p *record.Plan) { p.Dealers = []uint16{0, 1} }},
		"agent deals as machine":         {dealer, func(p *record.Plan) { p.Dealers = []uint16{1} }},
		"machine deals in a reshare":     {reshare, func(p *record.Plan) { p.Dealers = []uint16{0, 1} }},
		"dealers out of order":           {reshare, func(p *record.Plan) { p.Dealers = []uint16{2, 1} }},
		"one dealer twice":               {reshare, func(p *record.Plan) { p.Dealers = []uint16{1, 1} }},
	}
	for name, tt := range tests {
		if _, err := record.NewPlan(with(tt.from(), tt.change)); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*record.Plan){
		"another roster":       func(p *record.Plan) { p.Previous[0] ^= 1 },
		"an epoch left out":    func(p *record.Plan) { p.Epoch = 3 },
		"another origin":       func(p *record.Plan) { p.Origin = record.OriginDealer },
		"too few dealers":      func(p *record.Plan) { p.Dealers = []uint16{1} },
		"a dealer from abroad": func(p *record.Plan) { p.Dealers = []uint16{1, 9} },
	} {
		if _, err := record.NewCeremony(newPlan(t, with(reshare(), change)), r); !errors.Is(err, record.ErrCeremony) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := record.NewCeremony(newPlan(t, reshare()), nil); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("a reshare of nothing: %v", err)
	}
	if _, err := record.NewCeremony(newPlan(t, good()), r); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("a new key from an old roster: %v", err)
	}
}

// halfway is a ceremony of three agents after round 1, with the machines of the dealers.
func halfway(t *testing.T, p people) (*record.Ceremony, map[uint16]*record.Ceremony) {
	t.Helper()
	plan := newPlan(t, planFor(t, 2, p))
	board := newCeremony(t, plan, nil)
	machines := map[uint16]*record.Ceremony{}
	for id := range p {
		machines[id] = newCeremony(t, plan, nil)
		m, err := machines[id].Commit(id, threshold.Share{}, p[id].signKey)
		if err != nil {
			t.Fatal(err)
		}
		add(t, board, m)
	}
	for id := range p {
		add(t, machines[id], board.Messages()...)
	}
	return board, machines
}

func TestOutOfTurn(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	plan := newPlan(t, planFor(t, 2, p))
	c := newCeremony(t, plan, nil)
	if _, err := c.Reveal(p[1].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("reveal before commit: %v", err)
	}
	if _, err := c.Commit(1, threshold.Share{}, p[2].signKey); !errors.Is(err, record.ErrDealer) {
		t.Errorf("commit with another's key: %v", err)
	}
	if _, err := c.Commit(9, threshold.Share{}, p[1].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("commit of a stranger: %v", err)
	}
	if _, err := c.Commit(1, threshold.Share{Agent: 1, Scalar: fixedScalar(t, "x")}, p[1].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("commit of an old share to a new key: %v", err)
	}
	if _, err := c.Commit(1, threshold.Share{}, p[1].signKey); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Commit(2, threshold.Share{}, p[2].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("a second dealer on one machine: %v", err)
	}
	if _, err := c.Reveal(p[1].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("reveal before all are bound: %v", err)
	}
	if _, err := c.Acknowledge(1, p[1].key(), p[1].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("acknowledge before all have dealt: %v", err)
	}
	if _, err := c.Roster(); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("a roster before the end: %v", err)
	}
	board, machines := halfway(t, p)
	m, err := machines[1].Reveal(p[1].signKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := newCeremony(t, board.Plan(), nil).Add(m); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("a reveal message before round 1 is complete: %v", err)
	}
	other := newCeremony(t, newPlan(t, with(planFor(t, 2, p), func(p *record.Plan) { p.Session[0]++ })), nil)
	for _, m := range board.Messages() {
		if err := other.Add(m); !errors.Is(err, record.ErrCeremony) {
			t.Errorf("a message of another ceremony: %v", err)
		}
	}
	for _, m := range [][]byte{nil, {1}, {1, 6}, {1, 99, 0}, {2, 6, 0}} {
		if err := board.Add(m); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%v: %v", m, err)
		}
	}
}

func named(t *testing.T, what string, err, want error, name string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), name) {
		t.Errorf("%s: %v, want %v naming %q", what, err, want, name)
	}
}

func TestCheatingDealers(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	board, machines := halfway(t, p)
	reveals := map[uint16][]byte{}
	for id := range p {
		m, err := machines[id].Reveal(p[id].signKey)
		if err != nil {
			t.Fatal(err)
		}
		reveals[id] = m
	}
	plan := board.Plan()
	// officer B cheats officer A: garbage, another agent's sub-share, another dealer's, nothing.
	garbage := must(record.SealSubShare(plan, 2, plan.Agents[0], fixedScalar(t, "garbage")))(t)
	fromC := must(record.SealedSubShare(reveals[3], 0))(t)
	forC := must(record.SealedSubShare(reveals[2], 2))(t)
	for name, sealed := range map[string][]byte{
		"a wrong sub-share": garbage, "another dealer's": fromC, "another agent's": forC, "no CMS": {1, 2, 3}, "nothing": nil,
	} {
		m := must(record.Reseal(reveals[2], 0, sealed, p[2].signKey))(t)
		c := newCeremony(t, plan, nil)
		add(t, c, board.Messages()...)
		add(t, c, reveals[1], m, reveals[3])
		_, err := c.Acknowledge(1, p[1].key(), p[1].signKey)
		named(t, name, err, record.ErrDealer, "dealer 2")
		if _, err := c.Acknowledge(3, p[3].key(), p[3].signKey); err != nil && name != "nothing" {
			t.Errorf("%s: officer C was not cheated: %v", name, err)
		}
		// What C acknowledged is of no use to the others, who saw another message.
		if acks := c.Messages(); len(acks) == 7 {
			o := newCeremony(t, plan, nil)
			add(t, o, board.Messages()...)
			add(t, o, reveals[1], reveals[2], reveals[3])
			named(t, name+", shown to one only", o.Add(acks[6]), record.ErrAgent, "agent 3")
		}
	}
	// The machine that shows two different messages.
	c := newCeremony(t, plan, nil)
	add(t, c, board.Messages()...)
	add(t, c, reveals[2])
	m := must(record.Reseal(reveals[2], 0, garbage, p[2].signKey))(t)
	named(t, "two different messages", c.Add(m), record.ErrDealer, "dealer 2 (officer B)")
	m[len(m)-1] ^= 1
	named(t, "a forged second message", c.Add(m), record.ErrDealer, "signature of dealer 2")
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestRevealingOtherCommitments(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	board, machines := halfway(t, p)
	m := must(machines[3].Reveal(p[3].signKey))(t)
	// Dealer 3 waits for round 1 of the others, then makes up another polynomial: another commit message, which it
	// showed to nobody in time.
	late := newCeremony(t, board.Plan(), nil)
	add(t, late, board.Messages()[:2]...)
	other := must(late.Commit(3, threshold.Share{}, p[3].signKey))(t)
	named(t, "two commit messages", board.Add(other), record.ErrDealer, "dealer 3")
	fresh := must(late.Reveal(p[3].signKey))(t)
	named(t, "reveal after another round 1", board.Add(fresh), record.ErrDealer, "other messages of round 1")
	named(t, "reveal in another view", late.Add(m), record.ErrDealer, "dealer 3")
}

func TestCheatingInAReshare(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	r := perform(t, newPlan(t, planFor(t, 2, p)), nil, p, p)
	q := people{1: newPerson(t, "officer X"), 2: newPerson(t, "officer Y"), 3: newPerson(t, "officer Z")}
	plan := newPlan(t, resharePlan(t, r, []uint16{1, 2}, 2, q))
	c := newCeremony(t, plan, r)
	if _, err := c.Commit(1, threshold.Share{}, p[1].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("reshare of nothing: %v", err)
	}
	if _, err := c.Commit(1, openShare(t, r, 2, p), p[1].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("reshare of another's share: %v", err)
	}
	if _, err := c.Commit(1, threshold.Share{Agent: 1, Scalar: fixedScalar(t, "x")}, p[1].signKey); !errors.Is(err, record.ErrCeremony) {
		t.Errorf("reshare of garbage: %v", err)
	}
	if _, err := c.Commit(1, openShare(t, r, 1, p), q[1].signKey); !errors.Is(err, record.ErrDealer) {
		t.Errorf("a new agent deals for an old one: %v", err)
	}
	// The dealer's own tool is made to cheat: a roster that says that its share is another.
	forged := must(record.ParseRoster(r.Bytes()))(t)
	cheat := newCeremony(t, plan, forged)
	forged.Members[0].Public = must(fixedScalar(t, "x").Point())(t)
	commit := must(cheat.Commit(1, threshold.Share{Agent: 1, Scalar: fixedScalar(t, "x")}, p[1].signKey))(t)
	honest := newCeremony(t, plan, r)
	second := must(honest.Commit(2, openShare(t, r, 2, p), p[2].signKey))(t)
	add(t, honest, commit)
	add(t, cheat, second)
	reveal := must(cheat.Reveal(p[1].signKey))(t)
	named(t, "C_10 is not Y_1", honest.Add(reveal), record.ErrDealer, "does not share its own old share")
}

func TestAlteredMessages(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	board, machines := halfway(t, p)
	reveal := must(machines[1].Reveal(p[1].signKey))(t)
	for _, message := range [][]byte{board.Messages()[0], reveal} {
		for i := 0; i < len(message); i += 1 + len(message)/200 {
			m := bytes.Clone(message)
			m[i] ^= 4
			c := newCeremony(t, board.Plan(), nil)
			if message[1] == reveal[1] {
				add(t, c, board.Messages()...)
			}
			if err := c.Add(m); err == nil {
				t.Errorf("message %d is accepted with byte %d altered", message[1], i)
			}
		}
	}
}

func TestStatesThatAreRefused(t *testing.T) {
	t.Parallel()
	p := agents(t, 3)
	plan := newPlan(t, planFor(t, 2, p))
	c := newCeremony(t, plan, nil)
	must(c.Commit(1, threshold.Share{}, p[1].signKey))(t)
	state := save(t, c)
	secret := 2 + 4 + len(plan.Bytes()) + 1
	for name, change := range map[string]func([]byte) []byte{
		"another secret":  func(b []byte) []byte { b[secret+4] ^= 1; return b },
		"another dealer":  func(b []byte) []byte { b[secret+1] = 2; return b },
		"no secret":       func(b []byte) []byte { return append(append(b[:secret+2:secret+2], 0, 0), b[secret+4+64:]...) },
		"no message":      func(b []byte) []byte { return append(b[:secret+4+64:secret+4+64], 0, 0) },
		"trailing bytes":  func(b []byte) []byte { return append(b, 0) },
		"cut off":         func(b []byte) []byte { return b[:len(b)-1] },
		"another version": func(b []byte) []byte { b[0] = 2; return b },
	} {
		if _, err := record.ResumeCeremony(change(bytes.Clone(state)), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
