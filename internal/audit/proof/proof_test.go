package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/fault"
)

const name = "pki.example.test/audit"

func newSigner(t testing.TB, name string, seed byte) *proof.Signer {
	t.Helper()
	s, err := proof.NewSigner(name, ed25519.NewKeyFromSeed(slices.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verifiers(t testing.TB, signers ...*proof.Signer) note.Verifiers {
	t.Helper()
	var vkeys []string
	for _, s := range signers {
		vkeys = append(vkeys, s.VerifierKey())
	}
	v, err := proof.Verifiers(vkeys...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// tree is a log in memory.
type tree struct {
	hashes []tlog.Hash
	size   int64
}

func newTree(t testing.TB, n int64) *tree {
	t.Helper()
	tr := &tree{}
	for ; tr.size < n; tr.size++ {
		hs, err := tlog.StoredHashes(tr.size, leafBody(tr.size), tr)
		if err != nil {
			t.Fatal(err)
		}
		tr.hashes = append(tr.hashes, hs...)
	}
	return tr
}

func leafBody(i int64) []byte { return fmt.Appendf(nil, "event %d", i) }

func (tr *tree) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, tr.hashes[i])
	}
	return out, nil
}

func (tr *tree) checkpoint(t testing.TB, size int64, signers ...note.Signer) (proof.Checkpoint, []byte) {
	t.Helper()
	root, err := tlog.TreeHash(size, tr)
	if err != nil {
		t.Fatal(err)
	}
	c := proof.Checkpoint{Origin: name, Size: size, Root: root}
	msg, err := c.Sign(signers...)
	if err != nil {
		t.Fatal(err)
	}
	return c, msg
}

func (tr *tree) inclusion(t testing.TB, index, size int64, s *proof.Signer) proof.Inclusion {
	t.Helper()
	p, err := tlog.ProveRecord(size, index, tr)
	if err != nil {
		t.Fatal(err)
	}
	_, msg := tr.checkpoint(t, size, s)
	return proof.Inclusion{Index: index, Hashes: p, Checkpoint: msg}
}

func (tr *tree) consistency(t testing.TB, old, size int64, s *proof.Signer) proof.Consistency {
	t.Helper()
	p, err := tlog.ProveTree(size, old, tr)
	if err != nil {
		t.Fatal(err)
	}
	_, msg := tr.checkpoint(t, size, s)
	return proof.Consistency{OldSize: old, Hashes: p, Checkpoint: msg}
}

// The signer's notes are those that the sumdb tools make and read: same key words, same bytes.
func TestSignerIsTheStandardOne(t *testing.T) {
	t.Parallel()
	skey, vkey, err := note.GenerateKey(bytes.NewReader(slices.Repeat([]byte{7}, 64)), name)
	if err != nil {
		t.Fatal(err)
	}
	standard, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	ours := newSigner(t, name, 7)
	if ours.VerifierKey() != vkey {
		t.Fatalf("verifier key %s, want %s", ours.VerifierKey(), vkey)
	}
	tr := newTree(t, 5)
	_, a := tr.checkpoint(t, 5, ours)
	_, b := tr.checkpoint(t, 5, standard)
	if !bytes.Equal(a, b) {
		t.Errorf("notes differ:\n%s\n%s", a, b)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	log, other, witness := newSigner(t, name, 1), newSigner(t, name, 2), newSigner(t, "witness.example.test", 3)
	tr := newTree(t, 9)
	want, msg := tr.checkpoint(t, 9, log)
	_, both := tr.checkpoint(t, 9, witness, log)
	_, cosigned := tr.checkpoint(t, 9, witness)
	_, foreign := tr.checkpoint(t, 9, other)
	text, sigs, _ := strings.Cut(string(msg), "\n\n")
	extended, err := note.Sign(&note.Note{Text: text + "\nextension\n"}, log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	resign := func(text string) string {
		m, err := note.Sign(&note.Note{Text: text}, log)
		if err != nil {
			t.Fatal(err)
		}
		return string(m)
	}
	for _, c := range []struct {
		what string
		msg  string
		v    note.Verifiers
		want error
	}{
		{"signed", string(msg), verifiers(t, log), nil},
		{"signed, one of several keys", string(msg), verifiers(t, other, log, witness), nil},
		{"signed by a witness too, who is unknown", string(both), verifiers(t, log), nil},
		{"signed by a witness too, who is known", string(both), verifiers(t, log, witness), nil},
		{"with an extension", string(extended), verifiers(t, log), nil},
		{"by a known witness alone", string(cosigned), verifiers(t, log, witness), proof.ErrSignature},
		{"by another key of this name", string(foreign), verifiers(t, log), proof.ErrSignature},
		{"no verifiers", string(msg), nil, proof.ErrSignature},
		{"another size", strings.Replace(string(msg), "\n9\n", "\n8\n", 1), verifiers(t, log), proof.ErrSignature},
		{"another signature", text + "\n\n" + string(foreign[len(text)+2:]), verifiers(t, log), proof.ErrSignature},
		{"no signature", text + "\n", verifiers(t, log), proof.ErrMalformed},
		{"signature cut", text + "\n\n" + sigs[:len(sigs)-9], verifiers(t, log), proof.ErrMalformed},
		{"empty", "", verifiers(t, log), proof.ErrMalformed},
		{"too large", strings.Repeat("x", proof.MaxNote+1), verifiers(t, log), proof.ErrMalformed},
		{"size with zeros", resign(lines[0] + "\n09\n" + lines[2] + "\n"), verifiers(t, log), proof.ErrMalformed},
		{"negative size", resign(lines[0] + "\n-9\n" + lines[2] + "\n"), verifiers(t, log), proof.ErrMalformed},
		{"huge size", resign(lines[0] + "\n99999999999999999999\n" + lines[2] + "\n"), verifiers(t, log), proof.ErrMalformed},
		{"short root", resign(lines[0] + "\n9\nAAAA\n"), verifiers(t, log), proof.ErrMalformed},
		{"root with odd bits", resign(lines[0] + "\n9\n" + strings.Repeat("A", 42) + "B=\n"), verifiers(t, log), proof.ErrMalformed},
		{"no root", resign(lines[0] + "\n9\n"), verifiers(t, log), proof.ErrMalformed},
		{"no origin", resign("\n9\n" + lines[2] + "\n"), verifiers(t, log), proof.ErrMalformed},
		{"empty line", resign(text + "\n\nx\n"), verifiers(t, log), proof.ErrMalformed},
		{"origin of two words", resign("a b\n9\n" + lines[2] + "\n"), verifiers(t, log), proof.ErrMalformed},
		{"origin of another log", resign("x.example.test\n9\n" + lines[2] + "\n"), verifiers(t, log), proof.ErrSignature},
	} {
		got, err := proof.Open([]byte(c.msg), c.v)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
		if err != nil && !errors.Is(err, fault.Malformed) {
			t.Errorf("%s: %v is no malformed input", c.what, err)
		}
		if c.want == nil && got != want {
			t.Errorf("%s: got %+v", c.what, got)
		}
	}
}

func TestInclusion(t *testing.T) {
	t.Parallel()
	log := newSigner(t, name, 1)
	v := verifiers(t, log)
	tr := newTree(t, 40)
	for size := int64(1); size <= 24; size++ {
		for i := range size {
			p := tr.inclusion(t, i, size, log)
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var back proof.Inclusion
			if err := json.Unmarshal(text, &back); err != nil || cmp.Diff(p, back, cmpopts.EquateEmpty()) != "" {
				t.Fatalf("%s: %v", text, err)
			}
			if c, err := back.Check(proof.LeafHash(leafBody(i)), v); err != nil || c.Size != size {
				t.Fatalf("%d of %d: %v", i, size, err)
			}
		}
	}
	good := tr.inclusion(t, 20, 33, log)
	leaf := proof.LeafHash(leafBody(20))
	other := newTree(t, 10).inclusion(t, 9, 10, newSigner(t, name, 2))
	for what, c := range map[string]struct {
		change func(*proof.Inclusion)
		want   error
	}{
		"another index":      {func(p *proof.Inclusion) { p.Index++ }, proof.ErrFalse},
		"negative index":     {func(p *proof.Inclusion) { p.Index = -1 }, proof.ErrFalse},
		"index beyond":       {func(p *proof.Inclusion) { p.Index = 33 }, proof.ErrFalse},
		"no hashes":          {func(p *proof.Inclusion) { p.Hashes = nil }, proof.ErrFalse},
		"a hash too many":    {func(p *proof.Inclusion) { p.Hashes = append(slices.Clone(p.Hashes), tlog.Hash{}) }, proof.ErrFalse},
		"a hash altered":     {func(p *proof.Inclusion) { p.Hashes = append(slices.Clone(p.Hashes[1:]), tlog.Hash{}) }, proof.ErrFalse},
		"another checkpoint": {func(p *proof.Inclusion) { p.Checkpoint = tr.inclusion(t, 0, 34, log).Checkpoint }, proof.ErrFalse},
		"another signer":     {func(p *proof.Inclusion) { p.Checkpoint = other.Checkpoint }, proof.ErrSignature},
		"no checkpoint":      {func(p *proof.Inclusion) { p.Checkpoint = nil }, proof.ErrMalformed},
	} {
		p := good
		c.change(&p)
		if _, err := p.Check(leaf, v); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
	if _, err := good.Check(proof.LeafHash(leafBody(21)), v); !errors.Is(err, proof.ErrFalse) {
		t.Errorf("another event: got %v", err)
	}
}

func TestConsistency(t *testing.T) {
	t.Parallel()
	log := newSigner(t, name, 1)
	v := verifiers(t, log)
	tr := newTree(t, 40)
	for size := int64(1); size <= 24; size++ {
		for old := int64(1); old <= size; old++ {
			was, _ := tr.checkpoint(t, old, log)
			p := tr.consistency(t, old, size, log)
			text, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var back proof.Consistency
			if err := json.Unmarshal(text, &back); err != nil || cmp.Diff(p, back, cmpopts.EquateEmpty()) != "" {
				t.Fatalf("%s: %v", text, err)
			}
			if c, err := back.Check(was, v); err != nil || c.Size != size {
				t.Fatalf("%d to %d: %v", old, size, err)
			}
		}
	}
	was, _ := tr.checkpoint(t, 20, log)
	good := tr.consistency(t, 20, 33, log)
	for what, c := range map[string]struct {
		change func(*proof.Consistency, *proof.Checkpoint)
		want   error
	}{
		"another old root":  {func(_ *proof.Consistency, c *proof.Checkpoint) { c.Root[0]++ }, proof.ErrFalse},
		"another old size":  {func(_ *proof.Consistency, c *proof.Checkpoint) { c.Size++ }, proof.ErrFalse},
		"another log":       {func(_ *proof.Consistency, c *proof.Checkpoint) { c.Origin = "x" }, proof.ErrFalse},
		"an empty one":      {func(p *proof.Consistency, c *proof.Checkpoint) { c.Size, p.OldSize = 0, 0 }, proof.ErrFalse},
		"backwards":         {func(p *proof.Consistency, c *proof.Checkpoint) { c.Size, p.OldSize = 34, 34 }, proof.ErrFalse},
		"no hashes":         {func(p *proof.Consistency, _ *proof.Checkpoint) { p.Hashes = nil }, proof.ErrFalse},
		"unsigned":          {func(p *proof.Consistency, _ *proof.Checkpoint) { p.Checkpoint = []byte("x") }, proof.ErrMalformed},
		"same size, forked": {func(p *proof.Consistency, c *proof.Checkpoint) { c.Size, p.OldSize, p.Hashes = 33, 33, nil }, proof.ErrFalse},
	} {
		p, old := good, was
		c.change(&p, &old)
		if _, err := p.Check(old, v); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
}

// The example in the specification has extra data; ours has none, and reads it.
func TestInclusionText(t *testing.T) {
	t.Parallel()
	log := newSigner(t, name, 1)
	p := newTree(t, 5).inclusion(t, 3, 5, log)
	text, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	extra := strings.Replace(string(text), "\nindex", "\nextra YWJj\nindex", 1)
	var back proof.Inclusion
	if err := back.UnmarshalText([]byte(extra)); err != nil || cmp.Diff(p, back, cmpopts.EquateEmpty()) != "" {
		t.Errorf("with extra data: %v", err)
	}
	for what, bad := range map[string]string{
		"empty": "", "no checkpoint": "c2sp.org/tlog-proof@v1\nindex 1\n", "header alone": "c2sp.org/tlog-proof@v1\n\nx",
		"another version": strings.Replace(string(text), "v1", "v2", 1), "no index": strings.Replace(string(text), "index", "inbox", 1),
		"index with plus": strings.Replace(string(text), "index 3", "index +3", 1), "index with zeros": strings.Replace(string(text), "index 3", "index 03", 1),
		"a hash cut": strings.Replace(string(text), "=\n", "\n", 1), "too many hashes": strings.Replace(string(text), "\n\n", "\n"+strings.Repeat(strings.Repeat("A", 43)+"=\n", 70)+"\n", 1),
		"too large": string(text) + strings.Repeat("x", 2*proof.MaxNote),
	} {
		if err := back.UnmarshalText([]byte(bad)); !errors.Is(err, proof.ErrMalformed) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	pub := newSigner(t, name, 1).VerifierKey()
	for _, k := range []string{"", "x", pub[1:], pub + "x", strings.Replace(pub, "+", "-", 1)} {
		if _, err := proof.Verifiers(pub, k); !errors.Is(err, proof.ErrMalformed) {
			t.Errorf("key %q: got %v", k, err)
		}
	}
	for _, n := range []string{"", "a b", "a+b", "a\nb", "a\x00", "\xff", strings.Repeat("a", 256)} {
		if _, err := proof.VerifierKey(n, make([]byte, ed25519.PublicKeySize)); !errors.Is(err, fault.Malformed) {
			t.Errorf("name %q: got %v", n, err)
		}
		if _, err := (proof.Checkpoint{Origin: n, Size: 1}).Sign(); err == nil {
			t.Errorf("origin %q is signed", n)
		}
	}
	if _, err := proof.VerifierKey(name, []byte("short")); err == nil {
		t.Error("a short key is accepted")
	}
}
