package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
)

func TestExactlyT(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 2}, {2, 3}, {2, 5}, {3, 5}, {4, 6}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			r, p := newRoster(t, size[0], size[1])
			k := newWrappingKey(t, "server")
			in := unwrap(t, seal(t, r, k, "alice"), k)
			var shares []threshold.Share
			for _, id := range p.ids() {
				shares = append(shares, openShare(t, r, id, p))
			}
			mustOpen(t, r, in, pkcs8Of("alice"), shares[:size[0]]...)
			mustOpen(t, r, in, pkcs8Of("alice"), shares[len(shares)-size[0]:]...)
			if size[0] > 1 {
				if _, err := open(t, r, in, shares[1:size[0]]...); !errors.Is(err, record.ErrNotOpened) {
					t.Errorf("t-1 agents: %v", err)
				}
			}
		})
	}
}

func TestKeysOfAllSizes(t *testing.T) {
	t.Parallel()
	r, p := newRoster(t, 2, 3)
	k := newWrappingKey(t, "server")
	for _, n := range []int{1, 32, 1<<16 - 1, 1 << 16, record.MaxPKCS8} {
		key := randomBytes(n)
		rec, err := record.Seal(r.Key(), k.Public(), headerOf("alice"), key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := record.ParseRecord(rec.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		mustOpen(t, r, unwrap(t, again, k), key, openShare(t, r, 1, p), openShare(t, r, 3, p))
	}
	for _, n := range []int{0, record.MaxPKCS8 + 1} {
		if _, err := record.Seal(r.Key(), k.Public(), headerOf("alice"), make([]byte, n)); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := record.Seal(threshold.Point{}, k.Public(), headerOf("alice"), pkcs8Of("alice")); err == nil {
		t.Error("sealed to no key")
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	good := headerOf("alice")
	drill := record.Header{Purpose: record.PurposeDrill, SPKI: good.SPKI, Algorithm: "x25519", Time: day}
	for _, h := range []record.Header{good, drill, with(good, func(h *record.Header) { h.Name = "" }), with(good, func(h *record.Header) { h.Mail = "" })} {
		b, err := h.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := record.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if again != h {
			t.Errorf("%+v became %+v", h, again)
		}
	}
	for name, change := range map[string]func(*record.Header){
		"purpose":          func(h *record.Header) { h.Purpose = 3 },
		"no purpose":       func(h *record.Header) { h.Purpose = 0 },
		"no person":        func(h *record.Header) { h.Person = uuid.Nil },
		"drill's person":   func(h *record.Header) { h.Purpose = record.PurposeDrill },
		"no public key":    func(h *record.Header) { h.SPKI = record.Hash{} },
		"no algorithm":     func(h *record.Header) { h.Algorithm = "" },
		"algorithm":        func(h *record.Header) { h.Algorithm = "RSA" },
		"long algorithm":   func(h *record.Header) { h.Algorithm = "rsa-30720000000000000000000000000" },
		"nobody":           func(h *record.Header) { h.Name, h.Mail = "", "" },
		"long name":        func(h *record.Header) { h.Name = string(bytes.Repeat([]byte("a"), 257)) },
		"very long name":   func(h *record.Header) { h.Name = string(bytes.Repeat([]byte("a"), 70000)) },
		"invalid UTF-8":    func(h *record.Header) { h.Name = "alice\xff" },
		"newline":          func(h *record.Header) { h.Name = "alice\nbob" },
		"terminal escape":  func(h *record.Header) { h.Mail = "\x1b[2Kalice@example.test" },
		"reordered":        func(h *record.Header) { h.Name = "alice\u202ebob" },
		"line separator":   func(h *record.Header) { h.Name = "alice\u2028bob" },
		"no time":          func(h *record.Header) { h.Time = day.AddDate(-100, 0, 0) },
		"far future":       func(h *record.Header) { h.Time = day.AddDate(9000, 0, 0) },
		"isolated reorder": func(h *record.Header) { h.Name = "\u2066alice" },
	} {
		if _, err := with(good, change).Encode(); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// with returns a changed copy.
func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

func TestLineMakesNamesAcceptable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Ålice Müller":               "Ålice Müller",
		"a\nb\u202ec":                "a�b�c",
		"a\xffb":                     "a�b",
		"ääääääääääää":               "ääääääääää",
		"0123456789abcdefghijklmnop": "0123456789abcdefghij",
		"0123456789012345678ää":      "0123456789012345678",
	} {
		got := record.Line(in, 20)
		if got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		h := headerOf("alice")
		h.Name = got
		if _, err := h.Encode(); err != nil {
			t.Errorf("%q: %v", got, err)
		}
	}
}

// TestEveryByte flips every byte of a record, and of its inner form: nothing opens any more, to whatever key.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	r, p := newRoster(t, 2, 3)
	k := newWrappingKey(t, "server")
	rec, err := record.Seal(r.Key(), k.Public(), headerOf("alice"), []byte("a short key"))
	if err != nil {
		t.Fatal(err)
	}
	shares := []threshold.Share{openShare(t, r, 1, p), openShare(t, r, 2, p)}
	opens := func(in *record.InnerRecord, err error) error {
		if err != nil {
			return err
		}
		_, err = open(t, r, in, shares...)
		return err
	}
	fromRecord := func(b []byte) error {
		rec, err := record.ParseRecord(b)
		if err != nil {
			return err
		}
		return opens(rec.UnwrapOuter(k))
	}
	fromInner := func(b []byte) error { return opens(record.ParseInnerRecord(b)) }
	inner := unwrap(t, rec, k)
	for name, c := range map[string]struct {
		bytes []byte
		open  func([]byte) error
	}{"record": {rec.Bytes(), fromRecord}, "inner record": {inner.Bytes(), fromInner}} {
		if err := c.open(c.bytes); err != nil {
			t.Fatal(err)
		}
		for i := range c.bytes {
			for _, bit := range []byte{0x01, 0x80} {
				b := bytes.Clone(c.bytes)
				b[i] ^= bit
				if c.open(b) == nil {
					t.Errorf("%s opens with byte %d altered", name, i)
				}
			}
		}
		for _, b := range [][]byte{c.bytes[:len(c.bytes)-1], append(bytes.Clone(c.bytes), 0), nil, c.bytes[:1]} {
			if c.open(b) == nil {
				t.Errorf("%s of %d bytes opens", name, len(b))
			}
		}
	}
}

// TestMixedRecords puts parts of one person's record into another's: what a rogue server would do to have agents open
// bob's key in a case about alice.
func TestMixedRecords(t *testing.T) {
	t.Parallel()
	r, _ := newRoster(t, 2, 3)
	k := newWrappingKey(t, "server")
	alice, bob := seal(t, r, k, "alice").Capsule, seal(t, r, k, "bob").Capsule
	if len(alice.Bytes()) == len(bob.Bytes()) {
		t.Fatal("these capsules should differ in length")
	}
	blind := func(c *record.Capsule) (r1, r2 []byte) {
		d, err := threshold.Decrypt(threshold.Share{Agent: 1, Scalar: fixedScalar(t, "k")}, []threshold.Point{c.R, c.R2})
		if err != nil {
			t.Fatal(err)
		}
		return d[0].Bytes(), d[1].Bytes()
	}
	b1, b2 := blind(bob)
	f := fieldsOf(bob)
	for name, bytes := range map[string][]byte{
		"bob's key behind alice's header":       with(f, func(f *fields) { f.header = fieldsOf(alice).header }).capsule(),
		"alice's header, R' = k·R, R₂' = k·R₂":  with(f, func(f *fields) { f.header, f.r, f.r2 = fieldsOf(alice).header, b1, b2 }).capsule(),
		"bob's R and R₂ in alice's capsule":     with(fieldsOf(alice), func(a *fields) { a.r, a.r2 = f.r, f.r2 }).capsule(),
		"bob's R, R₂, proof in alice's capsule": with(fieldsOf(alice), func(a *fields) { a.r, a.r2, a.proof = f.r, f.r2, f.proof }).capsule(),
		"bob's wrapped data key in alice's":     with(fieldsOf(alice), func(a *fields) { a.wrapped = f.wrapped }).capsule(),
		"bob's inner hash in alice's":           with(fieldsOf(alice), func(a *fields) { a.inner = f.inner }).capsule(),
		"blinded":                               with(f, func(f *fields) { f.r, f.r2 = b1, b2 }).capsule(),
		"R and R₂ swapped":                      with(f, func(f *fields) { f.r, f.r2 = f.r2, f.r }).capsule(),
		"another archive key's id":              with(f, func(f *fields) { f.key = make([]byte, 32) }).capsule(),
	} {
		c, err := record.ParseCapsule(bytes)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := c.VerifyProof(r.Key()); !errors.Is(err, record.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*fields){
		"identity as R":        func(f *fields) { f.r = make([]byte, 32) },
		"identity as R₂":       func(f *fields) { f.r2 = make([]byte, 32) },
		"non-canonical R":      func(f *fields) { f.r = append([]byte{1}, make([]byte, 31)...) },
		"non-canonical scalar": func(f *fields) { f.proof = bytes.Repeat([]byte{0xff}, 64) },
		"trailing bytes":       func(f *fields) { f.proof = append(bytes.Clone(f.proof), 0) },
	} {
		if _, err := record.ParseCapsule(with(f, change).capsule()); !errors.Is(err, record.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fields are the bytes of a capsule, taken apart.
type fields struct{ header, key, inner, wrapped, r, r2, proof []byte }

func fieldsOf(c *record.Capsule) fields {
	b := c.Bytes()
	n := int(b[2])<<8 | int(b[3])
	f := fields{header: b[4 : 4+n]}
	b = b[4+n:]
	for _, part := range []struct {
		to *[]byte
		n  int
	}{{&f.key, 32}, {&f.inner, 32}, {&f.wrapped, 48}, {&f.r, 32}, {&f.r2, 32}, {&f.proof, 64}} {
		*part.to, b = b[:part.n], b[part.n:]
	}
	return f
}

func (f fields) capsule() []byte {
	out := []byte{1, 2, byte(len(f.header) >> 8), byte(len(f.header))}
	for _, b := range [][]byte{f.header, f.key, f.inner, f.wrapped, f.r, f.r2, f.proof} {
		out = append(out, b...)
	}
	return out
}

func TestSwappedInnerAndOuter(t *testing.T) {
	t.Parallel()
	r, _ := newRoster(t, 2, 3)
	k := newWrappingKey(t, "server")
	alice, bob := seal(t, r, k, "alice"), seal(t, r, k, "bob")
	a, b := unwrap(t, alice, k), unwrap(t, bob, k)
	mixed := append([]byte{1, 4, byte(len(a.Capsule.Bytes()) >> 8), byte(len(a.Capsule.Bytes()))}, a.Capsule.Bytes()...)
	mixed = append(append(mixed, 0, 0, byte(len(b.Inner)>>8), byte(len(b.Inner))), b.Inner...)
	if _, err := record.ParseInnerRecord(mixed); !errors.Is(err, record.ErrRecord) {
		t.Errorf("bob's encrypted key under alice's capsule: %v", err)
	}
	rec := append([]byte{1, 3, byte(len(a.Capsule.Bytes()) >> 8), byte(len(a.Capsule.Bytes()))}, a.Capsule.Bytes()...)
	id := k.ID()
	rec = append(rec, id[:]...)
	rec = append(append(rec, 0, 0, byte(len(bob.Outer)>>8), byte(len(bob.Outer))), bob.Outer...)
	m, err := record.ParseRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.UnwrapOuter(k); !errors.Is(err, record.ErrRecord) {
		t.Errorf("bob's outer layer under alice's capsule: %v", err)
	}
}

func TestWrappingKeys(t *testing.T) {
	t.Parallel()
	r, p := newRoster(t, 2, 3)
	old, current, stranger := newWrappingKey(t, "old"), newWrappingKey(t, "new"), newWrappingKey(t, "stranger")
	rec := seal(t, r, old, "alice")
	if _, err := rec.UnwrapOuter(); !errors.Is(err, record.ErrWrappingKey) {
		t.Errorf("no key: %v", err)
	}
	if _, err := rec.UnwrapOuter(stranger, current); !errors.Is(err, record.ErrWrappingKey) {
		t.Errorf("other keys: %v", err)
	}
	moved, err := rec.Rewrap(current.Public(), stranger, old)
	if err != nil {
		t.Fatal(err)
	}
	if moved.WrappingKey != current.ID() || moved.Capsule.Hash() != rec.Capsule.Hash() {
		t.Error("rewrapping changed the record or not the key")
	}
	if _, err := moved.UnwrapOuter(old); !errors.Is(err, record.ErrWrappingKey) {
		t.Errorf("the old key after rewrapping: %v", err)
	}
	mustOpen(t, r, unwrap(t, moved, current), pkcs8Of("alice"), openShare(t, r, 2, p), openShare(t, r, 3, p))

	seed, err := current.Seed()
	if err != nil {
		t.Fatal(err)
	}
	again, err := record.NewWrappingKey(seed)
	if err != nil || again.ID() != current.ID() {
		t.Errorf("the key of the seed is another: %v", err)
	}
	clear(seed) // whoever asked for it erases it, and the key stays whole
	if seed, err = current.Seed(); err != nil {
		t.Fatal(err)
	}
	if whole, err := record.NewWrappingKey(seed); err != nil || whole.ID() != current.ID() {
		t.Errorf("after its seed was erased the key has another: %v", err)
	}
	public, err := record.ParseWrappingPublicKey(current.Public().Bytes())
	if err != nil || public.ID() != current.ID() {
		t.Errorf("the parsed public key is another: %v", err)
	}
	if _, err := record.NewWrappingKey(seed[:31]); !errors.Is(err, record.ErrFormat) {
		t.Errorf("short seed: %v", err)
	}
	if _, err := record.ParseWrappingPublicKey(seed); !errors.Is(err, record.ErrFormat) {
		t.Errorf("short public key: %v", err)
	}
	if _, err := record.GenerateWrappingKey(); err != nil {
		t.Error(err)
	}
}

// TestAgentsWithoutTheServer and the database: t agents open the data key of a stolen record, but not the key in it.
func TestAgentsWithoutTheServer(t *testing.T) {
	t.Parallel()
	r, p := newRoster(t, 2, 3)
	k := newWrappingKey(t, "server")
	rec := seal(t, r, k, "alice")
	stolen := append([]byte{1, 4, byte(len(rec.Capsule.Bytes()) >> 8), byte(len(rec.Capsule.Bytes()))}, rec.Capsule.Bytes()...)
	stolen = append(append(stolen, 0, 0, byte(len(rec.Outer)>>8), byte(len(rec.Outer))), rec.Outer...)
	in, err := record.ParseInnerRecord(stolen)
	if !errors.Is(err, record.ErrRecord) {
		t.Errorf("the outer layer passes for the inner: %v", err)
	}
	if err == nil {
		_, err = open(t, r, in, openShare(t, r, 1, p), openShare(t, r, 2, p))
		t.Errorf("and opens: %v", err)
	}
}

func TestRekey(t *testing.T) {
	t.Parallel()
	r, p := newRoster(t, 2, 3)
	q := people{1: newPerson(t, "new officer 1"), 2: newPerson(t, "new officer 2"), 3: newPerson(t, "new officer 3")}
	n := perform(t, newPlan(t, planFor(t, 2, q)), nil, q, q)
	k := newWrappingKey(t, "server")
	rec, other := seal(t, r, k, "alice"), seal(t, r, k, "bob")
	z := shared(t, rec.Capsule, openShare(t, r, 1, p), openShare(t, r, 2, p))
	c, err := rec.Capsule.Rekey(z, r.Key(), n.Key())
	if err != nil {
		t.Fatal(err)
	}
	if c.Header != rec.Capsule.Header || c.KeyID != n.KeyID() {
		t.Error("the header changed or the key did not")
	}
	moved, err := rec.Adopt(c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	in := unwrap(t, moved, k)
	mustOpen(t, n, in, pkcs8Of("alice"), openShare(t, n, 1, q), openShare(t, n, 3, q))
	if _, err := open(t, r, in, openShare(t, r, 1, p), openShare(t, r, 2, p)); !errors.Is(err, record.ErrRecord) {
		t.Errorf("the old agents: %v", err)
	}
	if _, err := in.Open(shared(t, c, openShare(t, r, 1, p), openShare(t, r, 2, p)), n.Key()); !errors.Is(err, record.ErrNotOpened) {
		t.Errorf("the old agents' shares: %v", err)
	}
	if _, err := other.Adopt(c, k.Public(), k); !errors.Is(err, record.ErrRecord) {
		t.Errorf("another record adopts: %v", err)
	}
	if _, err := other.Capsule.Rekey(z, r.Key(), n.Key()); !errors.Is(err, record.ErrNotOpened) {
		t.Errorf("rekey with another record's point: %v", err)
	}
}
