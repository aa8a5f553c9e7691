package directory_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// Between reading ahead and writing others change the entries: what they write stays, and what is ours gets where it belongs.
func TestReviseFrom(t *testing.T) {
	t.Parallel()
	both := []directory.Attribute{directory.UserCertificate, directory.UserSMIMECertificate}
	ours, theirs := newIssuer(t, "Ours"), newIssuer(t, "Theirs")
	old, fresh, foreign := ours.certificate(t, 1), ours.certificate(t, 2), theirs.certificate(t, 1)
	write := func(login, what string, value []byte) string {
		return "dn: " + slapdtest.PersonDN(login) + "\nchangetype: modify\n" + what + "\n" + what[strings.Index(what, " ")+1:] + ":: " + base64.StdEncoding.EncodeToString(value) + "\n"
	}
	rename := func(login, to string) string {
		return "dn: " + slapdtest.PersonDN(login) + "\nchangetype: modrdn\nnewrdn: uid=" + to + "\ndeleteoldrdn: 1\n"
	}
	for _, c := range []struct {
		what  string
		attr  directory.Attribute
		wire  string
		cross []string // what others do meanwhile
		at    string   // alice's entry is then
		want  [][]byte
		asked int
	}{
		{"nothing happens", directory.UserCertificate, "userCertificate;binary", nil, "alice", sorted(fresh), 1},
		{"others add a value", directory.UserCertificate, "userCertificate;binary", []string{write("alice", "add: userCertificate;binary", foreign)}, "alice", sorted(fresh, foreign), 1},
		{"ours is gone", directory.UserCertificate, "userCertificate;binary", []string{write("alice", "delete: userCertificate;binary", old)}, "alice", sorted(fresh), 2},
		{"ours is there", directory.UserCertificate, "userCertificate;binary", []string{write("alice", "add: userCertificate;binary", fresh)}, "alice", sorted(fresh), 2},
		{"the entry moves", directory.UserCertificate, "userCertificate;binary", []string{rename("alice", "alicia")}, "alicia", sorted(fresh), 2},
		{"another entry has its name", directory.UserCertificate, "userCertificate;binary", []string{write("bob", "add: userCertificate;binary", old), rename("alice", "alicia"), rename("bob", "alice")}, "alicia", sorted(fresh), 2},
		{"others write another value, which cannot be compared", directory.UserSMIMECertificate, "userSMIMECertificate", []string{write("alice", "replace: userSMIMECertificate", foreign)}, "alice", sorted(fresh, foreign), 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			alice, bob := b.login(t, "alice"), b.login(t, "bob")
			if err := b.AddValues(t.Context(), alice.ID, c.attr, [][]byte{old}); err != nil {
				t.Fatal(err)
			}
			ahead, err := b.ReadAhead(t.Context(), []uuid.UUID{alice.ID, bob.ID}, both)
			if err != nil {
				t.Fatal(err)
			}
			for _, ldif := range c.cross {
				b.ldap.Modify(t, ldif)
			}
			asked := 0
			err = b.ReviseFrom(t.Context(), ahead, alice.ID, both, func(directory.Values) map[directory.Attribute]directory.Change {
				asked++
				return map[directory.Attribute]directory.Change{c.attr: {Add: [][]byte{fresh}, Remove: [][]byte{old}}}
			})
			if err != nil || asked != c.asked {
				t.Errorf("asked %d times, want %d: %v", asked, c.asked, err)
			}
			if diff := cmp.Diff(c.want, b.stored(t, slapdtest.PersonDN(c.at), c.wire)); diff != "" {
				t.Errorf("%s: %s", c.wire, diff)
			}
			if c.what == "another entry has its name" {
				if diff := cmp.Diff(sorted(old), b.stored(t, slapdtest.PersonDN("alice"), c.wire)); diff != "" {
					t.Errorf("the other entry was touched: %s", diff)
				}
			}
		})
	}
}

func TestReadAheadOfNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	attrs := []directory.Attribute{directory.UserCertificate}
	nobody := uuid.New()
	nothing := func(directory.Values) map[directory.Attribute]directory.Change { return nil }
	ahead, err := b.ReadAhead(t.Context(), []uuid.UUID{nobody}, attrs)
	if err != nil {
		t.Fatal(err)
	}
	is(t, "nobody", b.ReviseFrom(t.Context(), ahead, nobody, attrs, nothing), directory.ErrUnknownPerson)
	alice := b.login(t, "alice")
	if ahead, err = b.ReadAhead(t.Context(), []uuid.UUID{alice.ID}, attrs); err != nil {
		t.Fatal(err)
	}
	b.ldap.Kill()
	is(t, "away before writing", b.ReviseFrom(t.Context(), ahead, alice.ID, attrs, func(directory.Values) map[directory.Attribute]directory.Change {
		return map[directory.Attribute]directory.Change{directory.UserCertificate: {Add: [][]byte{newIssuer(t, "Ours").certificate(t, 1)}}}
	}), directory.ErrUnavailable)
	_, err = b.ReadAhead(t.Context(), []uuid.UUID{alice.ID}, attrs)
	is(t, "away", err, directory.ErrUnavailable)
}
