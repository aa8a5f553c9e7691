package directory_test

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// stored returns the values of an attribute as ldapsearch sees them, sorted.
func (b *bench) stored(t testing.TB, dn, attribute string) [][]byte {
	t.Helper()
	var list [][]byte
	for line := range strings.Lines(b.ldap.Search(t, slapdtest.Account{}, "-b", dn, "-s", "base", attribute)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), attribute+":: "); ok {
			raw, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, raw)
		}
	}
	slices.SortFunc(list, bytes.Compare)
	return list
}

func sorted(list ...[]byte) [][]byte {
	slices.SortFunc(list, bytes.Compare)
	return list
}

func TestValues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ours, theirs := newIssuer(t, "Ours"), newIssuer(t, "Theirs")
	one, two, three, foreign := ours.certificate(t, 1), ours.certificate(t, 2), ours.certificate(t, 3), theirs.certificate(t, 1)
	alice := b.login(t, "alice")
	for _, c := range []struct {
		what        string
		add, remove [][]byte
		want        [][]byte
	}{
		{"nothing", nil, nil, nil},
		{"remove what is not there", nil, [][]byte{one}, nil},
		{"add", [][]byte{one}, nil, sorted(one)},
		{"add again", [][]byte{one}, nil, sorted(one)},
		{"add one more, and foreign", [][]byte{one, foreign, two}, nil, sorted(one, two, foreign)},
		{"add one twice", [][]byte{three, three}, nil, sorted(one, two, three, foreign)},
		{"replace our own", [][]byte{three}, [][]byte{one, two}, sorted(three, foreign)},
		{"replace again", [][]byte{three}, [][]byte{one, two}, sorted(three, foreign)},
		{"a value in both lists", [][]byte{three}, [][]byte{three}, sorted(three, foreign)},
		{"remove some that are there", nil, [][]byte{one, three, three}, sorted(foreign)},
		{"remove the last", nil, [][]byte{foreign}, nil},
	} {
		is(t, c.what, b.Change(t.Context(), alice.ID, directory.UserCertificate, c.add, c.remove), nil)
		if diff := cmp.Diff(c.want, b.stored(t, alice.DN, "userCertificate;binary")); diff != "" {
			t.Errorf("%s: ldapsearch sees: %s", c.what, diff)
		}
		got, err := b.Values(t.Context(), alice.ID, directory.UserCertificate)
		if diff := cmp.Diff(c.want, sorted(got...)); err != nil || len(got)+len(c.want) > 0 && diff != "" {
			t.Errorf("%s: read back: %v %s", c.what, err, diff)
		}
	}

	// OpenLDAP cannot compare values of userSMIMECertificate: it takes any octets, and all of them at once.
	first, second := []byte("\x30\x00 any bytes"), []byte("\x30\x00 others")
	for _, c := range []struct {
		what              string
		add, remove, want [][]byte
	}{
		{"S/MIME", [][]byte{first}, nil, sorted(first)},
		{"S/MIME, a second", [][]byte{second}, nil, sorted(first, second)},
		{"S/MIME, one out", nil, [][]byte{first}, sorted(second)},
		{"S/MIME, again", nil, [][]byte{first}, sorted(second)},
		{"S/MIME, exchanged", [][]byte{first}, [][]byte{second}, sorted(first)},
		{"S/MIME, the last", nil, [][]byte{first}, nil},
	} {
		is(t, c.what, b.Change(t.Context(), alice.ID, directory.UserSMIMECertificate, c.add, c.remove), nil)
		if diff := cmp.Diff(c.want, b.stored(t, alice.DN, "userSMIMECertificate")); diff != "" {
			t.Errorf("%s: ldapsearch sees: %s", c.what, diff)
		}
	}
}

func TestBadValues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice := b.login(t, "alice")
	good := newIssuer(t, "CA").certificate(t, 1)
	for _, c := range []struct {
		what   string
		person uuid.UUID
		attr   directory.Attribute
		value  []byte
		want   error
	}{
		{"garbage", alice.ID, directory.UserCertificate, []byte("no certificate"), directory.ErrValue},
		{"cut off", alice.ID, directory.UserCertificate, good[:len(good)-1], directory.ErrValue},
		{"empty", alice.ID, directory.UserCertificate, nil, directory.ErrValue},
		{"too large", alice.ID, directory.UserSMIMECertificate, make([]byte, 1<<16), directory.ErrValue},
		{"unknown person", uuid.New(), directory.UserCertificate, good, directory.ErrUnknownPerson},
		{"password", alice.ID, "userPassword", []byte("x"), directory.ErrAttribute},
		{"mail", alice.ID, "mail", []byte("x@example.test"), directory.ErrAttribute},
		{"no attribute", alice.ID, "", good, directory.ErrAttribute},
		{"revocation list", alice.ID, "certificateRevocationList", good, directory.ErrAttribute},
	} {
		is(t, c.what, b.AddValues(t.Context(), c.person, c.attr, [][]byte{c.value}), c.want)
	}
	_, err := b.Values(t.Context(), alice.ID, "userPassword")
	is(t, "read a password", err, directory.ErrAttribute)
	_, err = b.Values(t.Context(), uuid.New(), directory.UserCertificate)
	is(t, "read an unknown person's", err, directory.ErrUnknownPerson)
	// One bad value, and the good one beside it is not written either.
	is(t, "good and bad", b.AddValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{good, []byte("x")}), directory.ErrValue)
	if got := b.stored(t, alice.DN, "userCertificate;binary"); len(got) != 0 {
		t.Errorf("%d values were written", len(got))
	}
}

// An entry whose class allows no certificates gets pkiUser, once.
func TestHolderClass(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ldap.Modify(t, "dn: uid=plain,"+slapdtest.People+"\nobjectClass: organizationalPerson\nobjectClass: uidObject\ncn: Plain\nsn: P\nuid: plain\n")
	plain := b.login(t, "plain")
	one, two := newIssuer(t, "CA").certificate(t, 1), newIssuer(t, "CA").certificate(t, 2)
	is(t, "first", b.AddValues(t.Context(), plain.ID, directory.UserCertificate, [][]byte{one}), nil)
	is(t, "second", b.AddValues(t.Context(), plain.ID, directory.UserCertificate, [][]byte{two}), nil)
	if got := b.stored(t, plain.DN, "userCertificate;binary"); len(got) != 2 {
		t.Errorf("%d values", len(got))
	}
	classes := b.ldap.Search(t, b.ldap.Lookup, "-b", plain.DN, "-s", "base", "objectClass")
	if strings.Count(classes, "pkiUser") != 1 {
		t.Errorf("classes:\n%s", classes)
	}
	// userSMIMECertificate is not in pkiUser: this entry cannot have one.
	is(t, "S/MIME", b.AddValues(t.Context(), plain.ID, directory.UserSMIMECertificate, [][]byte{one}), directory.ErrValue)
}

func TestRights(t *testing.T) {
	t.Parallel()
	s := slapdtest.New(t)
	cert := newIssuer(t, "CA").certificate(t, 1)

	b := with(t, s, func(c *directory.Config) { c.Publisher, c.PublisherPassword = c.Lookup, c.LookupPassword })
	alice := b.login(t, "alice")
	err := b.AddValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{cert})
	is(t, "publisher without rights", err, directory.ErrRefused)
	if f := fault.Of(err); f == nil || !strings.Contains(f.Detail, s.Lookup.DN) || !strings.Contains(f.Detail, "write userCertificate.") {
		t.Errorf("the fault does not say who may not do what: %v", err)
	}
	err = b.PutAuthority(t.Context(), "cn=CA,"+slapdtest.PKI, newIssuer(t, "CA").cert.Raw, nil)
	is(t, "authority without rights", err, directory.ErrRefused)

	b = with(t, s, func(c *directory.Config) { c.Publisher, c.PublisherPassword = directory.Account{}, "" })
	is(t, "no publisher", b.AddValues(t.Context(), b.login(t, "alice").ID, directory.UserCertificate, [][]byte{cert}), directory.ErrReadOnly)
	is(t, "no publisher", b.PutAuthority(t.Context(), "cn=CA,"+slapdtest.PKI, newIssuer(t, "CA").cert.Raw, nil), directory.ErrReadOnly)
}

// Two publishers that change one entry at once: each change happens, none is lost, and a renaming in between is no harm.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other, err := directory.New(b.config)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	alice := b.login(t, "alice")
	ca := newIssuer(t, "CA")
	var certs [][]byte
	for i := range 12 {
		certs = append(certs, ca.certificate(t, int64(i+1)))
	}
	var wg sync.WaitGroup
	// All add the same, each in another order.
	add := func(n int, d *directory.Directory, attr directory.Attribute) {
		for i := range certs {
			c := certs[(i*(2*n+5)+n)%len(certs)]
			for {
				err := d.Change(t.Context(), alice.ID, attr, [][]byte{c}, nil)
				if err == nil {
					break
				}
				is(t, "crossed too often", err, directory.ErrUnavailable) // then a job would try again
			}
		}
	}
	for n, d := range []*directory.Directory{b.Directory, other} {
		wg.Go(func() { add(n, d, directory.UserCertificate) })
		wg.Go(func() { add(n+2, d, directory.UserCertificate) })
		wg.Go(func() { add(n+4, d, directory.UserSMIMECertificate) })
	}
	wg.Go(func() {
		for range 3 {
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alice")+"\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\n")
			b.ldap.Modify(t, "dn: "+slapdtest.PersonDN("alicia")+"\nchangetype: modrdn\nnewrdn: uid=alice\ndeleteoldrdn: 1\n")
		}
	})
	wg.Wait()
	for _, name := range []string{"userCertificate;binary", "userSMIMECertificate"} {
		if diff := cmp.Diff(sorted(slices.Clone(certs)...), b.stored(t, slapdtest.PersonDN("alice"), name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
