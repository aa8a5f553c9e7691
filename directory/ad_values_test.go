package directory_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/fault"
)

// stored returns the values of an attribute as ldapsearch sees them, sorted.
func (f *forest) stored(t testing.TB, dn, attribute string) [][]byte {
	t.Helper()
	return sorted(f.Unit.Values(t, f.Admin, dn, attribute)...)
}

// Values of both attributes come and go by exact value; others' stay, certificates or not.
func TestADValues(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	dn := f.User(t, "alice")
	alice := f.login(t, "alice")
	ours := newIssuer(t, "Ours")
	one, two, three, foreign := ours.certificate(t, 1), ours.certificate(t, 2), ours.certificate(t, 3), []byte("\x00 what nobody can read")
	for _, attr := range []directory.Attribute{directory.UserCertificate, directory.UserSMIMECertificate} {
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
			{"a value in both lists", [][]byte{three}, [][]byte{three}, sorted(three, foreign)},
			{"remove some that are there", nil, [][]byte{one, three, three}, sorted(foreign)},
			{"remove the last", nil, [][]byte{foreign}, nil},
		} {
			is(t, c.what, f.Change(t.Context(), alice.ID, attr, c.add, c.remove), nil)
			if diff := cmp.Diff(c.want, f.stored(t, dn, string(attr))); diff != "" {
				t.Errorf("%s: %s: ldapsearch sees: %s", attr, c.what, diff)
			}
			got, err := f.Directory.Values(t.Context(), alice.ID, attr)
			if diff := cmp.Diff(c.want, sorted(got...)); err != nil || len(got)+len(c.want) > 0 && diff != "" {
				t.Errorf("%s: %s: read back: %v %s", attr, c.what, err, diff)
			}
		}
	}
}

// Both attributes in one modification, which happens whole or not at all.
func TestADRevise(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	dn := f.User(t, "alice")
	alice := f.login(t, "alice")
	both := []directory.Attribute{directory.UserCertificate, directory.UserSMIMECertificate}
	cert, packed := newIssuer(t, "Ours").certificate(t, 1), []byte("packed")
	put := func(c, p []byte) error {
		return f.Revise(t.Context(), alice.ID, both, func(have directory.Values) map[directory.Attribute]directory.Change {
			return map[directory.Attribute]directory.Change{
				directory.UserCertificate:      {Add: [][]byte{c}, Remove: have[directory.UserCertificate]},
				directory.UserSMIMECertificate: {Add: [][]byte{p}, Remove: have[directory.UserSMIMECertificate]},
			}
		})
	}
	is(t, "both", put(cert, packed), nil)
	is(t, "too large", put([]byte("other"), make([]byte, 32769)), directory.ErrValue)
	if c, p := f.stored(t, dn, "userCertificate"), f.stored(t, dn, "userSMIMECertificate"); len(c) != 1 || len(p) != 1 || !bytes.Equal(c[0], cert) || !bytes.Equal(p[0], packed) {
		t.Errorf("%d and %d values", len(c), len(p))
	}
	largest := bytes.Repeat([]byte("x"), 32768)
	is(t, "the largest", put(largest, largest), nil)
	if c := f.stored(t, dn, "userCertificate"); len(c) != 1 || !bytes.Equal(c[0], largest) {
		t.Errorf("%d values", len(c))
	}
	// The limit is the server's own: Active Directory's schema has it too (rangeUpper).
	out, err := f.ModifyAs(t, f.Admin, fmt.Sprintf("dn: %s\nchangetype: modify\nadd: userCertificate\nuserCertificate:: %s\n", dn, base64.StdEncoding.EncodeToString(make([]byte, 32769))))
	if err == nil || !strings.Contains(out, "invalid value") {
		t.Errorf("one byte more: %v: %s", err, out)
	}
}

func TestADRights(t *testing.T) {
	t.Parallel()
	f := inForest(t, func(c *directory.Config) { c.Publisher, c.PublisherPassword = c.Lookup, c.LookupPassword })
	f.User(t, "alice")
	err := f.AddValues(t.Context(), f.login(t, "alice").ID, directory.UserCertificate, [][]byte{{1}})
	is(t, "publisher without rights", err, directory.ErrRefused)
	if d := fault.Of(err); d == nil || !strings.Contains(d.Detail, f.Unit.Lookup.DN) || !strings.Contains(d.Detail, "write userCertificate.") {
		t.Errorf("the fault does not say who may not do what: %v", err)
	}
}

// Publishers that change one entry at once, which somebody renames and moves all the while: each change happens, none is lost.
func TestADConcurrentChanges(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	dn := f.User(t, "alice")
	f.Modify(t, "dn: OU=Elsewhere,"+f.People+"\nobjectClass: organizationalUnit\n")
	alice := f.login(t, "alice")
	ca := newIssuer(t, "CA")
	var certs [][]byte
	for i := range 12 {
		certs = append(certs, ca.certificate(t, int64(i+1)))
	}
	add := func(n int, attr directory.Attribute) {
		for i := range certs {
			c := certs[(i*(2*n+5)+n)%len(certs)]
			for {
				err := f.Change(t.Context(), alice.ID, attr, [][]byte{c}, nil)
				if err == nil {
					break
				}
				is(t, "crossed too often", err, directory.ErrUnavailable) // then a job would try again
			}
		}
	}
	var wg sync.WaitGroup
	for n := range 2 {
		wg.Go(func() { add(n, directory.UserCertificate) })
		wg.Go(func() { add(n+2, directory.UserSMIMECertificate) })
	}
	// Another program writes values of its own.
	wg.Go(func() {
		for i := range 5 {
			f.Modify(t, fmt.Sprintf("dn: <GUID=%s>\nchangetype: modify\nadd: userCertificate\nuserCertificate: foreign %d\n", f.guid(t, dn, alice), i))
		}
	})
	wg.Wait()
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		for range 5 {
			f.Modify(t, "dn: "+dn+"\nchangetype: modrdn\nnewrdn: CN=alicia\ndeleteoldrdn: 1\nnewsuperior: OU=Elsewhere,"+f.People+"\n")
			f.Modify(t, "dn: CN=alicia,OU=Elsewhere,"+f.People+"\nchangetype: modrdn\nnewrdn: CN=alice\ndeleteoldrdn: 1\nnewsuperior: "+f.People+"\n")
		}
	}()
	for done := false; !done; {
		select {
		case <-moved:
			done = true
		default:
		}
		for _, err := range []error{f.Change(t.Context(), alice.ID, directory.UserCertificate, nil, certs[:1]), f.Change(t.Context(), alice.ID, directory.UserCertificate, certs[:1], nil)} {
			if err != nil {
				is(t, "moved too often", err, directory.ErrUnavailable)
			}
		}
	}
	is(t, "at rest", f.AddValues(t.Context(), alice.ID, directory.UserCertificate, certs[:1]), nil)
	want := slices.Clone(certs)
	for i := range 5 {
		want = append(want, fmt.Appendf(nil, "foreign %d", i))
	}
	if diff := cmp.Diff(sorted(want...), f.stored(t, dn, "userCertificate")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(sorted(slices.Clone(certs)...), f.stored(t, dn, "userSMIMECertificate")); diff != "" {
		t.Error(diff)
	}
}

// guid returns the entry's own id, which Active Directory takes in place of a name.
func (f *forest) guid(t testing.TB, dn string, p directory.Person) string {
	t.Helper()
	h, err := f.Holdings(t.Context(), []uuid.UUID{p.ID}, directory.UserCertificate)
	if err != nil || len(h) != 1 || h[0].Entry == "" {
		t.Fatalf("%s: %v", dn, err)
	}
	return h[0].Entry
}

// An entry that is deleted is nobody's, also while its values are being written.
func TestADDeleted(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	dn := f.User(t, "alice")
	alice := f.login(t, "alice")
	is(t, "before", f.AddValues(t.Context(), alice.ID, directory.UserCertificate, [][]byte{{1}}), nil)
	deleted := false
	err := f.Adjust(t.Context(), alice.ID, directory.UserCertificate, func([][]byte) (add, remove [][]byte) {
		if !deleted {
			deleted = true
			f.Modify(t, "dn: "+dn+"\nchangetype: delete\n")
		}
		return [][]byte{{2}}, nil
	})
	is(t, "meanwhile", err, directory.ErrUnknownPerson)
	h, err := f.Holdings(t.Context(), []uuid.UUID{alice.ID}, directory.UserCertificate)
	if err != nil || h[0].DN != "" {
		t.Errorf("deleted: %+v, %v", h, err)
	}
}

// An entry that is renamed between our reading and our writing is written to all the same, and not the one that got its name.
func TestADRenamedMeanwhile(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	dn := f.User(t, "alice")
	alice := f.login(t, "alice")
	asked := 0
	err := f.Adjust(t.Context(), alice.ID, directory.UserCertificate, func([][]byte) (add, remove [][]byte) {
		if asked++; asked == 1 {
			f.Modify(t, "dn: "+dn+"\nchangetype: modrdn\nnewrdn: CN=alicia\ndeleteoldrdn: 1\nnewsuperior: "+f.People+"\n")
			f.User(t, "namesake")
			f.Modify(t, "dn: CN=namesake,"+f.People+"\nchangetype: modrdn\nnewrdn: CN=alice\ndeleteoldrdn: 1\n")
		}
		return [][]byte{{2}}, nil
	})
	is(t, "renamed", err, nil)
	if hers, others := f.stored(t, "CN=alicia,"+f.People, "userCertificate"), f.stored(t, dn, "userCertificate"); len(hers) != 1 || len(others) != 0 {
		t.Errorf("she has %d values, who got her name %d", len(hers), len(others))
	}
}

// An attribute with more values than the server shows at once is read whole. (Samba shows parts only to who asks for them; Active
// Directory shows 1500 values at once.)
func TestADRanges(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	dn := f.User(t, "alice")
	alice := f.login(t, "alice")
	const many = 1600
	var want [][]byte
	ldif := "dn: " + dn + "\nchangetype: modify\nadd: userCertificate\n"
	for i := range many {
		want = append(want, fmt.Appendf(nil, "foreign %d", i))
		ldif += fmt.Sprintf("userCertificate: foreign %d\n", i)
	}
	want = sorted(want...)
	f.Modify(t, ldif)
	if got := f.stored(t, dn, "userCertificate;range=0-9"); len(got) != 10 {
		t.Fatalf("the server shows %d values of a range of 10", len(got))
	}
	for _, first := range []string{"userCertificate;range=0-0", "userCertificate;range=0-9", "userCertificate;range=0-1598", "userCertificate;range=0-*", "userCertificate"} {
		got, err := f.ReadOn(t.Context(), dn, first)
		if diff := cmp.Diff(want, sorted(got...)); err != nil || diff != "" {
			t.Errorf("%s: %d values, %v", first, len(got), err)
		}
	}
	// One of ours comes and goes among them.
	for _, c := range []directory.Change{{Add: [][]byte{{1}}}, {Remove: [][]byte{{1}}}} {
		is(t, "change", f.Change(t.Context(), alice.ID, directory.UserCertificate, c.Add, c.Remove), nil)
	}
	h, err := f.Holdings(t.Context(), []uuid.UUID{alice.ID}, directory.UserCertificate)
	if err != nil || len(h) != 1 {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, sorted(h[0].Values[directory.UserCertificate]...)); diff != "" {
		t.Errorf("others' values: %d", len(h[0].Values[directory.UserCertificate]))
	}
}

func TestUnfinished(t *testing.T) {
	t.Parallel()
	for shown, want := range map[string]int{"userCertificate;range=0-1499": 1500, "userCertificate;Range=1500-2999": 3000, "userCertificate;binary;range=0-0": 1,
		"userCertificate;range=0-*": 0, "userCertificate": 0, "userCertificate;binary": 0, "userCertificate;range=": 0, "userCertificate;range=0--5": 0,
		"userCertificate;range=0-99999999999999999999": 0, "": 0, ";range=1-2": 3} {
		name, next, ok := directory.Unfinished(shown)
		if ok != (want > 0) || ok && next != want || ok && shown[0] != ';' && name != "userCertificate" {
			t.Errorf("%q: %q, %d, %v", shown, name, next, ok)
		}
	}
}

// More entries than Active Directory shows in one answer (1000, MaxPageSize; Samba has no such limit) are read page by page. Entries
// that are renamed or deleted meanwhile end nothing.
func TestADScan(t *testing.T) {
	t.Parallel()
	f := inForest(t)
	const many = 1010
	var ldif strings.Builder
	for i := range many {
		login := fmt.Sprintf("crowd%d-%s", i, f.Name)
		fmt.Fprintf(&ldif, "dn: CN=crowd%d,%s\nobjectClass: user\nsAMAccountName: %s\nmail: crowd%d@example.test\nuserCertificate: foreign %d\n\n", i, f.People, login, i, i)
	}
	f.Modify(t, ldif.String())
	f.User(t, "alice") // holds nothing
	out, err := f.TrySearch(t.Context(), f.Unit.Lookup, "-b", f.People, "(userCertificate=*)", "1.1")
	if n := strings.Count(out, "dn: "); err != nil || n != many {
		t.Errorf("ldapsearch sees %d entries, %v", n, err)
	}
	pages, seen := 0, map[string]bool{}
	err = f.Scan(t.Context(), []directory.Attribute{directory.UserCertificate, directory.UserSMIMECertificate}, func(list []directory.Listed) error {
		if pages++; pages == 1 {
			for i := 900; i < 910; i++ {
				f.Modify(t, fmt.Sprintf("dn: CN=crowd%d,%s\nchangetype: modrdn\nnewrdn: CN=mover%d\ndeleteoldrdn: 1\n", i, f.People, i))
			}
			f.Modify(t, "dn: CN=crowd950,"+f.People+"\nchangetype: delete\n")
		}
		for _, l := range list {
			if len(l.Mailboxes) != 1 {
				t.Errorf("%+v", l)
			}
			seen[l.Entry] = true
		}
		return nil
	})
	if err != nil || pages < 3 || len(seen) < many-1 || len(seen) > many {
		t.Errorf("%d entries on %d pages, %v", len(seen), pages, err)
	}
	ids := make([]string, 0, many)
	for id := range seen {
		ids = append(ids, id)
	}
	held, err := f.HoldingsOf(t.Context(), ids[:1005], directory.UserCertificate)
	if err != nil || len(held) < 1004 {
		t.Errorf("%d entries in one answer, %v", len(held), err)
	}
}
