package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// secret is something that a server was given in confidence, or should never have been given.
type secret struct {
	kind kind
	name string
}

type kind int

const (
	signingKey kind = iota
	encryptionKey
	dataKey   // with which a record is encrypted
	delivered // what a recipient got: a password, a file
	word      // a password or a token that a server is given
)

// ledger is everything secret that a test knows, of what servers, programs and people must not leave lying about: for each,
// the bytes that give it away.
type ledger map[secret][][]byte

func (l ledger) word(name, text string) {
	l[secret{word, name}] = [][]byte{[]byte(text)}
}

// bytes takes something that is secret as it is, in both orders.
func (l ledger) bytes(k kind, name string, b []byte) {
	reversed := slices.Clone(b)
	slices.Reverse(reversed)
	l[secret{k, name}] = [][]byte{b, reversed}
}

// key takes the numbers of a private key, in both orders of bytes: numbers in memory are little-endian words.
func (l ledger) key(t testing.TB, k kind, name string, key crypto.Signer) {
	t.Helper()
	var numbers [][]byte
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		must(t, err)
		numbers = append(numbers, d)
	case *rsa.PrivateKey:
		for _, n := range []interface{ Bytes() []byte }{key.D, key.Primes[0], key.Primes[1], key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv} {
			numbers = append(numbers, n.Bytes())
		}
	}
	s := secret{k, name}
	for _, n := range numbers {
		reversed := slices.Clone(n)
		slices.Reverse(reversed)
		const enough = 24 // bytes, that nothing else has by chance
		for _, form := range [][]byte{n, reversed} {
			l[s] = append(l[s], form[:enough], form[len(form)-enough:])
		}
	}
}

// notIn fails the test when a text has a secret, as it is or encoded.
func (l ledger) notIn(t testing.TB, where, text string) {
	t.Helper()
	for _, s := range l.search().in([]byte(text)) {
		t.Errorf("%s has %s", where, s.name)
	}
}

// notInFolder fails the test when a file of a folder has a secret, or there is no file.
func (l ledger) notInFolder(t testing.TB, folder string) {
	t.Helper()
	if l.notUnder(t, folder, nil) == 0 {
		t.Errorf("%s has no files: nothing was looked through", folder)
	}
}

// notUnder fails the test when a file below a folder has a secret, but for those that allowed, which may be nil, lets pass:
// it is given the path from the folder on, with slashes. It returns how many bytes it read.
func (l ledger) notUnder(t testing.TB, folder string, allowed func(path string, s secret) bool) (read int64) {
	t.Helper()
	search := l.search()
	must(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // another test's, which is at work there
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		read += int64(len(b))
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		for _, s := range search.in(b) {
			if allowed == nil || !allowed(relative, s) {
				t.Errorf("%s has %s", path, s.name)
			}
		}
		return nil
	}))
	return read
}

// search finds secrets in texts: in bytes, hexadecimal digits of either case, and base64 of either alphabet that something
// longer may surround and lines may break.
type search struct {
	begins [1 << 16]bool                  // by the first two bytes of a needle
	by     map[[leastNeedle]byte][]needle // by the first ones
}

type needle struct {
	form []byte
	of   secret
}

// leastNeedle is how many bytes a secret has at least in any of its forms: shorter ones would be found everywhere.
const leastNeedle = 8

func (l ledger) search() *search {
	x := &search{by: map[[leastNeedle]byte][]needle{}}
	for s, forms := range l {
		for _, form := range forms {
			x.add(s, form)
			digits := hex.EncodeToString(form)
			x.add(s, []byte(digits))
			x.add(s, []byte(strings.ToUpper(digits)))
			for shift := range 3 { // base64 of it within something longer
				whole := base64.StdEncoding.EncodeToString(append(make([]byte, shift), form...))
				inner := whole[(shift*8+5)/6 : len(whole)-4]
				x.add(s, []byte(inner))
				x.add(s, []byte(strings.NewReplacer("+", "-", "/", "_").Replace(inner)))
			}
		}
	}
	return x
}

func (x *search) add(s secret, form []byte) {
	if len(form) < leastNeedle {
		panic("too short to be searched for: " + s.name)
	}
	x.begins[binary.LittleEndian.Uint16(form)] = true
	first := [leastNeedle]byte(form)
	x.by[first] = append(x.by[first], needle{form, s})
}

// in returns which secrets a text has, each once.
func (x *search) in(text []byte) []secret {
	found := map[secret]bool{}
	x.scan(text, found)
	if bytes.IndexByte(text, '\n') >= 0 { // as PEM breaks base64
		x.scan(bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\n"), nil), []byte("\r"), nil), found)
	}
	return slices.Collect(maps.Keys(found))
}

func (x *search) scan(text []byte, found map[secret]bool) {
	for at := 0; at+leastNeedle <= len(text); at++ {
		if !x.begins[binary.LittleEndian.Uint16(text[at:])] {
			continue
		}
		for _, n := range x.by[[leastNeedle]byte(text[at:])] {
			if bytes.HasPrefix(text[at:], n.form) {
				found[n.of] = true
			}
		}
	}
}

// inMemory returns how often each secret is in a process's writable memory.
func (l ledger) inMemory(t testing.TB, pid int) map[secret]int {
	t.Helper()
	out := map[secret]int{}
	total := 0
	err := eachRegion(pid, func(b []byte) {
		total += len(b)
		for s, forms := range l {
			for _, form := range forms {
				out[s] += bytes.Count(b, form)
			}
		}
	})
	must(t, err)
	if total < 8<<20 {
		t.Fatalf("the process has %d bytes of memory: that is not all", total)
	}
	for s, n := range out {
		if n == 0 {
			delete(out, s)
		}
	}
	return out
}

// eachRegion reads a process's writable memory, region by region.
func eachRegion(pid int, fn func([]byte)) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var mode string
		if n, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n != 3 || err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		if !strings.HasPrefix(mode, "rw") {
			continue // programs and constants, and what the kernel maps
		}
		b := make([]byte, to-from)
		n, err := mem.ReadAt(b, int64(from))
		if err != nil && !errors.Is(err, syscall.EIO) {
			return err
		}
		fn(b[:n])
	}
	return nil
}

// The search finds a key however it is written, and nothing where there is none.
func TestSearchFindsSecrets(t *testing.T) {
	t.Parallel()
	l := ledger{}
	for _, a := range []ca.KeyAlgorithm{ca.P256, ca.RSA3072} {
		key := pkitest.NewKey(t, a)
		s := secret{encryptionKey, string(a)}
		l.key(t, s.kind, s.name, key)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		wide := &strings.Builder{}
		for i, c := range base64.StdEncoding.EncodeToString(der) {
			if i > 0 && i%40 == 0 {
				wide.WriteString("\r\n")
			}
			wide.WriteRune(c)
		}
		reversed := slices.Clone(der)
		slices.Reverse(reversed)
		for form, text := range map[string]string{
			"DER":            string(der),
			"reversed":       string(reversed),
			"PEM":            string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
			"short lines":    wide.String(),
			"in JSON":        `{"a":7,"key":"` + base64.StdEncoding.EncodeToString(append([]byte("xy"), der...)) + `"}`,
			"base64url":      base64.RawURLEncoding.EncodeToString(append([]byte("x"), der...)),
			"a dump's bytea": `\x` + hex.EncodeToString(der),
			"HEX":            strings.ToUpper(hex.EncodeToString(der)),
		} {
			if found := l.search().in([]byte("before " + text + " after")); !slices.Contains(found, s) {
				t.Errorf("%s as %s is not found", a, form)
			}
		}
	}
	other, err := x509.MarshalPKCS8PrivateKey(pkitest.NewKey(t, ca.P256))
	must(t, err)
	if found := l.search().in(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: other})); len(found) > 0 {
		t.Errorf("another key is taken for %v", found)
	}
}
