package archive_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/rostertest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var by = audit.System("test")

type bundle struct {
	*archive.Archive
	database pgtest.Database
	db       *pg.DB
	roster   rostertest.Roster
	wrapping *record.WrappingKey
	config   archive.Config
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupWith(t, rostertest.New(t, 2, 3))
}

func setupWith(t *testing.T, roster rostertest.Roster) *bundle {
	t.Helper()
	t.Parallel()
	b := &bundle{database: pgtest.NewDatabase(t), roster: roster}
	b.db = pgtest.Open(t, b.database)
	var err error
	if b.wrapping, err = record.GenerateWrappingKey(); err != nil {
		t.Fatal(err)
	}
	receipts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.config = archive.Config{DB: b.db, Pins: []record.Hash{b.roster.Hash()}, Wrapping: []*record.WrappingKey{b.wrapping}, Receipts: receipts}
	if b.Archive, err = archive.New(b.config); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AddRoster(t.Context(), by, b.roster.Bytes()); err != nil {
		t.Fatal(err)
	}
	return b
}

// newDeposit makes a deposit of a fresh P-256 key.
func newDeposit(t testing.TB) archive.Deposit {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := archive.Deposit{Request: uuid.New(), Person: uuid.New(), Name: "Alice Example", Mail: "alice@example.test"}
	var err1, err2 error
	d.Key, err1 = x509.MarshalPKCS8PrivateKey(key)
	d.PublicKey, err2 = x509.MarshalPKIXPublicKey(key.Public())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return d
}

// sealed reads a record as whoever stole the database would.
func (b *bundle) sealed(t *testing.T, request uuid.UUID) *record.Record {
	t.Helper()
	var raw []byte
	err := b.db.InTx(t.Context(), "archive", func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), `select sealed from archive.record where request = $1`, request).Scan(&raw)
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.ParseRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestADepositIsOpenedByTheThresholdAndByNoFewer(t *testing.T) {
	b := setup(t)
	d := newDeposit(t)
	receipt, err := b.Deposit(t.Context(), by, d)
	if err != nil {
		t.Fatal(err)
	}
	stored := b.sealed(t, d.Request)
	if stored.Capsule.Hash() != mustReceipt(t, b, receipt).Record {
		t.Error("the receipt names another record")
	}
	inner, err := stored.UnwrapOuter(b.wrapping)
	if err != nil {
		t.Fatal(err)
	}
	for _, agents := range [][]uint16{{1, 2}, {1, 3}, {2, 3}} {
		got, err := b.roster.Open(t, inner, agents...)
		if err != nil || !bytes.Equal(got, d.Key) {
			t.Errorf("agents %v: %v", agents, err)
		}
	}
	for _, agents := range [][]uint16{{1}, {2}, {3}, {}} {
		if _, err := b.roster.Open(t, inner, agents...); err == nil {
			t.Errorf("agents %v opened the record", agents)
		}
	}
	// The agents without the server: another wrapping key takes nothing off.
	other, _ := record.GenerateWrappingKey()
	if _, err := stored.UnwrapOuter(other); err == nil {
		t.Error("another wrapping key took the outer layer off")
	}
}

func mustReceipt(t *testing.T, b *bundle, r *archive.Receipt) *record.SignedReceipt {
	t.Helper()
	signed, err := record.ParseReceipt(r.Signed)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(b.ReceiptKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := signed.Verify(public); err != nil {
		t.Fatal(err)
	}
	if signed.SPKI != record.Hash(r.Key) || signed.AuditLeaf != record.Hash(r.Leaf) || signed.KeyID != b.roster.KeyID() {
		t.Errorf("the receipt says %+v", signed.Receipt)
	}
	return signed
}

func TestRepetitionGivesTheSameReceipt(t *testing.T) {
	b := setup(t)
	d := newDeposit(t)
	receipts := make([]*archive.Receipt, 4)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range receipts {
		wg.Go(func() { receipts[i], errs[i] = b.Deposit(t.Context(), by, d) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, r := range receipts {
		if r.ID != receipts[0].ID || !bytes.Equal(r.Signed, receipts[0].Signed) {
			t.Error("two receipts for one deposit")
		}
	}
	if n := b.database.Count(t, `select count(*) from audit.event where kind = 'archive.deposited'`); n != 1 {
		t.Errorf("%d events for one deposit", n)
	}
}

func TestDepositRefuses(t *testing.T) {
	b := setup(t)
	first := newDeposit(t)
	if _, err := b.Deposit(t.Context(), by, first); err != nil {
		t.Fatal(err)
	}
	signing := newDeposit(t)
	err := b.db.InTx(t.Context(), "ca", func(tx pgx.Tx) error {
		return keyuse.Make(t.Context(), tx, time.Now(), keyuse.Claim{Key: keyuse.HashOf(signing.PublicKey), Use: keyuse.Signing, Person: signing.Person})
	})
	if err != nil {
		t.Fatal(err)
	}
	again, stolen, mismatch, otherKey := first, first, newDeposit(t), newDeposit(t)
	again.Request = uuid.New()
	stolen.Request, stolen.Person = uuid.New(), uuid.New()
	mismatch.PublicKey = newDeposit(t).PublicKey
	otherKey.Request, otherKey.Person = first.Request, first.Person
	for _, c := range []struct {
		what string
		d    archive.Deposit
		want error
	}{
		{"the same key for another request", again, archive.ErrArchivedTwice},
		{"another person's key", stolen, keyuse.ErrInUse},
		{"a key that signs", signing, keyuse.ErrInUse},
		{"a key that does not match", mismatch, archive.ErrKeyMismatch},
		{"another key for the same request", otherKey, archive.ErrArchivedTwice},
		{"garbage", archive.Deposit{Request: uuid.New(), Person: uuid.New(), Name: "x", Key: []byte("x")}, archive.ErrKeyFormat},
		{"no person", archive.Deposit{Request: uuid.New(), Key: mismatch.Key, PublicKey: newDeposit(t).PublicKey}, archive.ErrKeyMismatch},
	} {
		if _, err := b.Deposit(t.Context(), by, c.d); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
	if n := b.database.Count(t, `select count(*) from archive.record`); n != 1 {
		t.Errorf("%d records, want the first alone", n)
	}
	if n := b.database.Count(t, `select count(*) from audit.event where kind = 'archive.deposited'`); n != 1 {
		t.Errorf("%d events, want the first's alone", n)
	}
}

func TestHeldRecordsGoAndKeptOnesStay(t *testing.T) {
	b := setup(t)
	refused, issued := newDeposit(t), newDeposit(t)
	for _, d := range []archive.Deposit{refused, issued} {
		if _, err := b.Deposit(t.Context(), by, d); err != nil {
			t.Fatal(err)
		}
	}
	held, err := b.Held(t.Context(), time.Now().Add(time.Minute))
	if err != nil || len(held) != 2 {
		t.Fatalf("held: %v, %v", held, err)
	}
	if err := b.Confirm(t.Context(), issued.Request); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, d := range []archive.Deposit{refused, issued} {
			if err := b.Remove(t.Context(), by, d.Request); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := b.ByRequest(t.Context(), refused.Request); !errors.Is(err, archive.ErrNothingHeld) {
		t.Errorf("the refused request's record: %v", err)
	}
	if _, err := b.ByRequest(t.Context(), issued.Request); err != nil {
		t.Errorf("the issued request's record: %v", err)
	}
	if err := b.Confirm(t.Context(), refused.Request); !errors.Is(err, archive.ErrNothingHeld) {
		t.Errorf("confirm after removal: %v", err)
	}
	err = b.db.InTx(t.Context(), "archive", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `delete from archive.record`)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "is kept") {
		t.Errorf("the archive's role deletes kept records: %v", err)
	}
	// A removed key stays claimed for what it was.
	refused.Request = uuid.New()
	if _, err := b.Deposit(t.Context(), by, refused); err != nil {
		t.Errorf("depositing it once more for its person: %v", err)
	}
	stolen := refused
	stolen.Request, stolen.Person = uuid.New(), uuid.New()
	if _, err := b.Deposit(t.Context(), by, stolen); !errors.Is(err, keyuse.ErrInUse) {
		t.Errorf("depositing it for another person: %v", err)
	}
}

func TestReceiptsAreTheirPersonsAndAuditors(t *testing.T) {
	b := setup(t)
	d := newDeposit(t)
	r, err := b.Deposit(t.Context(), by, d)
	if err != nil {
		t.Fatal(err)
	}
	owner := audit.Actor{Person: d.Person, Method: audit.MethodPassword}
	auditor := audit.Actor{Person: uuid.New(), Roles: []audit.Role{audit.Auditor}, Method: audit.MethodPassword}
	officer := audit.Actor{Person: uuid.New(), Roles: []audit.Role{audit.RecoveryAgent, audit.Registrar}, Method: audit.MethodPassword}
	for _, who := range []audit.Actor{owner, auditor} {
		if got, err := b.Receipt(t.Context(), who, r.ID); err != nil || !bytes.Equal(got.Signed, r.Signed) {
			t.Errorf("%v: %v", who.Roles, err)
		}
	}
	if _, err := b.Receipt(t.Context(), officer, r.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("somebody else sees the receipt: %v", err)
	}
	list, err := b.ReceiptsOf(t.Context(), owner, uuid.Nil, 10)
	if err != nil || len(list) != 1 || list[0].ID != r.ID {
		t.Errorf("list: %v, %v", list, err)
	}
	if list, err := b.ReceiptsOf(t.Context(), owner, r.ID, 10); err != nil || len(list) != 0 {
		t.Errorf("after the last: %v, %v", list, err)
	}
}

// Whoever writes to the database cannot redirect new keys to agents of their own.
func TestOnlyThePinnedRosterReceivesKeys(t *testing.T) {
	b := setup(t)
	rogue := rostertest.New(t, 2, 3)
	if _, err := b.AddRoster(t.Context(), by, rogue.Bytes()); !errors.Is(err, archive.ErrRosterPin) {
		t.Errorf("a roster that is not pinned was taken: %v", err)
	}
	pinned := b.roster.Hash()
	b.database.Exec(t, `update archive.roster set file = $1 where hash = $2`, rogue.Bytes(), pinned[:])
	fresh, err := archive.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.CheckRoster(t.Context()); !errors.Is(err, archive.ErrRosterPin) {
		t.Errorf("start with a swapped roster: %v", err)
	}
	if _, err := fresh.Deposit(t.Context(), by, newDeposit(t)); !errors.Is(err, archive.ErrRosterPin) {
		t.Errorf("deposit with a swapped roster: %v", err)
	}
	// The server that verified its roster at start does not look again.
	d := newDeposit(t)
	if _, err := b.Deposit(t.Context(), by, d); err == nil {
		if id := b.sealed(t, d.Request).Capsule.KeyID; id != b.roster.KeyID() {
			t.Error("a running server sealed to the swapped roster")
		}
	}
	b.database.Exec(t, `delete from archive.roster`)
	if fresh, err = archive.New(b.config); err != nil {
		t.Fatal(err)
	}
	if err := fresh.CheckRoster(t.Context()); !errors.Is(err, archive.ErrNoRoster) {
		t.Errorf("start without a roster: %v", err)
	}
}

func TestRosterOfForeignCertificatesIsRefused(t *testing.T) {
	b := setup(t)
	foreign := rostertest.NewForeign(t, 2, 3)
	config := b.config
	config.Pins = []record.Hash{foreign.Hash()}
	fresh, err := archive.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.AddRoster(t.Context(), by, foreign.Bytes()); !errors.Is(err, archive.ErrRosterPin) {
		t.Errorf("certificates without the agents' usage: %v", err)
	}
}

// The database and everything the server holds, against the key: it is in neither.
func TestDatabaseHoldsNoPlaintext(t *testing.T) {
	b := setup(t)
	d := newDeposit(t)
	if _, err := b.Deposit(t.Context(), by, d); err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(d.Key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	sealed := b.sealed(t, d.Request)
	inner, err := sealed.UnwrapOuter(b.wrapping)
	if err != nil {
		t.Fatal(err)
	}
	for name, bytesOf := range map[string][]byte{"record": sealed.Bytes(), "record without the server's layer": inner.Bytes()} {
		if bytes.Contains(bytesOf, secret) {
			t.Errorf("the %s holds the private key", name)
		}
	}
}

func BenchmarkDeposit(b *testing.B) {
	database := pgtest.NewDatabase(b)
	roster := rostertest.New(b, 2, 3)
	wrapping, err := record.GenerateWrappingKey()
	if err != nil {
		b.Fatal(err)
	}
	receipts, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a, err := archive.New(archive.Config{DB: pgtest.Open(b, database), Pins: []record.Hash{roster.Hash()}, Wrapping: []*record.WrappingKey{wrapping}, Receipts: receipts})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := a.AddRoster(b.Context(), by, roster.Bytes()); err != nil {
		b.Fatal(err)
	}
	deposits := make([]archive.Deposit, b.N)
	for i := range deposits {
		deposits[i] = newDeposit(b)
	}
	b.ResetTimer()
	for _, d := range deposits {
		if _, err := a.Deposit(b.Context(), by, d); err != nil {
			b.Fatal(err)
		}
	}
}
