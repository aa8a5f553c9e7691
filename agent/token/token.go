// Package token keeps signing keys on a PKCS#11 token: a smart card, a USB token, or the like. Keys are made on it, marked so that the
// token never gives them out (CKA_SENSITIVE, not CKA_EXTRACTABLE), and used there. The certificate is written beside its key under the
// same CKA_ID, by which Thunderbird, Firefox and others find both.
//
// It needs cgo, for it loads the library of the token's maker; a program that was built without has the place, which says so. It
// knows nothing of requests, and does not decide where a key should be (package agent).
package token

import (
	"encoding/hex"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/sealpost/sealpost/agent/pin"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of tokens.
var (
	ErrUnsupported = fault.New(fault.Unavailable, "token-not-built-in", "This build has no token support. Use the build of sealpost-agent with cgo, or another place for the key.")
	ErrAddress     = fault.New(fault.Malformed, "token-address", "This is not the address of a token: give the path of its maker's library, or pkcs11:module-path=…;token=….")
	ErrAbsent      = fault.New(fault.Unavailable, "token-absent", "The token is not there. Plug it in and run the same command again.")
	ErrSeveral     = fault.New(fault.Malformed, "token-several", "There are several tokens. Say which one.")
	ErrFull        = fault.New(fault.Unavailable, "token-full", "There is no room left on the token. Remove keys or certificates that are not needed any more with its maker's tool.")
	ErrKey         = fault.New(fault.Unavailable, "token-key", "The key is not on the token any more. Enrol again.")
	ErrToken       = fault.New(fault.Unavailable, "token", "The token refused.")
)

// Config says which token.
type Config struct {
	Address string     // the path of a PKCS#11 library, or pkcs11:module-path=…, with token=LABEL or serial=… where there are several
	PIN     pin.Source // asked for when the token wants it
}

// Name is that of api.KeyPlan.
func (*Token) Name() string { return api.PlaceToken }

// address says which token of which library (RFC 7512, sections 2.3 and 2.4; no other attributes).
type address struct{ module, label, serial string }

func parseAddress(text string) (a address, err error) {
	rest, isURI := strings.CutPrefix(text, "pkcs11:")
	if !isURI {
		a.module = text
	} else {
		for _, attribute := range strings.Split(rest, ";") {
			name, value, _ := strings.Cut(attribute, "=")
			value, err := url.PathUnescape(value)
			if err != nil {
				return a, ErrAddress.Because(err)
			}
			switch name {
			case "module-path":
				a.module = value
			case "token":
				a.label = value
			case "serial":
				a.serial = value
			case "pin-value", "pin-source":
				return a, ErrAddress.Withf("A PIN does not belong into a token's address. Give it with --pin-file or in SEALPOST_PIN.")
			default:
				return a, ErrAddress.Withf("A token's address has module-path, token and serial, and no %q.", name)
			}
		}
	}
	if !filepath.IsAbs(a.module) {
		return a, ErrAddress.Withf("The library of the token's maker must be given with its whole path.")
	}
	return a, nil
}

func (a address) String() string {
	text := "pkcs11:module-path=" + url.PathEscape(a.module)
	if a.label != "" {
		text += ";token=" + url.PathEscape(a.label)
	}
	if a.serial != "" {
		text += ";serial=" + url.PathEscape(a.serial)
	}
	return text
}

// keyID is the CKA_ID of the key with a name.
func keyID(name string) ([]byte, error) {
	id, err := hex.DecodeString(name)
	if err != nil || len(id) == 0 {
		return nil, ErrKey.Withf("A key on a token has no name.")
	}
	return id, nil
}
