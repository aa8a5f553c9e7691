package enroll_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func setup(t *testing.T) *housetest.House {
	t.Helper()
	t.Parallel()
	return housetest.New(t)
}

func TestPairIsIssuedAndItsKeyArchived(t *testing.T) {
	h := setup(t)
	alice := h.Actor(t, "alice")
	s, keys := h.Submission(t, alice, housetest.Pair)
	req, err := h.Enroll.Submit(t.Context(), alice, s)
	if err != nil {
		t.Fatal(err)
	}
	if req.State != enroll.Issued || len(req.Certificates) != 2 || req.Receipt == nil {
		t.Fatalf("state %s, %d certificates, receipt %v", req.State, len(req.Certificates), req.Receipt)
	}
	for i, want := range []x509.KeyUsage{x509.KeyUsageDigitalSignature, x509.KeyUsageKeyAgreement} {
		c, err := x509.ParseCertificate(req.Certificates[i].DER)
		if err != nil {
			t.Fatal(err)
		}
		if c.KeyUsage != want || len(c.EmailAddresses) == 0 || !strings.HasPrefix(c.EmailAddresses[0], "alice") {
			t.Errorf("certificate %d: usage %b, addresses %v", i, c.KeyUsage, c.EmailAddresses)
		}
	}
	if req.Receipt.Key != keyuse.HashOf(pkitest.SPKI(keys.Encryption.Public())) {
		t.Error("the receipt is for another key")
	}
	if n := h.Database.Count(t, `select count(*) from archive.record where state = 'kept'`); n != 1 {
		t.Errorf("%d kept records", n)
	}
	if n, err := h.Archive.Count(t.Context(), alice.Person); err != nil || n != 1 {
		t.Errorf("%d kept keys of alice, %v", n, err)
	}
	if n := h.Database.Count(t, `select count(*) from publication.due`); n != 1 {
		t.Errorf("%d jobs to publish", n)
	}
	h.Settled(t)
}

func TestRepetitionYieldsTheSame(t *testing.T) {
	h := setup(t)
	alice := h.Actor(t, "alice")
	s, _ := h.Submission(t, alice, housetest.Pair)
	results := make([]*enroll.Request, 4)
	errs := make([]error, len(results))
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i], errs[i] = h.Enroll.Submit(t.Context(), alice, s) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	again, err := h.Enroll.Submit(t.Context(), alice, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range append(results, again) {
		if r.ID != again.ID || len(r.Certificates) != 2 || !bytes.Equal(r.Certificates[0].DER, again.Certificates[0].DER) ||
			!bytes.Equal(r.Certificates[1].DER, again.Certificates[1].DER) {
			t.Fatalf("%s and %s differ", r.ID, again.ID)
		}
	}
	if n := h.Database.Count(t, `select count(*) from ca.certificate where profile like 'smime-%'`); n != 2 {
		t.Errorf("%d certificates, want 2", n)
	}
	other, _ := h.Submission(t, alice, housetest.Pair)
	other.Idempotency = s.Idempotency
	if _, err := h.Enroll.Submit(t.Context(), alice, other); !errors.Is(err, enroll.ErrIdempotency) {
		t.Errorf("another request under the same key: %v", err)
	}
	// The same name is another's to use for something else.
	bob := h.Actor(t, "bob")
	theirs, _ := h.Submission(t, bob, housetest.Pair)
	theirs.Idempotency = s.Idempotency
	if _, err := h.Enroll.Submit(t.Context(), bob, theirs); err != nil {
		t.Errorf("the same key of somebody else: %v", err)
	}
}

func TestEndorsement(t *testing.T) {
	h := setup(t)
	alice, rita := h.Actor(t, "alice"), h.Actor(t, "rita")
	s, _ := h.Submission(t, alice, housetest.Endorsed)
	req, err := h.Enroll.Submit(t.Context(), alice, s)
	if err != nil || req.State != enroll.Submitted || len(req.Certificates) != 0 || req.Receipt == nil {
		t.Fatalf("submitted: %+v, %v", req, err)
	}
	for who, want := range map[*audit.Actor]error{&alice: enroll.ErrNotAllowed} {
		if _, err := h.Enroll.Endorse(t.Context(), *who, req.ID); !errors.Is(err, want) {
			t.Errorf("%s endorses: %v", who.Name, err)
		}
	}
	list, err := h.Enroll.List(t.Context(), rita, enroll.Submitted, uuid.Nil, 10)
	if err != nil || len(list) != 1 || list[0].ID != req.ID {
		t.Errorf("list: %v, %v", list, err)
	}
	done, err := h.Enroll.Endorse(t.Context(), rita, req.ID)
	if err != nil || done.State != enroll.Issued || len(done.Certificates) != 2 {
		t.Fatalf("endorsed: %+v, %v", done, err)
	}
	if _, err := h.Enroll.Endorse(t.Context(), rita, req.ID); !errors.Is(err, enroll.ErrState) {
		t.Errorf("endorsed twice: %v", err)
	}
	if got, err := h.Enroll.Submit(t.Context(), alice, s); err != nil || len(got.Certificates) != 2 {
		t.Errorf("the subscriber's repetition: %v", err)
	}
	h.Settled(t)
}

func TestARegistrarDoesNotEndorseTheirOwn(t *testing.T) {
	h := setup(t)
	rita := h.Actor(t, "rita")
	s, _ := h.Submission(t, rita, housetest.Endorsed)
	req, err := h.Enroll.Submit(t.Context(), rita, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.Endorse(t.Context(), rita, req.ID); !errors.Is(err, enroll.ErrOwnRequest) {
		t.Errorf("own request endorsed: %v", err)
	}
	if _, err := h.Enroll.Reject(t.Context(), rita, req.ID, "no"); !errors.Is(err, enroll.ErrOwnRequest) {
		t.Errorf("own request rejected: %v", err)
	}
	if n := h.Database.Count(t, `select count(*) from audit.event where kind = 'enrolment.decision-refused'`); n != 2 {
		t.Errorf("%d refusals recorded, want 2", n)
	}
}

func TestRejectionRemovesTheHeldKey(t *testing.T) {
	h := setup(t)
	alice, rita := h.Actor(t, "alice"), h.Actor(t, "rita")
	s, _ := h.Submission(t, alice, housetest.Endorsed)
	req, err := h.Enroll.Submit(t.Context(), alice, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enroll.Reject(t.Context(), rita, req.ID, ""); !errors.Is(err, enroll.ErrReasonMissing) {
		t.Errorf("without a reason: %v", err)
	}
	if _, err := h.Enroll.Reject(t.Context(), rita, req.ID, "Not yet employed."); err != nil {
		t.Fatal(err)
	}
	got, err := h.Enroll.Get(t.Context(), alice, req.ID)
	if err != nil || got.State != enroll.Rejected || got.Reason != "Not yet employed." {
		t.Errorf("%+v, %v", got, err)
	}
	if n := h.Database.Count(t, `select count(*) from archive.record`); n != 0 {
		t.Errorf("%d records are left", n)
	}
	if n := h.Database.Count(t, `select count(*) from ca.prepared where profile like 'smime-%'`); n != 0 {
		t.Errorf("%d serials were prepared", n)
	}
}

func TestRequestsAreSeenByTheirPersonRegistrarsAndAuditors(t *testing.T) {
	h := setup(t)
	alice := h.Actor(t, "alice")
	s, _ := h.Submission(t, alice, housetest.Pair)
	req, err := h.Enroll.Submit(t.Context(), alice, s)
	if err != nil {
		t.Fatal(err)
	}
	for login, want := range map[string]error{"alice": nil, "rita": nil, "auditor": nil, "bob": enroll.ErrUnknownRequest, "olivia": enroll.ErrUnknownRequest} {
		if _, err := h.Enroll.Get(t.Context(), h.Actor(t, login), req.ID); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", login, err, want)
		}
	}
	if _, err := h.Enroll.List(t.Context(), alice, enroll.Submitted, uuid.Nil, 1); !errors.Is(err, fault.Denied) {
		t.Errorf("a subscriber lists requests: %v", err)
	}
}

func TestToken(t *testing.T) {
	h := setup(t)
	rita := h.Actor(t, "rita")
	if _, err := h.Enroll.MintToken(t.Context(), h.Actor(t, "bob"), "alice@example.test", "", enroll.TokenOrder{Life: time.Hour}); !errors.Is(err, enroll.ErrNotAllowed) {
		t.Errorf("a subscriber makes a token: %v", err)
	}
	if _, err := h.Enroll.MintToken(t.Context(), rita, "rita@example.test", "", enroll.TokenOrder{Life: time.Hour}); !errors.Is(err, enroll.ErrOwnRequest) {
		t.Errorf("a registrar makes one for themselves: %v", err)
	}
	token, err := h.Enroll.MintToken(t.Context(), rita, "alice@example.test", "", enroll.TokenOrder{Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	alice, err := h.Enroll.TokenActor(t.Context(), token.Secret)
	if err != nil || alice.Person != h.Actor(t, "alice").Person {
		t.Fatalf("%+v, %v", alice, err)
	}
	s, _ := h.Submission(t, alice, housetest.Pair)
	s.Token = token.Secret
	for range 2 { // the second is a repetition
		if _, err := h.Enroll.Submit(t.Context(), alice, s); err != nil {
			t.Fatal(err)
		}
	}
	replay, _ := h.Submission(t, alice, housetest.Pair)
	replay.Token = token.Secret
	if _, err := h.Enroll.Submit(t.Context(), alice, replay); !errors.Is(err, enroll.ErrToken) {
		t.Errorf("replayed: %v", err)
	}
	if _, err := h.Enroll.TokenActor(t.Context(), "guessed"); !errors.Is(err, enroll.ErrToken) {
		t.Errorf("guessed: %v", err)
	}
	if n := h.Database.Count(t, `select count(*) from enroll.token where encode(sha256, 'escape') like '%' || $1 || '%'`, token.Secret); n != 0 {
		t.Error("the database holds the token")
	}
	h.Clock.Advance(2 * time.Hour)
	if _, err := h.Enroll.TokenActor(t.Context(), token.Secret); !errors.Is(err, enroll.ErrToken) {
		t.Errorf("after its end: %v", err)
	}
}

// Whatever is wrong with a request, the fault names it, and nothing is left.
func TestSubmitRefuses(t *testing.T) {
	h := setup(t)
	alice, bob := h.Actor(t, "alice"), h.Actor(t, "bob")
	first, firstKeys := h.Submission(t, alice, housetest.Pair)
	if _, err := h.Enroll.Submit(t.Context(), alice, first); err != nil {
		t.Fatal(err)
	}
	certificates := h.Database.Count(t, `select count(*) from ca.certificate`)
	fresh := func() enroll.Submission { s, _ := h.Submission(t, alice, housetest.Pair); return s }
	with := func(change func(*enroll.Submission)) enroll.Submission { s := fresh(); change(&s); return s }
	p256 := func() housetest.Keys {
		return housetest.Keys{Signing: pkitest.NewKey(t, ca.P256), Encryption: pkitest.NewKey(t, ca.P256)}
	}
	for _, c := range []struct {
		what string
		s    enroll.Submission
		want error
	}{
		{"unknown enrolment", with(func(s *enroll.Submission) { s.Enrolment = "x" }), enroll.ErrUnknownEnrolment},
		{"no idempotency key", with(func(s *enroll.Submission) { s.Idempotency = "" }), enroll.ErrIdempotencyKey},
		{"one certificate request of two", with(func(s *enroll.Submission) { s.SigningCSR = nil }), enroll.ErrPair},
		{"no escrowed key", with(func(s *enroll.Submission) { s.EscrowedKey = nil }), enroll.ErrEscrowMissing},
		{"an escrowed key that is not asked for", enroll.Submission{Idempotency: uuid.NewString(), Enrolment: housetest.Single,
			SigningCSR: fresh().SigningCSR, EscrowedKey: []byte("x")}, enroll.ErrEscrowUnasked},
		{"no CSR", with(func(s *enroll.Submission) { s.SigningCSR = []byte("x") }), ca.ErrCSRMalformed},
		{"a CSR with a broken signature", with(func(s *enroll.Submission) { s.SigningCSR[len(s.SigningCSR)-3] ^= 1 }), ca.ErrCSRSignature},
		{"a large CSR", with(func(s *enroll.Submission) { s.SigningCSR = make([]byte, ca.MaxCSR+1) }), ca.ErrCSRTooLarge},
		{"an address of somebody else", with(func(s *enroll.Submission) {
			s.SigningCSR = pkitest.CSR(t, pkitest.NewKey(t, ca.P256), "Alice", "bob@example.test")
		}), enroll.ErrAddress},
		{"a message that nobody encrypted", with(func(s *enroll.Submission) { s.EscrowedKey = []byte("x") }), enroll.ErrEscrowRefused},
		{"a message bound to other requests", with(func(s *enroll.Submission) { s.EscrowedKey = fresh().EscrowedKey }), enroll.ErrEscrowRefused},
		{"a message of another person", with(func(s *enroll.Submission) {
			s.EscrowedKey = h.Escrow(t, bob, *s, pkitest.NewKey(t, ca.P256))
		}), enroll.ErrEscrowRefused},
		{"a private key that does not match", with(func(s *enroll.Submission) {
			s.EscrowedKey = h.Escrow(t, alice, *s, pkitest.NewKey(t, ca.P256))
		}), archive.ErrKeyMismatch},
		{"the encryption key once more", h.SubmissionWith(t, alice, housetest.Pair, housetest.Keys{Signing: p256().Signing, Encryption: firstKeys.Encryption}), archive.ErrArchivedTwice},
		{"the signing key offered for archiving", h.SubmissionWith(t, alice, housetest.Pair, housetest.Keys{Signing: p256().Signing, Encryption: firstKeys.Signing}), keyuse.ErrInUse},
		{"the archived key for signing", h.SubmissionWith(t, alice, housetest.Pair, housetest.Keys{Signing: firstKeys.Encryption, Encryption: p256().Encryption}), keyuse.ErrInUse},
	} {
		_, err := h.Enroll.Submit(t.Context(), alice, c.s)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
		if n := h.Database.Count(t, `select count(*) from archive.record where state = 'held'`); n != 0 {
			t.Errorf("%s: a record is left", c.what)
			h.Database.Exec(t, `delete from archive.record where state = 'held'`)
		}
	}
	one := pkitest.NewKey(t, ca.P256)
	both := h.SubmissionWith(t, alice, housetest.Pair, housetest.Keys{Signing: one, Encryption: one})
	if _, err := h.Enroll.Submit(t.Context(), alice, both); !errors.Is(err, keyuse.ErrInUse) {
		t.Errorf("one key for both: %v", err)
	}
	theirs := h.SubmissionWith(t, bob, housetest.Pair, housetest.Keys{Signing: p256().Signing, Encryption: firstKeys.Encryption})
	if _, err := h.Enroll.Submit(t.Context(), bob, theirs); !errors.Is(err, keyuse.ErrInUse) {
		t.Errorf("somebody else's key: %v", err)
	}
	if n := h.Database.Count(t, `select count(*) from ca.certificate`); n != certificates {
		t.Errorf("%d certificates were issued", n-certificates)
	}
	if n := h.Database.Count(t, `select count(*) from enroll.request where state in ('received', 'endorsed')`); n != 0 {
		t.Errorf("%d requests are half done", n)
	}
	if n := h.Database.Count(t, `select count(*) from ca.prepared where state = 'prepared'`); n != 0 {
		t.Errorf("%d serials are neither signed nor revoked", n)
	}
	h.Settled(t)
}

// The process ends after each step of an enrolment, in a goroutine's way: nothing after the step runs. What is left is
// then finished by the client's repetition, or by Resume, or undone when it is too late; the rules hold throughout.
func TestCrashAfterEveryStep(t *testing.T) {
	steps := []string{"received", "deposited", "archived", "prepared", "signed", "issued", "confirmed"}
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			h := setup(t)
			crashing := h.Config
			crashing.After = func(s string) {
				if s == step {
					runtime.Goexit()
				}
			}
			registry, err := enroll.New(crashing)
			if err != nil {
				t.Fatal(err)
			}
			crash := func(by audit.Actor) enroll.Submission {
				s, _ := h.Submission(t, by, housetest.Pair)
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = registry.Submit(t.Context(), by, s) // never returns
				}()
				<-done
				h.Settled(t)
				return s
			}
			alice, bob, carol := h.Actor(t, "alice"), h.Actor(t, "bob"), h.Actor(t, "carol")
			repeated, _, late := crash(alice), crash(bob), carol
			if got, err := h.Enroll.Submit(t.Context(), alice, repeated); err != nil || got.State != enroll.Issued || len(got.Certificates) != 2 {
				t.Errorf("the client's repetition: %+v, %v", got, err)
			}
			h.Clock.Advance(2 * time.Minute)
			if err := h.Enroll.Resume(t.Context()); err != nil {
				t.Errorf("resume: %v", err)
			}
			issued := h.Database.Count(t, `select count(*) from enroll.request where state = 'issued'`)
			if want := int64(2); issued != want && step != "received" || step == "received" && issued != 1 {
				t.Errorf("%d requests are issued after resume", issued)
			}
			crash(late)
			h.Clock.Advance(time.Hour)
			if err := h.Enroll.Resume(t.Context()); err != nil {
				t.Errorf("late resume: %v", err)
			}
			for what, sql := range map[string]string{
				"unfinished requests":             `select count(*) from enroll.request where state not in ('issued', 'failed')`,
				"unsettled serials":               `select count(*) from ca.prepared where state = 'prepared'`,
				"held records":                    `select count(*) from archive.record where state = 'held'`,
				"records of failed requests":      `select count(*) from archive.record r join enroll.request q on q.id = r.request where q.state = 'failed'`,
				"certificates of failed requests": `select count(*) from ca.certificate c join enroll.request q on q.id = c.request where q.state = 'failed'`,
			} {
				if n := h.Database.Count(t, sql); n != 0 {
					t.Errorf("%d %s", n, what)
				}
			}
			h.Settled(t)
		})
	}
}

func TestExchangeRotates(t *testing.T) {
	h := setup(t)
	alice := h.Actor(t, "alice")
	first, err := h.Enroll.Policy(t.Context(), alice, uuid.Nil)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := h.Submission(t, alice, housetest.Pair)
	life := first.Exchange.NotAfter.Sub(first.Exchange.NotBefore)
	if err := h.Enroll.EnsureKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.Database.Count(t, `select count(*) from enroll.server_key where serves = 'exchange'`); n != 1 {
		t.Errorf("%d exchange keys while the first is fresh", n)
	}
	h.Clock.Advance(life/2 + time.Minute)
	if err := h.Enroll.EnsureKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := h.Enroll.Policy(t.Context(), alice, uuid.Nil)
	if err != nil {
		t.Fatal(err)
	}
	if second.Exchange.Equal(first.Exchange) {
		t.Fatal("the exchange certificate was not renewed")
	}
	// A message to the old key still opens, but its nonce has ended: the client makes a new one.
	if _, err := h.Enroll.Submit(t.Context(), alice, old); !errors.Is(err, enroll.ErrEscrowRefused) {
		t.Errorf("a nonce of %v ago: %v", life/2, err)
	}
	fresh, _ := h.Submission(t, alice, housetest.Pair)
	if _, err := h.Enroll.Submit(t.Context(), alice, fresh); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	h.Clock.Advance(life)
	if err := h.Enroll.EnsureKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.Database.Count(t, `select count(*) from enroll.server_key where serves = 'exchange' and sealed_key is not null and ends < $1`, h.Clock.Now()); n != 0 {
		t.Errorf("%d ended exchange keys were not destroyed", n)
	}
}

func TestPlansAreCheckedWhole(t *testing.T) {
	h := setup(t)
	c := h.Config
	c.Archive = nil
	c.Plans = []enroll.Plan{{Name: "a"}, {Name: "b", Signing: "no-such"}, {Name: "c", Signing: ca.SMIMEEncryption}, {Name: "d", Encryption: ca.SMIMEEncryption},
		{Name: "e", Signing: ca.SMIMESigning, Protection: enroll.Protection{Places: []string{"pocket"}}}}
	_, err := enroll.New(c)
	if err == nil {
		t.Fatal("no fault was found")
	}
	for i, want := range []string{"neither signing nor encryption", "no-such", "never archived", "there is no archive", `protection: places[0]: unknown place "pocket"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("plan %d: %q is not in: %v", i, want, err)
		}
	}
}
