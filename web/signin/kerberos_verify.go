package signin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/iana/adtype"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/sealpost/sealpost/internal/spnego"
)

// verify makes sure that an offer is good, here and now and for the first time, and returns whose it is (RFC 4120 §3.2.3). The
// library's own check has another clock, does not compare the client's realm, and forgets too early what it has seen.
func (k *Kerberos) verify(offer *spnego.Offer, r *http.Request) (name types.PrincipalName, err error) {
	defer func() { // the library trusts what a ticket holds once it is decrypted
		if found := recover(); found != nil {
			err = ErrTicket.Because(fmt.Errorf("panic: %v", found))
		}
	}()
	req := &offer.Request
	if err := k.open(req); err != nil {
		return name, err
	}
	part, auth := req.Ticket.DecryptedEncPart, req.Authenticator
	now, skew := k.Now(), k.Policy.ClockSkew
	start := part.StartTime
	if start.IsZero() {
		start = part.AuthTime
	}
	at := auth.CTime.Add(time.Duration(auth.Cusec) * time.Microsecond)
	switch {
	case !auth.CName.Equal(part.CName) || auth.CRealm != part.CRealm || len(part.CName.NameString) == 0:
		return name, ErrTicket.Because(errors.New("the authenticator is another's than the ticket"))
	case types.IsFlagSet(&part.Flags, flags.Invalid):
		return name, ErrTicket.Withf("The Kerberos ticket is not valid yet.")
	case types.IsFlagSet(&part.Flags, anonymous):
		return name, ErrNoPerson
	case at.Sub(now) > skew || now.Sub(at) > skew:
		return name, ErrClock.Because(fmt.Errorf("the client's is %s ahead", at.Sub(now).Round(time.Second)))
	case now.Sub(part.EndTime) > skew:
		return name, ErrTicketEnded
	case start.Sub(now) > skew:
		return name, ErrClock.Because(fmt.Errorf("the ticket begins in %s", start.Sub(now).Round(time.Second)))
	case part.CRealm != req.Ticket.Realm && !types.IsFlagSet(&part.Flags, flags.TransitedPolicyChecked):
		return name, ErrRealm.Because(errors.New("the KDC did not check by which realms the ticket came"))
	}
	if err := restrictions(part, r); err != nil {
		return name, err
	}
	if err := k.bound(offer, r); err != nil {
		return name, err
	}
	return part.CName, k.used.once(sha256.Sum256(req.EncryptedAuthenticator.Cipher), now, at.Add(skew))
}

// open decrypts a ticket and its authenticator, if both are to us and in AES.
func (k *Kerberos) open(req *messages.APReq) error {
	own, ok := k.ours(req.Ticket.SName, req.Ticket.Realm)
	if !ok {
		return ErrTicket.Withf("The Kerberos ticket is to another service than this one, %q in the realm %q.", req.Ticket.SName.PrincipalNameString(), req.Ticket.Realm)
	}
	const weak = "The Kerberos ticket is encrypted with an old method. An administrator of the directory must allow AES for this server's account, and nothing else."
	sealed := req.Ticket.EncPart
	if !slices.Contains(strong, sealed.EType) {
		return ErrTicket.Withf(weak).Because(fmt.Errorf("encryption type %d", sealed.EType))
	}
	key, _, err := k.keys.GetEncryptionKey(own.name(), own.realm, sealed.KVNO, sealed.EType)
	if err != nil {
		return ErrTicket.Withf("The server has no key for this Kerberos ticket (version %d). Get a new ticket; if that does not help, an operator must export the server's keytab anew.", sealed.KVNO).Because(err)
	}
	if len(sealed.Cipher) < shortest || len(req.EncryptedAuthenticator.Cipher) < shortest {
		return ErrTicket.Because(errors.New("something encrypted is too short"))
	}
	if err := req.Ticket.Decrypt(key); err != nil {
		return ErrTicket.Because(err)
	}
	session := req.Ticket.DecryptedEncPart.Key
	if !slices.Contains(strong, session.KeyType) {
		return ErrTicket.Withf(weak).Because(fmt.Errorf("session key of type %d", session.KeyType))
	}
	if req.EncryptedAuthenticator.EType != session.KeyType {
		return ErrTicket.Because(fmt.Errorf("authenticator of type %d", req.EncryptedAuthenticator.EType))
	}
	if err := req.DecryptAuthenticator(session); err != nil {
		return ErrTicket.Because(err)
	}
	return nil
}

// anonymous is the flag of tickets that say of nobody whose they are (RFC 8062 §3).
const anonymous = 16

// shortest is how many bytes anything has that is encrypted with AES: a block of chance and a checksum (RFC 3962).
const shortest = 16 + 12

// restrictions are what a ticket itself says of how it may be used: from which addresses, and what must be understood of it.
func restrictions(part messages.EncTicketPart, r *http.Request) error {
	if len(part.CAddr) > 0 {
		from, err := types.GetHostAddress(r.RemoteAddr)
		if err != nil || !types.HostAddressesContains(part.CAddr, from) {
			return ErrTicket.Withf("The Kerberos ticket is for other addresses than this computer's.").Because(err)
		}
	}
	for _, d := range part.AuthorizationData {
		if d.ADType != adtype.ADIfRelevant { // what is within, one need not understand (RFC 4120 §5.2.6.1)
			return ErrTicket.Withf("The Kerberos ticket holds a restriction that this server does not know.").Because(fmt.Errorf("authorization data of type %d", d.ADType))
		}
	}
	return nil
}

// maxReplays bounds what is remembered of tokens that were used.
const maxReplays = 1 << 20

// replays are the authenticators that were used and could be again: by their hash, until when.
type replays struct {
	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time
	sweep time.Time // when to forget next
}

func newReplays() *replays { return &replays{until: map[[sha256.Size]byte]time.Time{}} }

// once returns ErrReplay for what it was told before.
func (m *replays) once(what [sha256.Size]byte, now, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.After(m.sweep) || len(m.until) >= maxReplays {
		for old, end := range m.until {
			if now.After(end) {
				delete(m.until, old)
			}
		}
		m.sweep = now.Add(time.Minute)
	}
	if end, used := m.until[what]; used && !now.After(end) {
		return ErrReplay
	}
	if len(m.until) >= maxReplays {
		return ErrReplayFull
	}
	m.until[what] = until
	return nil
}
