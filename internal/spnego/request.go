package spnego

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// What a client asks for (RFC 4121 §4.1.1.1): that the server proves itself too.
const flagMutual = 2

// Ticket is a ticket to a server, and whose it is.
type Ticket struct {
	Ticket messages.Ticket
	Key    types.EncryptionKey // of the session
	Realm  string
	Name   types.PrincipalName
}

// Sent is what was sent to a server, whose answer must fit it.
type Sent struct {
	Token string // for Authorization: Negotiate
	key   types.EncryptionKey
	at    time.Time
	micro int
}

// Offer makes the token of one request. No two are the same, and a server takes each once.
func (t Ticket) Offer(now time.Time, b Binding) (*Sent, error) {
	now = now.UTC()
	auth, err := types.NewAuthenticator(t.Realm, t.Name)
	if err != nil {
		return nil, err
	}
	sent := &Sent{key: t.Key, at: now.Truncate(time.Second), micro: now.Nanosecond() / 1000}
	auth.CTime, auth.Cusec = sent.at, sent.micro
	sum := binary.LittleEndian.AppendUint32(nil, md5.Size)
	sum = binary.LittleEndian.AppendUint32(append(sum, b[:]...), flagMutual)
	auth.Cksum = types.Checksum{CksumType: checksumGSS, Checksum: sum}
	req, err := messages.NewAPReq(t.Ticket, t.Key, auth)
	if err != nil {
		return nil, err
	}
	types.SetFlag(&req.APOptions, flags.APOptionMutualRequired)
	message, err := req.Marshal()
	if err != nil {
		return nil, err
	}
	inner, err := frame(requestID, message)
	if err != nil {
		return nil, err
	}
	sent.Token, err = Wrap(inner)
	return sent, err
}

// Wrap makes the token of one request of a token of Kerberos' own (RFC 4121 §4.1), such as GSS-API and SSPI make.
func Wrap(inner []byte) (string, error) {
	var out cryptobyte.Builder
	out.AddASN1(tagToken, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSPNEGO)
		b.AddASN1(context(0), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(context(0), func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidKerberos) })
				})
				b.AddASN1(context(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(inner) })
			})
		})
	})
	raw, err := out.Bytes()
	return base64.StdEncoding.EncodeToString(raw), err
}

// Check makes sure that an answer comes from the server that the ticket is to: only that could read when the token was made.
func (s *Sent) Check(answer string) error {
	rep, err := readAnswer(answer)
	if err != nil {
		return err
	}
	if rep.EncPart.EType != s.key.KeyType {
		return errors.New("it is encrypted otherwise than the session is")
	}
	plain, err := crypto.DecryptEncPart(rep.EncPart, s.key, keyusage.AP_REP_ENCPART)
	if err != nil {
		return fmt.Errorf("it is not of the session: %w", err)
	}
	var part messages.EncAPRepPart
	if err := part.Unmarshal(plain); err != nil {
		return err
	}
	if subtle.ConstantTimeEq(int32(part.Cusec), int32(s.micro)) != 1 || !part.CTime.Equal(s.at) {
		return errors.New("it answers something else")
	}
	return nil
}
