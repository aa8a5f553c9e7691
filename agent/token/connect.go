//go:build cgo

package token

import (
	"errors"
	"fmt"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/internal/fault"
)

// Token is a place for keys. It is safe for concurrent use; what is done on the token is done one at a time.
type Token struct {
	mu    sync.Mutex
	where string
	pin   *pin.PIN
	open  map[address]*connection
}

// New returns the place. The token is not touched before it is used.
func New(c Config) *Token {
	return &Token{where: c.Address, pin: pin.New(c.PIN), open: map[address]*connection{}}
}

// Close ends the connections to tokens, and their libraries. The place is used again by using it.
func (p *Token) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed error
	for at, c := range p.open {
		failed = errors.Join(failed, c.end())
		delete(p.open, at)
	}
	return failed
}

// connection is a session on one token, logged in once somebody is needed for it.
type connection struct {
	*pkcs11.Ctx
	at      address // with the token's own serial number
	slot    uint
	session pkcs11.SessionHandle
	started bool // the library was started for it
}

// end ends the library, if it was started for this: it looks for tokens when it starts.
func (c *connection) end() (err error) {
	if c.started {
		err = c.Finalize()
	}
	c.Destroy()
	return err
}

// use runs f with a session on a token, logged in unless it only looks. Another address than the place's own is that of a key.
func (p *Token) use(where string, login bool, least int, f func(*connection) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if where == "" {
		where = p.where
	}
	if where == "" {
		return ErrAbsent.Withf("The agent was told of no token. Name the library of the token's maker with --token.")
	}
	at, err := parseAddress(where)
	if err != nil {
		return err
	}
	c, err := p.connect(at)
	if err != nil {
		return err
	}
	if login {
		err = p.login(c, least)
	}
	if err == nil {
		err = f(c)
	}
	if lost(err) { // next time from the beginning
		delete(p.open, at)
		_ = errors.Join(c.CloseSession(c.session), c.end()) // the token is gone
	}
	return p.explain(err)
}

func (p *Token) connect(at address) (*connection, error) {
	if c := p.open[at]; c != nil {
		return c, nil
	}
	ctx := pkcs11.New(at.module)
	if ctx == nil {
		return nil, ErrAbsent.Withf("The token's library %s cannot be loaded. Is it installed?", at.module)
	}
	err := ctx.Initialize()
	if err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)) {
		return nil, fmt.Errorf("start %s: %w", at.module, p.explain(err))
	}
	c := &connection{Ctx: ctx, at: at, started: err == nil}
	if err = c.find(); err == nil {
		c.session, err = ctx.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	}
	if err != nil {
		return nil, errors.Join(p.explain(err), c.end())
	}
	p.open[at] = c
	return c, nil
}

// find finds the token with the address, which must be one.
func (c *connection) find() error {
	slots, err := c.GetSlotList(true)
	if err != nil {
		return err
	}
	found := 0
	for _, slot := range slots {
		info, err := c.GetTokenInfo(slot)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 || c.at.label != "" && info.Label != c.at.label || c.at.serial != "" && info.SerialNumber != c.at.serial {
			continue
		}
		found++
		c.slot = slot
		if found == 1 {
			defer func() { c.at.label, c.at.serial = info.Label, info.SerialNumber }()
		}
	}
	switch {
	case found == 0:
		return ErrAbsent
	case found > 1:
		return ErrSeveral.Withf("There are %d tokens that could be meant. Name one: --token 'pkcs11:module-path=%s;token=LABEL'.", found, c.at.module)
	}
	return nil
}

// login shows the PIN, unless the token wants none or has seen it.
func (p *Token) login(c *connection, least int) error {
	state, err := c.GetSessionInfo(c.session)
	if err != nil {
		return err
	}
	if state.State == pkcs11.CKS_RW_USER_FUNCTIONS && least == 0 {
		return nil
	}
	info, err := c.GetTokenInfo(c.slot)
	switch {
	case err != nil:
		return err
	case info.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return pin.ErrLocked
	case info.Flags&pkcs11.CKF_USER_PIN_INITIALIZED == 0:
		return ErrToken.Withf("The token %q has no PIN yet. Set one with its maker's tool.", info.Label)
	case info.Flags&pkcs11.CKF_LOGIN_REQUIRED == 0:
		return nil
	case info.Flags&pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH != 0: // it has keys of its own to type the PIN on
		return done(c.Login(c.session, pkcs11.CKU_USER, ""))
	}
	text, err := p.pin.Get(fmt.Sprintf("PIN of the token %q", info.Label), least, info.Flags&(pkcs11.CKF_USER_PIN_COUNT_LOW|pkcs11.CKF_USER_PIN_FINAL_TRY) != 0)
	if err != nil {
		return err
	}
	return done(c.Login(c.session, pkcs11.CKU_USER, text))
}

func done(err error) error {
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
		return nil
	}
	return err
}

// lost reports whether the token went away.
func lost(err error) bool {
	for _, code := range []uint{pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED,
		pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_SLOT_ID_INVALID, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_TOKEN_NOT_RECOGNIZED} {
		if errors.Is(err, pkcs11.Error(code)) {
			return true
		}
	}
	return false
}

// explain says what a token's refusal means for a person.
func (p *Token) explain(err error) error {
	is := func(code uint) bool { return errors.Is(err, pkcs11.Error(code)) }
	switch {
	case err == nil || fault.Of(err) != nil:
		return err
	case is(pkcs11.CKR_PIN_INCORRECT), is(pkcs11.CKR_PIN_LEN_RANGE), is(pkcs11.CKR_PIN_INVALID):
		return p.pin.Wrong()
	case is(pkcs11.CKR_PIN_LOCKED):
		return pin.ErrLocked.Because(err)
	case is(pkcs11.CKR_DEVICE_MEMORY):
		return ErrFull.Because(err)
	case lost(err):
		return ErrAbsent.Withf("The token went away. Plug it in and run the same command again; nothing is lost.").Because(err)
	}
	return ErrToken.Because(err)
}
