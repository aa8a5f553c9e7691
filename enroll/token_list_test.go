package enroll_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
)

// Tokens that are made together are a list: planned before, seen in each state afterwards, and withdrawn together as far as nobody used them.
func TestTokenLists(t *testing.T) {
	h := setup(t)
	alice, bob, rita, auditor := h.Actor(t, "alice"), h.Actor(t, "bob"), h.Actor(t, "rita"), h.Actor(t, "auditor")
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wish := enroll.TokenBatch{Mailboxes: []string{"nobody@example.test", "alice@example.test", "ALICE@example.test", "bob@example.test", "carol@example.test"}, Life: 24 * time.Hour, Name: "spring", Tell: true}
	planned, err := h.Enroll.PlanTokens(ctx, rita, wish)
	must(err)
	for i, want := range []error{enroll.ErrUnknownRequest, nil, enroll.ErrTokenMade, nil, nil} {
		if (planned[i].Token == nil) != (want != nil) || planned[i].Token != nil && planned[i].Token.Secret != "" || i == 2 && !errors.Is(planned[i].Fault, want) {
			t.Errorf("planned, line %d: %+v", i, planned[i])
		}
	}
	if n := h.Database.Count(t, `select count(*) from enroll.token`); n != 0 {
		t.Errorf("planning made %d", n)
	}
	if _, err := h.Enroll.PlanTokens(ctx, bob, wish); !errors.Is(err, enroll.ErrNotAllowed) {
		t.Errorf("a subscriber plans: %v", err)
	}
	single, err := h.Enroll.MintTokenFor(ctx, rita, enroll.TokenOrder{Person: alice.Person, Life: time.Hour})
	must(err)
	made, err := h.Enroll.MintTokens(ctx, rita, wish)
	must(err)
	list := made[1].Number
	if n := h.Database.Count(t, `select count(*) from river.river_job where kind = 'notice.token' and args->>'about' = 'made'`); n != 3 {
		t.Errorf("%d are told", n)
	}
	if n := events(t, h, "enrolment.token", `"told":true`); n != 3 {
		t.Errorf("%d events say so", n)
	}
	by, err := h.Enroll.TokenActor(ctx, made[1].Token.Secret)
	must(err)
	s, _ := h.Submission(t, by, housetest.Pair)
	s.Token = made[1].Token.Secret
	_, err = h.Enroll.Submit(ctx, by, s)
	must(err)
	_, err = h.Enroll.WithdrawToken(ctx, rita, made[3].Number)
	must(err)
	see := func(who audit.Actor, w enroll.WhichTokens) (numbers []int64) {
		t.Helper()
		for {
			found, next, err := h.Enroll.Tokens(ctx, who, w)
			must(err)
			for _, m := range found {
				numbers = append(numbers, m.Number)
				if m.List != nil && *m.List != list || m.Number == single.Number && m.List != nil {
					t.Errorf("%d is of the list %v", m.Number, m.List)
				}
			}
			if w.After = next; next == "" {
				return numbers
			}
		}
	}
	a, b, c := made[1].Number, made[3].Number, made[4].Number
	for _, q := range []struct {
		what string
		w    enroll.WhichTokens
		want []int64
	}{
		{"open", enroll.WhichTokens{}, []int64{single.Number, c}}, {"any", enroll.WhichTokens{State: enroll.TokenAny, Limit: 2}, []int64{c, b, a, single.Number}},
		{"used", enroll.WhichTokens{State: enroll.TokenUsed}, []int64{a}}, {"withdrawn", enroll.WhichTokens{State: enroll.TokenWithdrawn}, []int64{b}}, {"ended", enroll.WhichTokens{State: enroll.TokenEnded}, nil},
		{"the list", enroll.WhichTokens{State: enroll.TokenAny, List: list}, []int64{c, b, a}}, {"the list's open ones", enroll.WhichTokens{List: list}, []int64{c}},
		{"alice's", enroll.WhichTokens{State: enroll.TokenAny, Person: alice.Person}, []int64{a, single.Number}}, {"one", enroll.WhichTokens{State: enroll.TokenAny, Number: b}, []int64{b}},
	} {
		got := see(auditor, q.w)
		if len(got) != len(q.want) {
			t.Errorf("%s: %v, not %v", q.what, got, q.want)
			continue
		}
		for i := range got {
			if got[i] != q.want[i] {
				t.Errorf("%s: %v, not %v", q.what, got, q.want)
			}
		}
	}
	found, _, err := h.Enroll.Tokens(ctx, auditor, enroll.WhichTokens{State: enroll.TokenAny, List: list})
	must(err)
	if used, gone := found[2], found[1]; used.SpentAt == nil || used.Request == nil || used.State(h.Clock.Now()) != enroll.TokenUsed || gone.WithdrawnAt == nil || *gone.WithdrawnBy != rita.Person || gone.State(h.Clock.Now()) != enroll.TokenWithdrawn {
		t.Errorf("%+v %+v", used, gone)
	}
	stands, err := h.Enroll.TokenList(ctx, auditor, list)
	must(err)
	if stands.All != 3 || stands.Open != 1 || stands.Used != 1 || stands.Withdrawn != 1 || stands.Ended != 0 || stands.MadeBy != rita.Person {
		t.Errorf("%+v", stands)
	}
	for _, unknown := range []int64{single.Number, 4711} {
		if _, err := h.Enroll.TokenList(ctx, rita, unknown); !errors.Is(err, enroll.ErrUnknownToken) {
			t.Errorf("%d is a list: %v", unknown, err)
		}
	}
	for _, who := range []audit.Actor{bob, auditor} {
		if _, err := h.Enroll.WithdrawTokens(ctx, who, list); !errors.Is(err, enroll.ErrNotAllowed) {
			t.Errorf("%s withdraws: %v", who.Name, err)
		}
	}
	if _, err := h.Enroll.TokenList(ctx, bob, list); !errors.Is(err, enroll.ErrNotAllowed) {
		t.Errorf("a subscriber looks: %v", err)
	}
	for _, want := range []int{1, 0} {
		if n, err := h.Enroll.WithdrawTokens(ctx, rita, list); err != nil || n != want {
			t.Errorf("withdrawn together: %d %v, not %d", n, err, want)
		}
	}
	if _, err := h.Enroll.TokenActor(ctx, made[4].Token.Secret); !errors.Is(err, enroll.ErrToken) {
		t.Errorf("it can be used: %v", err)
	}
	if _, err := h.Enroll.TokenActor(ctx, single.Secret); err != nil {
		t.Errorf("another is withdrawn too: %v", err)
	}
	if n := events(t, h, "enrolment.token-withdrawn", `"list":`); n != 2 {
		t.Errorf("%d events", n)
	}
	h.Clock.Advance(2 * time.Hour)
	if got := see(rita, enroll.WhichTokens{State: enroll.TokenEnded}); len(got) != 1 || got[0] != single.Number {
		t.Errorf("ended: %v", got)
	}
}
