package kerberos

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"github.com/alexbrainman/sspi"
	"golang.org/x/sys/windows"

	"github.com/sealpost/sealpost/internal/fault"
)

// What the library lacks.
const (
	nameUserPrincipal = 8 // EXTENDED_NAME_FORMAT
	nameSamCompatible = 2
	inMutual          = sspi.ISC_REQ_MUTUAL_AUTH
)

// meaningOf are those of what Windows says (winerror.h), where a person can do something about it.
var meaningOf = map[syscall.Errno]*fault.Error{
	0x8009030E: ErrNoTicket, // SEC_E_NO_CREDENTIALS
	0x80090304: ErrNoTicket, // SEC_E_INTERNAL_ERROR: an account of this computer alone has no ticket
	0x8009035E: ErrNoTicket, // SEC_E_NO_TGT_REPLY
	0x8009030C: ErrDisabled, // SEC_E_LOGON_DENIED
	0x80090303: ErrRealm,    // SEC_E_TARGET_UNKNOWN
	0x80090322: ErrRealm,    // SEC_E_WRONG_PRINCIPAL
	0x80090311: ErrKDC,      // SEC_E_NO_AUTHENTICATING_AUTHORITY
	0x80090324: ErrClock,    // SEC_E_TIME_SKEW
	0x80090317: ErrEnded,    // SEC_E_CONTEXT_EXPIRED
}

func said(what string, code syscall.Errno) error {
	err := fmt.Errorf("%s: %w (%#x)", what, code, uint32(code))
	if f := meaningOf[code]; f != nil {
		return f.Because(err)
	}
	return ErrCache.Withf("Windows made no Kerberos token. Sign in to this computer with your organisation's account, then try again.").Because(err)
}

// openSystem asks for Kerberos alone, so that Windows never falls back to NTLM.
func openSystem() (*System, error) {
	info, err := sspi.QueryPackageInfo(sspi.MICROSOFT_KERBEROS_NAME)
	if err != nil {
		return nil, ErrNoTicket.Because(err)
	}
	cred, err := sspi.AcquireCredentials("", sspi.MICROSOFT_KERBEROS_NAME, sspi.SECPKG_CRED_OUTBOUND, nil)
	if err != nil {
		return nil, ErrNoTicket.Because(err)
	}
	return &System{principal: userName(), begin: func(server string, bindings []byte) (exchange, error) {
		return begin(cred, int(info.MaxToken), server, bindings)
	}}, nil
}

// userName is what Windows calls who is signed in.
func userName() string {
	for _, format := range []uint32{nameUserPrincipal, nameSamCompatible} {
		buf := make([]uint16, 512)
		n := uint32(len(buf))
		if err := windows.GetUserNameEx(format, &buf[0], &n); err == nil {
			return windows.UTF16ToString(buf[:min(int(n), len(buf))])
		}
	}
	return "the account that is signed in"
}

// sspiExchange is one security context.
type sspiExchange struct {
	context  *sspi.Context
	server   *uint16
	bindings []byte
	sent     []byte
}

func begin(cred *sspi.Credentials, most int, server string, bindings []byte) (*sspiExchange, error) {
	name, err := windows.UTF16PtrFromString(server)
	if err != nil {
		return nil, ErrRealm.Because(err)
	}
	e := &sspiExchange{context: sspi.NewClientContext(cred, inMutual), server: name, bindings: bindings}
	out := make([]byte, most)
	n, code := e.update(out, nil)
	if e.context.Handle.Lower != 0 || e.context.Handle.Upper != 0 {
		runtime.AddCleanup(e, func(h sspi.CtxtHandle) { sspi.DeleteSecurityContext(&h) }, *e.context.Handle)
	}
	if code != sspi.SEC_I_CONTINUE_NEEDED && code != sspi.SEC_E_OK {
		return nil, said("InitializeSecurityContext", code)
	}
	e.sent = out[:n]
	return e, nil
}

// update gives Windows a token, if there is one, and takes the next.
func (e *sspiExchange) update(out, token []byte) (int, syscall.Errno) {
	var in []sspi.SecBuffer
	if token != nil {
		in = append(in, sspi.SecBuffer{})
		in[0].Set(sspi.SECBUFFER_TOKEN, token)
	}
	in = append(in, sspi.SecBuffer{})
	in[len(in)-1].Set(sspi.SECBUFFER_CHANNEL_BINDINGS, e.bindings)
	next := make([]sspi.SecBuffer, 1)
	next[0].Set(sspi.SECBUFFER_TOKEN, out)
	code := e.context.Update(e.server, sspi.NewSecBufferDesc(next), sspi.NewSecBufferDesc(in))
	runtime.KeepAlive(e)
	return int(min(next[0].BufferSize, uint32(len(out)))), code
}

func (e *sspiExchange) token() []byte { return e.sent }

// finish has Windows read the server's answer: only the server that the ticket is to can have made it.
func (e *sspiExchange) finish(answer []byte) error {
	if len(answer) == 0 {
		return errors.New("the answer is empty")
	}
	if _, code := e.update(make([]byte, len(e.sent)+1024), answer); code != sspi.SEC_E_OK {
		return fmt.Errorf("InitializeSecurityContext: %w (%#x)", code, uint32(code))
	}
	return e.context.VerifySelectiveFlags(inMutual)
}
