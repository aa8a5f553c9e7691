package kerberos

import (
	"context"
	"strings"
	"time"

	krb "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

const service = "HTTP/"

// held is a ticket to a host.
type held struct {
	ticket messages.Ticket
	key    types.EncryptionKey
	ends   time.Time
}

// Prove asks the person for their password and has the KDC give a ticket to this host for it: of such a one the host can tell that it was
// got with the password and not with what the login left (INITIAL, RFC 4120 §2.1). The password goes to nobody, and the ticket stays in memory.
func (l *Login) Prove(_ context.Context, host string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Ask == nil || l.keys {
		return ErrProof
	}
	password, err := l.Ask()
	if err != nil {
		return err
	}
	req, err := messages.NewASReq(l.realm, l.conf, l.name, types.NewPrincipalName(nametype.KRB_NT_SRV_INST, service+host))
	if err != nil {
		return ErrProof.Because(err)
	}
	client := krb.NewWithPassword(l.name.PrincipalNameString(), l.realm, password, l.conf, krb.DisablePAFXFAST(true))
	defer client.Destroy()
	reply, err := client.ASExchange(l.realm, req, 0)
	if err != nil {
		return l.unproven(err)
	}
	if l.proofs == nil {
		l.proofs = map[string]held{}
	}
	l.proofs[host] = held{reply.Ticket, reply.DecryptedEncPart.Key, reply.DecryptedEncPart.EndTime}
	return nil
}

// unproven makes a fault of what the KDC said to a password.
func (l *Login) unproven(err error) error {
	said := err.Error()
	if strings.Contains(said, "KDC_ERR_PREAUTH_FAILED") || strings.Contains(said, "password/keytab incorrect") {
		return ErrWrong.Withf("The password of %s is wrong.", l.Principal()).Because(err)
	}
	if f := l.meaning(said); f != nil {
		return f.Because(err)
	}
	return ErrProof.Withf("Your organisation's sign-in service (Kerberos) gave no ticket for the password alone. Use --login in place of --kerberos.").Because(err)
}

// proof returns a ticket to a host that was got with the person's own key: by Prove, or by kinit -S.
func (l *Login) proof(host string) (held, bool) {
	if h, ok := l.proofs[host]; ok && l.now().Before(h.ends) {
		return h, true
	}
	for _, h := range l.cachedProofs() {
		if len(h.ticket.SName.NameString) == 2 && strings.EqualFold(h.ticket.SName.NameString[1], host) {
			return h, true
		}
	}
	return held{}, false
}

// hasProof reports whether the cache has such a ticket to any host.
func (l *Login) hasProof() bool { return len(l.cachedProofs()) > 0 }

// cachedProofs are the tickets in the cache that kinit -S HTTP/… got: those of whoever signs in with a card, and of whom no password can be
// asked.
func (l *Login) cachedProofs() (out []held) {
	if l.cache == nil {
		return nil
	}
	defer func() { // the library trusts lengths in the file
		if recover() != nil {
			out = nil
		}
	}()
	for _, c := range l.cache.GetEntries() {
		name := c.Server.PrincipalName.NameString
		if len(name) != 2 || name[0]+"/" != service || !types.IsFlagSet(&c.TicketFlags, flags.Initial) || l.now().After(c.EndTime) {
			continue
		}
		h := held{key: c.Key, ends: c.EndTime}
		if err := h.ticket.Unmarshal(c.Ticket); err == nil { // else it is of no use
			out = append(out, h)
		}
	}
	return out
}
