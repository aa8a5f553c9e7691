// Package list is the format of revocation lists (RFC 5280, section 5): it writes and reads CertificateLists of any size with
// little memory. It computes and does nothing else: no database, no network, no clock.
//
// A list is written as a head, runs of encoded entries, and a tail. Entries are encoded once, kept in segments, and put
// into the next list as they are (Book). A list is read as a stream (Read), each entry for a moment.
package list

import (
	"math/big"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that this package returns.
var (
	// ErrList is what is no list: not DER, cut off, or not of RFC 5280.
	ErrList = fault.New(fault.Malformed, "crl-unreadable", "This is not a revocation list that can be read.")
	// ErrSignature is a list that its issuer did not sign.
	ErrSignature = fault.New(fault.Denied, "crl-signature", "The revocation list was not signed by its issuer.")
	// ErrNewer is a point that shows a newer list, or another one of the same number.
	ErrNewer = fault.New(fault.Conflict, "crl-newer", "There is a newer revocation list in this place already. It was not touched.")
	// ErrForeign is a point that shows the list of another issuer, or one for other certificates.
	ErrForeign = fault.New(fault.Conflict, "crl-foreign", "There is another authority's revocation list in this place. It was not touched.")
	// ErrSame is a point that shows the very list already.
	ErrSame = fault.New(fault.Conflict, "crl-same", "This revocation list is in this place already.")
	// ErrWrong is what must not be written: a list that would break a rule of RFC 5280.
	ErrWrong = fault.New(fault.Malformed, "crl-wrong", "The revocation list would break a rule of RFC 5280.")
)

// Reason is a CRLReason (RFC 5280, section 5.3.1).
type Reason int

// RemoveFromCRL stands in deltas alone: the certificate is no longer on hold.
const RemoveFromCRL Reason = 8

// Entry is what a list says of one certificate.
type Entry struct {
	Serial  []byte    // the serial number's octets: big-endian, without leading zeros, as ca.Serial has them
	At      time.Time // revocationDate, whole seconds
	Reason  Reason    // 0, unspecified, is left out
	Invalid time.Time // invalidityDate; zero: none
}

// Number returns n as the number of a list.
func Number(n int64) *big.Int { return big.NewInt(n) }
