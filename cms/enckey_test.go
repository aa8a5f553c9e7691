package cms_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/cms"
)

func TestEncKeyWithID(t *testing.T) {
	t.Parallel()
	p := thePKI()
	rfc822Name := append([]byte{0x81, 18}, "alice@example.test"...)
	for _, h := range []*holder{p.rsa, p.p256} {
		pkcs8 := must(x509.MarshalPKCS8PrivateKey(h.key))
		for _, want := range []cms.EncKeyWithID{
			{PrivateKey: pkcs8},
			{PrivateKey: pkcs8, Identifier: "8c1f3c56-0c9f-4e7e-9d58-1f1a2b3c4d5e"},
			{PrivateKey: pkcs8, Identifier: strings.Repeat("ü", 300)},
			{PrivateKey: pkcs8, GeneralName: rfc822Name},
		} {
			der, err := want.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := cms.ParseEncKeyWithID(der)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&want, got); d != "" {
				t.Error(d)
			}
			openssl(t, der, "asn1parse", "-inform", "DER")
			clear(der)
			if !bytes.Equal(got.PrivateKey, make([]byte, len(pkcs8))) {
				t.Error("the key does not point into its encoding")
			}
		}
	}
}

func TestEncKeyWithIDRefuses(t *testing.T) {
	t.Parallel()
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(thePKI().p256.key))
	for name, e := range map[string]cms.EncKeyWithID{
		"no key":        {Identifier: "alice"},
		"no pkcs8":      {PrivateKey: thePKI().p256.cert.Raw},
		"not utf-8":     {PrivateKey: pkcs8, Identifier: "\xff"},
		"two":           {PrivateKey: pkcs8, Identifier: "alice", GeneralName: []byte{0x82, 0}},
		"no name":       {PrivateKey: pkcs8, GeneralName: []byte{0x04, 0}},
		"several names": {PrivateKey: pkcs8, GeneralName: []byte{0x82, 0, 0x82, 0}},
		"trailing":      {PrivateKey: append(bytes.Clone(pkcs8), 0)},
	} {
		if der, err := e.Marshal(); der != nil || !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("marshal %s: %v", name, err)
		}
	}
	good := must(cms.EncKeyWithID{PrivateKey: pkcs8, Identifier: "alice"}.Marshal())
	wrap := func(elements ...[]byte) []byte {
		return must(asn1.Marshal(asn1.RawValue{Tag: 16, IsCompound: true, Bytes: bytes.Join(elements, nil)}))
	}
	for name, der := range map[string][]byte{
		"nothing":    nil,
		"empty":      wrap(),
		"key alone":  pkcs8,
		"trailing":   append(bytes.Clone(good), 0),
		"cut":        good[:len(good)-1],
		"empty name": wrap(pkcs8, []byte{0x0c, 0}),
		"two names":  wrap(pkcs8, []byte{0x0c, 1, 'a'}, []byte{0x0c, 1, 'b'}),
		"not utf-8":  wrap(pkcs8, []byte{0x0c, 1, 0xff}),
		"integer":    wrap(pkcs8, []byte{0x02, 1, 1}),
		"no key":     wrap([]byte{0x0c, 1, 'a'}),
	} {
		if got, err := cms.ParseEncKeyWithID(der); got != nil || !errors.Is(err, cms.ErrMalformed) {
			t.Errorf("parse %s: %v, %v", name, got, err)
		}
	}
}
