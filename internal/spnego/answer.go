package spnego

import (
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Tags and numbers of Kerberos' messages (RFC 4120 §5.10).
const (
	tagReply     = der.Tag(0x6f) // [APPLICATION 15]
	tagReplyPart = der.Tag(0x7b) // [APPLICATION 27]
	version      = 5
	kindReply    = 15
)

// Answer returns the token that says that an offer is accepted. Its ticket and authenticator must have been decrypted. Where
// the client asked for it, the answer proves that we could do that (RFC 4120 §3.2.4).
func (o *Offer) Answer() (string, error) {
	var inner []byte
	if types.IsFlagSet(&o.Request.APOptions, flags.APOptionMutualRequired) {
		reply, err := reply(&o.Request)
		if err != nil {
			return "", err
		}
		if inner, err = frame(replyID, reply); err != nil {
			return "", err
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(context(1), func(b *cryptobyte.Builder) { // NegTokenResp (RFC 4178 §4.2.2)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(0) }) // accept-completed
			b.AddASN1(context(1), func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(o.mechanism) })
			if inner != nil {
				b.AddASN1(context(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(inner) })
			}
		})
	})
	raw, err := b.Bytes()
	return base64.StdEncoding.EncodeToString(raw), err
}

// reply makes the AP-REP to an AP-REQ.
func reply(req *messages.APReq) ([]byte, error) {
	var number [4]byte
	if _, err := rand.Read(number[:]); err != nil {
		return nil, err
	}
	var part cryptobyte.Builder
	part.AddASN1(tagReplyPart, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(req.Authenticator.CTime.UTC()) })
			b.AddASN1(context(1), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(req.Authenticator.Cusec)) })
			b.AddASN1(context(3), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(binary.BigEndian.Uint32(number[:]) >> 2)) })
		})
	})
	plain, err := part.Bytes()
	if err != nil {
		return nil, err
	}
	sealed, err := crypto.GetEncryptedData(plain, req.Ticket.DecryptedEncPart.Key, keyusage.AP_REP_ENCPART, 0)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(tagReply, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1Int64(version) })
			b.AddASN1(context(1), func(b *cryptobyte.Builder) { b.AddASN1Int64(kindReply) })
			b.AddASN1(context(2), func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(sealed.EType)) })
					b.AddASN1(context(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(sealed.Cipher) })
				})
			})
		})
	})
	return b.Bytes()
}

// Unwrap returns Kerberos' own token (RFC 4121 §4.1) in a server's answer, which says that Kerberos is accepted.
func Unwrap(token string) ([]byte, error) {
	if len(token) > MaxToken {
		return nil, errors.New("it is too long")
	}
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return nil, errors.New("it is no base64")
	}
	in := cryptobyte.String(raw)
	var resp, state, mech, octets, inner cryptobyte.String
	var there bool
	var oid asn1.ObjectIdentifier
	var completed int
	if !in.ReadASN1(&resp, context(1)) || !in.Empty() || !resp.ReadASN1(&resp, der.SEQUENCE) ||
		!resp.ReadASN1(&state, context(0)) || !state.ReadASN1Enum(&completed) ||
		!resp.ReadOptionalASN1(&mech, &there, context(1)) || there && (!mech.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidKerberos)) ||
		!resp.ReadASN1(&octets, context(2)) || !octets.ReadASN1(&inner, der.OCTET_STRING) {
		return nil, errors.New("it does not say that Kerberos is accepted")
	}
	if completed != 0 {
		return nil, fmt.Errorf("its state is %d", completed)
	}
	return inner, nil
}

// readAnswer returns the AP-REP in a server's answer.
func readAnswer(token string) (*messages.APRep, error) {
	inner, err := Unwrap(token)
	if err != nil {
		return nil, err
	}
	message, err := readMessage(inner, replyID)
	if err != nil {
		return nil, err
	}
	rep := new(messages.APRep)
	return rep, rep.Unmarshal(message)
}
