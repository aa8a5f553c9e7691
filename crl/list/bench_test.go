package list_test

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"testing"

	"github.com/sealpost/sealpost/crl/list"
)

// BenchmarkNext makes the list after one more revocation and reads it back, as a server does, next to the standard library
// and to signing as many bytes.
func BenchmarkNext(b *testing.B) {
	i := p256(b)
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		var changes []list.Change
		for k := range n {
			changes = append(changes, change(uint64(k), 1))
		}
		book := apply(b, new(list.Book), noon, changes...)
		std := make([]x509.RevocationListEntry, n)
		for k := range std {
			std[k] = x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(changes[k].Serial), RevocationTime: changes[k].At, ReasonCode: 1}
		}
		changes = nil
		b.Run(fmt.Sprintf("%d/ours", n), func(b *testing.B) {
			b.ReportAllocs()
			for k := range b.N {
				next := apply(b, book, noon, change(uint64(n+k), 1))
				l := compose(b, i, i.template(int64(k)+1), entries(next.Segments())...)
				h, err := list.Read(l.Open(), nil)
				if err != nil || h.Verify(i.certificate) != nil || h.Entries != n+1 {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%d/standard", n), func(b *testing.B) {
			b.ReportAllocs()
			for k := range b.N {
				template := &x509.RevocationList{Number: big.NewInt(int64(k) + 1), ThisUpdate: noon, NextUpdate: noon.AddDate(0, 0, 1), RevokedCertificateEntries: std}
				if _, err := x509.CreateRevocationList(rand.Reader, template, i.certificate, i.key); err != nil {
					b.Fatal(err)
				}
			}
		})
		buffer := make([]byte, 0, 60*n)
		for _, e := range entries(book.Segments()) {
			buffer = append(buffer, e...)
		}
		b.Run(fmt.Sprintf("%d/signing", n), func(b *testing.B) {
			for range b.N {
				if _, err := i.sign(buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
