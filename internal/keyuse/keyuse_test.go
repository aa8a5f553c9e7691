package keyuse_test

import (
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func newKey() keyuse.Hash {
	b := make([]byte, 32)
	rand.Read(b)
	return keyuse.HashOf(b)
}

func claim(t *testing.T, db *pg.DB, role pg.Role, claims ...keyuse.Claim) error {
	return db.InTx(t.Context(), role, func(tx pgx.Tx) error {
		return keyuse.Make(t.Context(), tx, time.Now(), claims...)
	})
}

func TestAKeyHasOneUseAndOnePerson(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	alice, bob := uuid.New(), uuid.New()
	key := newKey()
	first := keyuse.Claim{Key: key, Use: keyuse.Encryption, Person: alice}
	for _, c := range []struct {
		what  string
		role  pg.Role
		claim keyuse.Claim
		want  error
	}{
		{"archived first", "archive", first, nil},
		{"certified for the same use", "ca", first, nil},
		{"certified for signing", "ca", keyuse.Claim{Key: key, Use: keyuse.Signing, Person: alice}, keyuse.ErrInUse},
		{"another person's", "archive", keyuse.Claim{Key: key, Use: keyuse.Encryption, Person: bob}, keyuse.ErrInUse},
		{"another key", "ca", keyuse.Claim{Key: newKey(), Use: keyuse.Signing, Person: alice}, nil},
	} {
		if err := claim(t, db, c.role, c.claim); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
}

func TestOneKeyTwiceInOneRequest(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	k, p := newKey(), uuid.New()
	err := claim(t, db, "ca", keyuse.Claim{k, keyuse.Signing, p}, keyuse.Claim{k, keyuse.Encryption, p})
	if !errors.Is(err, keyuse.ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	if err := claim(t, db, "ca", keyuse.Claim{k, keyuse.Encryption, p}); err != nil {
		t.Errorf("the refused request left a claim: %v", err)
	}
}

// Of many transactions that race for one key with different uses, those of exactly one use win.
func TestRace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for range 20 {
		k, p := newKey(), uuid.New()
		uses := []keyuse.Use{keyuse.Signing, keyuse.Encryption, keyuse.Signing, keyuse.Encryption}
		errs := make([]error, len(uses))
		var wg sync.WaitGroup
		for i, u := range uses {
			wg.Go(func() { errs[i] = claim(t, db, "ca", keyuse.Claim{k, u, p}) })
		}
		wg.Wait()
		won := map[keyuse.Use]int{}
		for i, err := range errs {
			if err == nil {
				won[uses[i]]++
			} else if !errors.Is(err, keyuse.ErrInUse) {
				t.Fatal(err)
			}
		}
		if len(won) != 1 {
			t.Fatalf("winners: %v, errors: %v", won, errs)
		}
		for use, n := range won {
			if n != 2 {
				t.Errorf("%s: %d of 2 equal claims stand", use, n)
			}
		}
	}
}

func TestClaimsAreForEver(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, sql := range []string{"delete from keyuse.key_use", "update keyuse.key_use set use = 'signing'"} {
		for _, role := range []pg.Role{"ca", "archive", "enroll"} {
			err := db.InTx(t.Context(), role, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), sql)
				return err
			})
			if err == nil {
				t.Errorf("role %s may run: %s", role, sql)
			}
		}
	}
}
