package kerberos

import (
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that a person can do something about. Each has a code of its own where what to do is another thing.
var (
	ErrNoTicket = fault.New(fault.Denied, "kerberos-no-ticket", "On this computer nobody is signed in with your organisation's account (there is no Kerberos ticket). Sign in with it, or run kinit, then try again.")
	ErrEnded    = fault.New(fault.Denied, "kerberos-ticket-expired", "Your sign-in at your organisation has ended (the Kerberos ticket). Lock and unlock the screen, or run kinit, then try again.")
	ErrCache    = fault.New(fault.Malformed, "kerberos-cache", "The Kerberos ticket cache cannot be read.")
	ErrKeytab   = fault.New(fault.Malformed, "kerberos-keytab", "The file with the computer's Kerberos keys cannot be read. Run this as the computer's administrator.")
	ErrConf     = fault.New(fault.Malformed, "kerberos-configuration", "The computer's Kerberos configuration cannot be read.")
	ErrRealm    = fault.New(fault.Denied, "kerberos-realm", "You are signed in at an organisation (Kerberos) that does not know the server. Sign in with the account of the organisation whose server it is.")
	ErrClock    = fault.New(fault.Denied, "kerberos-clock", "This computer's clock and that of your organisation's sign-in service (Kerberos) are several minutes apart, and so it lets nobody in. "+
		"Set this computer's clock, or have it set by the network, then try again.")
	ErrKDC = fault.New(fault.Unavailable, "kerberos-unreachable", "Your organisation's sign-in service (Kerberos) does not answer. Check the network: mostly it is reached from inside the "+
		"organisation, or through its VPN. Then try again.")
	ErrDisabled = fault.New(fault.Denied, "kerberos-account-disabled", "Your organisation's sign-in service (Kerberos) refuses your account: it is disabled, locked, has ended, "+
		"or may not be used here and now. Ask who looks after accounts.")
	ErrPassword = fault.New(fault.Denied, "kerberos-password-expired", "The password of your account at your organisation has ended. Change it, sign in to this computer anew, then try again.")
	ErrProof    = fault.New(fault.Denied, "proof-needed", "This needs that you show anew who you are, and a Kerberos ticket of your login does not. Use your password (--login), or run kinit -S for this server first.")
	ErrWrong    = fault.New(fault.Denied, "kerberos-password", "The password is wrong.")
	ErrMutual   = fault.New(fault.Denied, "kerberos-server", "The server did not prove that it is the one that the Kerberos ticket is to. Nothing more was sent.")
)

// saying is what the library's text of an error has for one of our faults.
type saying struct {
	words []string
	fault *fault.Error
}

// meanings are those of what the KDC, or the library, says. The library keeps a KDC's answer as text alone.
var meanings = []saying{
	{[]string{"KDC_ERR_CLIENT_REVOKED", "KDC_ERR_NAME_EXP", "KDC_ERR_CLIENT_NOTYET", "KDC_ERR_POLICY"}, ErrDisabled},
	{[]string{"KDC_ERR_KEY_EXPIRED"}, ErrPassword},
	{[]string{"KRB_AP_ERR_SKEW", "KDC_ERR_NEVER_VALID", "KRB_AP_ERR_TKT_NYV", "clock skew with KDC"}, ErrClock},
	{[]string{"KRB_AP_ERR_TKT_EXPIRED", "TGT for realm", "session has expired"}, ErrEnded},
	{[]string{"no KDCs defined"}, ErrConf},
	{[]string{"Networking_Error", "no KDC", "communicat"}, ErrKDC},
}

// explain makes a fault of what the KDC said; host is "" where it was asked to let the principal in.
func (l *Login) explain(host string, err error) error {
	text := err.Error()
	if host != "" && has(text, "KDC_ERR_S_PRINCIPAL_UNKNOWN", "KDC_ERR_PATH_NOT_ACCEPTED", "KRB_AP_ERR_NOT_US", "KDC_ERR_WRONG_REALM") {
		return ErrRealm.Withf("You are signed in at %s (Kerberos), where nobody knows a server HTTP/%s. Sign in with the account of the organisation whose server it is, or check its address.", l.realm, host).Because(err)
	}
	if f := l.meaning(text); f != nil {
		return f.Because(err)
	}
	if host == "" {
		return ErrKeytab.Withf("The Kerberos server of the realm %s does not take the keys of %s. The administrator of this computer must get new ones into the keytab.", l.realm, l.Principal()).Because(err)
	}
	return ErrRealm.Withf("The Kerberos server of the realm %s gave no ticket to HTTP/%s. Tell those who run the server.", l.realm, host).Because(err)
}

func has(text string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// meaning returns the fault that the library's text of an error is; nil if it is none of ours.
func (l *Login) meaning(text string) *fault.Error {
	for _, m := range meanings {
		if has(text, m.words...) {
			return l.about(m.fault)
		}
	}
	return nil
}

// about names in a fault whose account it is, where that helps: a computer's is nobody's own.
func (l *Login) about(f *fault.Error) *fault.Error {
	switch f {
	case ErrDisabled:
		if l.keys {
			return f.Withf("The account %s is refused: it is disabled, locked, has ended, or may not be used here and now. Ask who looks after your organisation's accounts, then try again.", l.Principal())
		}
	case ErrPassword:
		if l.keys {
			return f.Withf("The keys of %s have ended. The administrator of this computer must get new ones into the keytab.", l.Principal())
		}
	case ErrConf:
		return f.Withf("The Kerberos configuration of this computer does not say where the realm %s is signed in to. Its administrator must enter that.", l.realm)
	}
	return f
}
