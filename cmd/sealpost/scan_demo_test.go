package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// What a demo leaves has its people's keys, and the keys that it recovers, where it says and nowhere else: neither in the
// clear nor as a file that is delivered, not in the database's folder, nor in the logs.
func TestDemoKeepsKeysWhereItSays(t *testing.T) {
	t.Parallel()
	shared.open(t)
	d := newDemo(t)
	e2etest.Good(t, d.command("--once"))
	l := ledger{}
	for _, file := range []string{"people/alice/identity", "people/bob/identity", "recovered/alice"} {
		p12 := filepath.Join(d.dir, file+".p12")
		l.bytes(delivered, "the password of "+file, bytes.TrimSpace([]byte(read(t, filepath.Join(d.dir, file+".password")))))
		whole := []byte(read(t, p12))
		l.bytes(delivered, file+".p12", whole[len(whole)/2:][:48])
		rest := []byte(openssl(t, d.dir, "pkcs12", "-in", p12, "-passin", "file:"+file+".password", "-nodes", "-nocerts"))
		n := 0
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			must(t, err)
			n++
			l.key(t, encryptionKey, "key "+string(rune('0'+n))+" of "+file, key.(crypto.Signer))
		}
		if n < 2 {
			t.Fatalf("%s has %d keys", p12, n)
		}
	}
	there := map[secret]bool{}
	size := l.notUnder(t, d.dir, func(path string, s secret) bool {
		there[s] = true
		return s.kind == delivered && (strings.HasPrefix(path, "people/") || strings.HasPrefix(path, "recovered/"))
	})
	if size < 10<<20 {
		t.Errorf("the folder has %d bytes: there is no database in it", size)
	}
	for s := range l {
		if s.kind == delivered && !there[s] {
			t.Errorf("the scan does not find %s: it sees nothing", s.name)
		}
	}
	d.leftNothing(t, "the tour")
}
