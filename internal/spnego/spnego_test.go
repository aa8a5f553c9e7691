package spnego_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/sealpost/sealpost/internal/spnego"
)

// ticket makes a ticket, and returns the service's keys.
func ticket(t testing.TB) (spnego.Ticket, *keytab.Keytab) {
	t.Helper()
	now := time.Now()
	keys := keytab.New()
	must(t, keys.AddEntry("HTTP/host", "EXAMPLE.TEST", "sample", now, 1, etypeID.AES256_CTS_HMAC_SHA1_96))
	name := types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, "alice")
	tkt, key, err := messages.NewTicket(name, "EXAMPLE.TEST", types.NewPrincipalName(nametype.KRB_NT_SRV_INST, "HTTP/host"), "EXAMPLE.TEST",
		types.NewKrbFlags(), keys, etypeID.AES256_CTS_HMAC_SHA1_96, 1, now, now, now.Add(time.Hour), now)
	must(t, err)
	return spnego.Ticket{Ticket: tkt, Key: key, Realm: "EXAMPLE.TEST", Name: name}, keys
}

// What a client offers the server reads, and its answer the client takes: for that offer, and for no other.
func TestBothWays(t *testing.T) {
	tkt, keys := ticket(t)
	binding := spnego.Binding{7, 8, 9}
	sent, err := tkt.Offer(time.Now(), binding)
	must(t, err)
	other, err := tkt.Offer(time.Now().Add(time.Second), binding)
	must(t, err)
	stranger, _ := ticket(t)
	elsewhere, err := stranger.Offer(time.Now(), binding)
	must(t, err)
	offer, err := spnego.Read(sent.Token)
	must(t, err)
	must(t, offer.Request.Ticket.DecryptEncPart(keys, nil))
	must(t, offer.Request.DecryptAuthenticator(offer.Request.Ticket.DecryptedEncPart.Key))
	if got, err := offer.Binding(); err != nil || got != binding {
		t.Errorf("binding %x, %v", got, err)
	}
	answer, err := offer.Answer()
	must(t, err)
	if err := sent.Check(answer); err != nil {
		t.Error(err)
	}
	for what, s := range map[string]*spnego.Sent{"another offer": other, "another session": elsewhere} {
		if s.Check(answer) == nil {
			t.Errorf("%s takes the answer", what)
		}
	}
	for _, bad := range []string{"", "~", "oQcwBaADCgEC", "oRQwEqADCgEAoQsGCSqGSIb3EgECAg==", sent.Token} { // refused; accepted without a proof; what was sent itself
		if sent.Check(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestNotKerberos(t *testing.T) {
	for token, want := range map[string]error{
		base64.StdEncoding.EncodeToString([]byte("NTLMSSP\x00\x01")): spnego.ErrNTLM,
		// A NegTokenInit that offers NTLM alone, and one that offers it before Kerberos.
		"YBgGBisGAQUFAqAOMAygCgYIKwYBBQUCAgo=":                     nil,
		"YBwGBisGAQUFAqASMBCgDjAMBgorBgEEAYI3AgIK":                 spnego.ErrNTLM,
		"YCcGBisGAQUFAqAdMBugGTAXBgorBgEEAYI3AgIKBgkqhkiG9xIBAgI=": spnego.ErrOther,
	} {
		_, err := spnego.Read(token)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", token, err, want)
		}
	}
}

// FuzzRead looks for tokens that do more harm than being refused, with a key that could open what is in them.
func FuzzRead(f *testing.F) {
	tkt, keys := ticket(f)
	sent, err := tkt.Offer(time.Now(), spnego.Binding{})
	must(f, err)
	raw, err := base64.StdEncoding.DecodeString(sent.Token)
	must(f, err)
	f.Add(raw)
	f.Add([]byte("NTLMSSP\x00\x01\x00"))
	f.Add([]byte{0x60, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		offer, err := spnego.Read(base64.StdEncoding.EncodeToString(raw))
		if err != nil {
			return
		}
		if offer.Request.Ticket.DecryptEncPart(keys, nil) != nil || len(offer.Request.Ticket.SName.NameString) == 0 {
			return
		}
		if offer.Request.DecryptAuthenticator(offer.Request.Ticket.DecryptedEncPart.Key) == nil {
			if _, err := offer.Answer(); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzCheck is the same for a server's answers.
func FuzzCheck(f *testing.F) {
	tkt, _ := ticket(f)
	sent, err := tkt.Offer(time.Now(), spnego.Binding{})
	must(f, err)
	f.Add([]byte{0xa1, 7, 0x30, 5, 0xa0, 3, 10, 1, 2})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if sent.Check(base64.StdEncoding.EncodeToString(raw)) == nil {
			t.Error("taken")
		}
	})
}

// The library decrypts what is too short without harm: what is encrypted comes from outside.
func TestShortCiphers(t *testing.T) {
	for _, kind := range []int32{17, 18, 19, 20} {
		for n := 28; n < 80; n++ {
			size := map[int32]int{17: 16, 18: 32, 19: 16, 20: 32}[kind]
			if _, err := crypto.DecryptMessage(make([]byte, n), types.EncryptionKey{KeyType: kind, KeyValue: make([]byte, size)}, 2); err == nil {
				t.Errorf("type %d: %d bytes of nothing are taken", kind, n)
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
