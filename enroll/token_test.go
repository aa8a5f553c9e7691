package enroll_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

func events(t *testing.T, h *housetest.House, kind string, like string) int64 {
	t.Helper()
	return h.Database.Count(t, `select count(*) from audit.event where kind = $1 and body like $2`, kind, "%"+like+"%")
}

// Registrars see which tokens wait to be used, and withdraw one: it then opens nothing.
func TestTokensAreListedAndWithdrawn(t *testing.T) {
	h := setup(t)
	alice, bob, rita, auditor := h.Actor(t, "alice"), h.Actor(t, "bob"), h.Actor(t, "rita"), h.Actor(t, "auditor")
	order := enroll.TokenOrder{Person: alice.Person, Life: 48 * time.Hour, Use: enroll.Behalf, Form: uuid.New()}
	second, err := h.Enroll.MintTokenFor(t.Context(), rita, order)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.MintTokenFor(t.Context(), rita, order); !errors.Is(err, enroll.ErrTokenMade) {
		t.Errorf("the same form again: %v", err)
	}
	first, err := h.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: bob.Person, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		by    audit.Actor
		order enroll.TokenOrder
		want  error
	}{
		"a subscriber": {bob, enroll.TokenOrder{Person: alice.Person, Life: time.Hour}, enroll.ErrNotAllowed}, "an auditor": {auditor, order, enroll.ErrNotAllowed},
		"themselves": {rita, enroll.TokenOrder{Person: rita.Person, Life: time.Hour}, enroll.ErrOwnRequest}, "too long": {rita, enroll.TokenOrder{Person: alice.Person, Life: 1000 * time.Hour}, enroll.ErrNotAllowed},
	} {
		if _, err := h.Enroll.MintTokenFor(t.Context(), c.by, c.order); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := h.Enroll.Tokens(t.Context(), bob, enroll.WhichTokens{}); !errors.Is(err, enroll.ErrNotAllowed) {
		t.Errorf("a subscriber lists: %v", err)
	}
	page, next, err := h.Enroll.Tokens(t.Context(), auditor, enroll.WhichTokens{Limit: 1})
	if err != nil || len(page) != 1 || page[0].Number != first.Number || page[0].MadeBy != rita.Person || page[0].Use != enroll.Handed {
		t.Errorf("first page: %+v %v", page, err)
	}
	page, next, err = h.Enroll.Tokens(t.Context(), rita, enroll.WhichTokens{After: next, Limit: 1})
	if err != nil || len(page) != 1 || page[0].Number != second.Number || page[0].Use != enroll.Behalf {
		t.Errorf("second page: %+v %v", page, err)
	}
	for _, after := range []string{next, "x", "1-x", "x-1", "99999999999999999999-1"} {
		if page, _, err := h.Enroll.Tokens(t.Context(), rita, enroll.WhichTokens{After: after}); err != nil || (after == next) != (len(page) == 0) {
			t.Errorf("after %q: %+v %v", after, page, err)
		}
	}
	if page, _, err := h.Enroll.Tokens(t.Context(), rita, enroll.WhichTokens{Person: alice.Person}); err != nil || len(page) != 1 || page[0].Person != alice.Person {
		t.Errorf("of alice: %+v %v", page, err)
	}
	if _, err := h.Enroll.WithdrawToken(t.Context(), alice, second.Number); !errors.Is(err, enroll.ErrNotAllowed) || events(t, h, "enrolment.token-withdrawal-refused", "") != 1 {
		t.Errorf("its person withdraws: %v", err)
	}
	if gone, err := h.Enroll.WithdrawToken(t.Context(), rita, second.Number); err != nil || gone.Person != alice.Person || events(t, h, "enrolment.token-withdrawn", rita.Person.String()) != 1 {
		t.Errorf("withdrawn: %+v %v", gone, err)
	}
	for what, n := range map[string]int64{"twice": second.Number, "one that never was": 4711, "none": 0, "less": -1} {
		if _, err := h.Enroll.WithdrawToken(t.Context(), rita, n); !errors.Is(err, enroll.ErrUnknownToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := h.Enroll.TokenActor(t.Context(), second.Secret); !errors.Is(err, enroll.ErrToken) {
		t.Errorf("its secret still speaks: %v", err)
	}
	s, _ := h.Submission(t, alice, housetest.Pair)
	s.Token = second.Secret
	if _, err := h.Enroll.Submit(t.Context(), alice, s); !errors.Is(err, enroll.ErrToken) {
		t.Errorf("it is spent after all: %v", err)
	}
	h.Clock.Advance(2 * time.Hour)
	if page, _, err := h.Enroll.Tokens(t.Context(), rita, enroll.WhichTokens{}); err != nil || len(page) != 0 {
		t.Errorf("in the end: %+v %v", page, err)
	}
	if _, err := h.Enroll.WithdrawToken(t.Context(), rita, first.Number); !errors.Is(err, enroll.ErrUnknownToken) {
		t.Errorf("one that has ended: %v", err)
	}
	if h.Database.Count(t, `select count(*) from audit.event where body like $1 or body like $2`, "%"+first.Secret+"%", "%"+second.Secret+"%") != 0 {
		t.Error("a secret is in the log")
	}
}

// Nobody is made a token for who could not use it.
func TestNoTokenForWhoCannotEnrol(t *testing.T) {
	h := setup(t)
	rita := h.Actor(t, "rita")
	dave, err := h.Directory.ByLogin(t.Context(), "dave")
	if err != nil {
		t.Fatal(err)
	}
	h.Slapd.Modify(t, "dn: "+slapdtest.PersonDN("carol")+"\nchangetype: modify\ndelete: mail\n")
	carol := h.Actor(t, "carol")
	for what, person := range map[string]uuid.UUID{"disabled": dave.ID, "without an address": carol.Person, "unknown": uuid.New(), "nobody": uuid.Nil} {
		if _, err := h.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: person, Life: time.Hour}); err == nil {
			t.Errorf("%s: there is a token", what)
		}
	}
}

// Who makes a token and asks with it for somebody does not decide on that too; the log names both.
func TestMakerOfATokenDoesNotDecide(t *testing.T) {
	h := setup(t)
	alice, rita := h.Actor(t, "alice"), h.Actor(t, "rita")
	token, err := h.Enroll.MintTokenFor(t.Context(), rita, enroll.TokenOrder{Person: alice.Person, Life: time.Hour, Use: enroll.Behalf})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := h.Submission(t, alice, housetest.Endorsed)
	s.Token = token.Secret
	req, err := h.Enroll.Submit(t.Context(), alice, s)
	if err != nil {
		t.Fatal(err)
	}
	if spent, err := h.Enroll.SpentOn(t.Context(), rita, req.ID); err != nil || spent == nil || spent.Number != token.Number || spent.MadeBy != rita.Person {
		t.Errorf("spent on it: %+v %v", spent, err)
	}
	if _, err := h.Enroll.SpentOn(t.Context(), alice, req.ID); !errors.Is(err, enroll.ErrUnknownRequest) {
		t.Errorf("alice asks: %v", err)
	}
	if n := h.Database.Count(t, `select count(*) from audit.event where kind = 'enrolment.token-spent' and person = $1 and body like $2`, alice.Person, "%"+rita.Person.String()+"%"); n != 1 {
		t.Errorf("%d events name both", n)
	}
	if _, err := h.Enroll.Endorse(t.Context(), rita, req.ID); !errors.Is(err, enroll.ErrOwnToken) {
		t.Errorf("its maker endorses: %v", err)
	}
	h.Slapd.Modify(t, "dn: "+slapdtest.GroupDN("registrars")+"\nchangetype: modify\nadd: member\nmember: "+slapdtest.PersonDN("bob")+"\n")
	bob := h.Actor(t, "bob")
	if done, err := h.Enroll.Endorse(t.Context(), bob, req.ID); err != nil || done.State != enroll.Issued || done.DecidedBy == nil || done.DecidedBy.Name != bob.Name {
		t.Errorf("another registrar endorses: %+v %v", done, err)
	}
	h.Settled(t)
}

// What CSRs name is kept for the registrar's eyes, whatever it is; what is certified comes from the directory.
func TestClaimsAreKept(t *testing.T) {
	h := setup(t)
	alice, rita := h.Actor(t, "alice"), h.Actor(t, "rita")
	evil := "<script>\x00" + strings.Repeat("ж", 5000)
	s := h.SubmissionWith(t, audit.Actor{Person: alice.Person, Name: evil, Roles: alice.Roles, Method: alice.Method}, housetest.Endorsed, housetest.Keys{Signing: pkitest.NewKey(t, ca.P256), Encryption: pkitest.NewKey(t, ca.P256)})
	req, err := h.Enroll.Submit(t.Context(), alice, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Enroll.Get(t.Context(), rita, req.ID)
	if err != nil || len(got.Claimed) != 1 || !strings.HasPrefix(got.Claimed[0].CommonName, "<script>�ж") || len(got.Claimed[0].CommonName) > 600 || got.Subject.CommonName != "Alice Anders" {
		t.Errorf("%+v %v", got, err)
	}
	of, err := h.Enroll.ListOf(t.Context(), rita, alice.Person, 10)
	if err != nil || len(of) != 1 || of[0].ID != req.ID {
		t.Errorf("%+v %v", of, err)
	}
	if _, err := h.Enroll.ListOf(t.Context(), alice, alice.Person, 10); !errors.Is(err, enroll.ErrNotAllowed) {
		t.Errorf("alice lists: %v", err)
	}
	for what, reason := range map[string]string{"blanks": " \n ", "too long": strings.Repeat("x", 1001), "NUL": "a\x00b", "no UTF-8": "\xff"} {
		if _, err := h.Enroll.Reject(t.Context(), rita, req.ID, reason); !errors.Is(err, enroll.ErrReasonMissing) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Two registrars at once: one decides.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { _, errs[i] = h.Enroll.Reject(t.Context(), rita, req.ID, "Please ask for another.\nCall me.") })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), enroll.ErrState) {
		t.Errorf("two at once: %v", errs)
	}
	if got, err := h.Enroll.Get(t.Context(), rita, req.ID); err != nil || got.State != enroll.Rejected || got.DecidedBy == nil || got.DecidedBy.Person != rita.Person {
		t.Errorf("%+v %v", got, err)
	}
}
